//! Counters that many threads may hit at once without sharing a cache line.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

/// Threads beyond this many share stripes; they stay exact and only get slower.
const STRIPES: usize = 16;

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static MINE: Cell<usize> = Cell::new(NEXT.fetch_add(1, Relaxed) % STRIPES);
}

/// Two cache lines: the adjacent-line prefetcher of x86 would otherwise share them again.
#[repr(align(128))]
#[derive(Debug)]
struct Stripe<const N: usize>([AtomicU64; N]);

/// `N` counters, each kept once per stripe; a thread adds to its own stripe, a reader sums over all.
#[derive(Debug)]
pub struct Striped<const N: usize>([Stripe<N>; STRIPES]);

impl<const N: usize> Default for Striped<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Stripe(std::array::from_fn(|_| AtomicU64::new(0)))))
    }
}

impl<const N: usize> Striped<N> {
    /// Adds `amount` to the counter at `index` (below `N`).
    pub fn add(&self, index: usize, amount: u64) {
        self.0[MINE.get()].0[index].fetch_add(amount, Relaxed);
    }

    /// The counter at `index` (below `N`), over all threads.
    pub fn sum(&self, index: usize) -> u64 {
        self.0.iter().fold(0, |sum, stripe| sum.wrapping_add(stripe.0[index].load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_threads_than_stripes_lose_no_count() {
        let counts = Striped::<2>::default();
        std::thread::scope(|scope| {
            for _ in 0..STRIPES + 4 {
                scope.spawn(|| (0..1000).for_each(|_| counts.add(1, 1)));
            }
        });
        assert_eq!((counts.sum(0), counts.sum(1)), (0, (STRIPES as u64 + 4) * 1000));
    }
}
