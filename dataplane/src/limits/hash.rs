//! Hashing under a secret of this process, so that nobody outside can choose client names that collide.

use std::{
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

use foldhash::{SharedSeed, quality};

static SECRET: LazyLock<(u64, SharedSeed)> = LazyLock::new(|| {
    // The standard library's hasher is keyed by the operating system's randomness.
    let random = RandomState::new();
    (random.hash_one(0), SharedSeed::from_u64(random.hash_one(1)))
});

/// Builds hashers that agree within this process and with no other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seeded;

impl BuildHasher for Seeded {
    type Hasher = quality::FoldHasher<'static>;

    fn build_hasher(&self) -> Self::Hasher {
        let (own, shared) = &*SECRET;
        quality::FoldHasher::with_seed(*own, shared)
    }
}
