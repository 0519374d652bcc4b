//! A few clients with their limits, side by side.

use std::mem;

use super::named::Named;
use crate::limit::Limit;

/// Clients after which a leaf is split.
pub(super) const MAX: usize = 32;

/// Clients whose hashes begin alike. A client that is not here is mostly known by the tags alone, which are one line of
/// the cache; that is what a request costs whose client has no limit of its own.
#[derive(Clone, Default)]
pub(super) struct Leaf {
    /// Of the first entries: those bits of each one's hash that the tree looks at last.
    tags: [u8; MAX],
    /// More than `MAX` only if so many hashes are equal that nothing can tell them apart.
    entries: Box<[Named]>,
}

/// The bits of a hash that stand in a leaf.
fn tag(hash: u64) -> u8 {
    (hash >> (u64::BITS - u8::BITS)) as u8
}

impl Leaf {
    pub(super) fn get(&self, hash: u64, id: &str) -> Option<Limit> {
        self.position(hash, id).map(|at| self.entries[at].limit)
    }

    /// Sets a client's limit; returns the one before.
    pub(super) fn insert(&mut self, hash: u64, named: Named) -> Option<Limit> {
        if let Some(at) = self.position(hash, named.id()) {
            return Some(mem::replace(&mut self.entries[at], named).limit);
        }
        if let Some(place) = self.tags.get_mut(self.entries.len()) {
            *place = tag(hash);
        }
        let mut entries = mem::take(&mut self.entries).into_vec();
        // Not twice the room, as a vector takes by itself: what is not used adds up over all leaves.
        entries.reserve_exact(1);
        entries.push(named);
        self.entries = entries.into_boxed_slice();
        None
    }

    /// Forgets a client's limit; returns it.
    pub(super) fn remove(&mut self, hash: u64, id: &str) -> Option<Limit> {
        let at = self.position(hash, id)?;
        let mut entries = mem::take(&mut self.entries).into_vec();
        let removed = entries.swap_remove(at);
        if let Some(last) = self.tags.get(entries.len()).copied()
            && let Some(place) = self.tags.get_mut(at)
        {
            *place = last;
        }
        self.entries = entries.into_boxed_slice();
        Some(removed.limit)
    }

    pub(super) fn entries(&self) -> &[Named] {
        &self.entries
    }

    /// All of them, to be put elsewhere.
    pub(super) fn take(&mut self) -> Vec<Named> {
        mem::take(&mut self.entries).into_vec()
    }

    fn position(&self, hash: u64, id: &str) -> Option<usize> {
        let len = self.entries.len();
        let tagged = memchr::memchr_iter(tag(hash), &self.tags[..len.min(MAX)]);
        tagged.chain(MAX..len).find(|at| self.entries[*at].is(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(capacity: usize) -> Limit {
        Limit::new(capacity as f64, 1.0).unwrap()
    }

    #[test]
    fn more_than_fit_are_found_and_forgotten_in_any_order() {
        let id = |n: usize| format!("client-{n}");
        let mut leaf = Leaf::default();
        let all = 2 * MAX + 1;
        (1..all).for_each(|n| assert_eq!(leaf.insert(0, Named::new(&id(n), limit(n))), None));
        for n in (1..all).step_by(2).chain((2..all).step_by(2)) {
            assert_eq!(leaf.get(0, &id(n)), Some(limit(n)));
            assert_eq!(leaf.insert(0, Named::new(&id(n), limit(n + 1))), Some(limit(n)));
            assert_eq!(leaf.remove(0, &id(n)), Some(limit(n + 1)));
            assert_eq!((leaf.get(0, &id(n)), leaf.remove(0, &id(n))), (None, None));
        }
        assert!(leaf.entries().is_empty());
    }

    #[test]
    fn it_begins_with_one_line_of_the_cache() {
        // With the two counts of the `Arc` around it.
        assert_eq!(size_of::<Leaf>() + 16, 64);
    }
}
