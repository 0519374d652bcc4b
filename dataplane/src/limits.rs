//! Limits of named clients: a persistent map, so a snapshot costs nothing and a change costs O(log n).

pub(crate) mod hash;
mod leaf;
mod named;
mod tree;

use std::fmt;

use balancer_proto::fingerprint::Fingerprint;

use self::tree::Tree;
use crate::limit::Limit;

/// client_id -> limit. A clone shares everything with its original until one of them changes.
#[derive(Clone, Default)]
pub struct Limits {
    by_id: Tree,
    len: usize,
    fingerprint: Fingerprint,
}

impl Limits {
    /// A client's limit.
    pub fn get(&self, id: &str) -> Option<Limit> {
        self.by_id.get(id)
    }

    /// Sets a client's limit; returns the one before.
    pub fn insert(&mut self, id: &str, limit: Limit) -> Option<Limit> {
        let before = self.by_id.insert(id, limit);
        match before {
            Some(before) => self.fingerprint.remove(id, before.capacity(), before.rate_per_sec()),
            None => self.len += 1,
        }
        self.fingerprint.add(id, limit.capacity(), limit.rate_per_sec());
        before
    }

    /// Forgets a client's limit; returns it.
    pub fn remove(&mut self, id: &str) -> Option<Limit> {
        let before = self.by_id.remove(id)?;
        self.len -= 1;
        self.fingerprint.remove(id, before.capacity(), before.rate_per_sec());
        Some(before)
    }

    /// How many clients have a limit of their own.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no client has.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Limit)> {
        self.by_id.iter().map(|named| (named.id(), named.limit))
    }

    /// The fingerprint of all of them, kept up to date by each change.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits").field("len", &self.len()).field("fingerprint", &self.fingerprint).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn fingerprint_of(model: &HashMap<String, Limit>) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        for (id, limit) in model {
            fingerprint.add(id, limit.capacity(), limit.rate_per_sec());
        }
        fingerprint
    }

    proptest! {
        #[test]
        fn behaves_like_a_map_and_clones_stay_as_they_were(changes in vec((0u8..20, proptest::option::of(1u8..5)), 0..200)) {
            let (mut limits, mut model) = (Limits::default(), HashMap::new());
            let mut clones = Vec::new();
            for (id, capacity) in changes {
                // Some short enough to stand inline, some not.
                let id = format!("client-{id}{}", "x".repeat(2 * usize::from(id)));
                match capacity.map(|c| Limit::new(f64::from(c), 0.5).unwrap()) {
                    Some(limit) => prop_assert_eq!(limits.insert(&id, limit), model.insert(id, limit)),
                    None => prop_assert_eq!(limits.remove(&id), model.remove(&id)),
                }
                prop_assert_eq!(limits.fingerprint(), fingerprint_of(&model));
                clones.push((limits.clone(), model.clone()));
            }
            for (limits, model) in clones {
                prop_assert_eq!(limits.len(), model.len());
                prop_assert_eq!(limits.is_empty(), model.is_empty());
                let held: HashMap<_, _> = limits.iter().map(|(id, limit)| (id.to_owned(), limit)).collect();
                prop_assert!(model.keys().all(|id| limits.get(id) == model.get(id).copied()));
                prop_assert_eq!(held, model);
            }
        }
    }
}
