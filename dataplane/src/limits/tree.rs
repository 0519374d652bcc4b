//! A persistent tree over hashes: each level looks at four more of their bits, and at its ends stand leaves of up to 32
//! clients. The idea is the hash array mapped trie (Bagwell, Ideal Hash Trees, 2001) with broad leaves: an entry shares its
//! allocation with its neighbours, and a change copies one leaf and the branches above it.

use std::{hash::BuildHasher, sync::Arc};

use super::{
    hash::Seeded,
    leaf::{self, Leaf},
    named::Named,
};
use crate::limit::Limit;

const BITS: u32 = 4;
const CHILDREN: usize = 1 << BITS;

/// A clone shares everything with its original until one of them changes.
#[derive(Clone, Default)]
pub(super) enum Tree {
    #[default]
    Empty,
    Leaf(Arc<Leaf>),
    Branch(Arc<[Tree; CHILDREN]>),
}

/// Where an entry belongs: what is left of its hash after the levels above.
#[derive(Clone, Copy)]
struct Way {
    hash: u64,
    level: u32,
}

impl Way {
    fn to(id: &str) -> Self {
        Self { hash: Seeded.hash_one(id.as_bytes()), level: 0 }
    }

    fn child(self) -> usize {
        (self.hash >> (self.level * BITS)) as usize % CHILDREN
    }

    fn down(self) -> Self {
        Self { level: self.level + 1, ..self }
    }

    /// Whether nothing is left of the hash.
    fn ends(self) -> bool {
        self.level * BITS >= u64::BITS
    }
}

impl Tree {
    pub(super) fn get(&self, id: &str) -> Option<Limit> {
        let (mut tree, mut way) = (self, Way::to(id));
        loop {
            match tree {
                Self::Empty => return None,
                Self::Leaf(leaf) => return leaf.get(way.hash, id),
                Self::Branch(children) => tree = &children[way.child()],
            }
            way = way.down();
        }
    }

    /// Sets a client's limit; returns the one before.
    pub(super) fn insert(&mut self, id: &str, limit: Limit) -> Option<Limit> {
        self.insert_at(Way::to(id), Named::new(id, limit))
    }

    fn insert_at(&mut self, way: Way, named: Named) -> Option<Limit> {
        match self {
            Self::Branch(children) => Arc::make_mut(children)[way.child()].insert_at(way.down(), named),
            Self::Leaf(leaf) => {
                let leaf = Arc::make_mut(leaf);
                let before = leaf.insert(way.hash, named);
                if leaf.entries().len() > leaf::MAX && !way.ends() {
                    *self = Self::split(leaf.take(), way.level);
                }
                before
            }
            Self::Empty => {
                let mut leaf = Leaf::default();
                leaf.insert(way.hash, named);
                *self = Self::Leaf(Arc::new(leaf));
                None
            }
        }
    }

    fn split(entries: Vec<Named>, level: u32) -> Self {
        let mut branch = Self::Branch(Arc::default());
        for named in entries {
            branch.insert_at(Way { level, ..Way::to(named.id()) }, named);
        }
        branch
    }

    /// Forgets a client's limit; returns it.
    pub(super) fn remove(&mut self, id: &str) -> Option<Limit> {
        // What is not there must not cost a copy of the way to it.
        self.get(id)?;
        self.remove_at(Way::to(id), id)
    }

    fn remove_at(&mut self, way: Way, id: &str) -> Option<Limit> {
        match self {
            Self::Empty => None,
            Self::Leaf(leaf) => {
                let leaf = Arc::make_mut(leaf);
                let removed = leaf.remove(way.hash, id);
                if leaf.entries().is_empty() {
                    *self = Self::Empty;
                }
                removed
            }
            Self::Branch(children) => {
                let children = Arc::make_mut(children);
                let removed = children[way.child()].remove_at(way.down(), id);
                if children.iter().all(|child| matches!(child, Self::Empty)) {
                    *self = Self::Empty;
                }
                removed
            }
        }
    }

    /// All entries, in no order.
    pub(super) fn iter(&self) -> Iter<'_> {
        Iter { leaf: [].iter(), rest: vec![std::slice::from_ref(self).iter()] }
    }
}

/// Walks through a tree.
pub(super) struct Iter<'a> {
    leaf: std::slice::Iter<'a, Named>,
    /// What is left at each level.
    rest: Vec<std::slice::Iter<'a, Tree>>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Named;

    fn next(&mut self) -> Option<&'a Named> {
        loop {
            if let Some(named) = self.leaf.next() {
                return Some(named);
            }
            match self.rest.last_mut()?.next() {
                Some(Tree::Branch(children)) => self.rest.push(children.iter()),
                Some(Tree::Leaf(leaf)) => self.leaf = leaf.entries().iter(),
                Some(Tree::Empty) => {}
                None => _ = self.rest.pop(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn limit(number: u32) -> Limit {
        Limit::new(f64::from(number) + 1.0, 1.0).unwrap()
    }

    fn id(number: u32) -> String {
        format!("client-{number}")
    }

    fn holds(tree: &Tree, model: &HashMap<String, Limit>) {
        let held: HashMap<_, _> = tree.iter().map(|named| (named.id().to_owned(), named.limit)).collect();
        assert_eq!((&held, tree.iter().count()), (model, model.len()));
        assert!((0..6_000).map(id).all(|id| tree.get(&id) == model.get(&id).copied()));
    }

    #[test]
    fn leaves_become_branches_and_clones_stay_as_they_were() {
        let (mut tree, mut model, mut clones) = (Tree::default(), HashMap::new(), Vec::new());
        for number in 0..5_000 {
            assert_eq!(tree.insert(&id(number), limit(number)), model.insert(id(number), limit(number)));
            if number % 1_000 == 0 {
                clones.push((tree.clone(), model.clone()));
            }
        }
        for number in (0..6_000).rev() {
            assert_eq!(tree.remove(&id(number)), model.remove(&id(number)));
            if number % 1_000 == 0 {
                clones.push((tree.clone(), model.clone()));
            }
        }
        assert!(matches!(tree, Tree::Empty));
        clones.iter().for_each(|(tree, model)| holds(tree, model));
    }

    #[test]
    fn equal_hashes_end_in_one_leaf() {
        let way = Way { hash: 7, level: u64::BITS / BITS };
        let (mut tree, many) = (Tree::default(), 3 * leaf::MAX as u32);
        (0..many).for_each(|number| assert_eq!(tree.insert_at(way, Named::new(&id(number), limit(number))), None));
        assert!(matches!(tree, Tree::Leaf(_)));
        (0..many).for_each(|number| assert_eq!(tree.remove_at(way, &id(number)), Some(limit(number))));
        assert!(matches!(tree, Tree::Empty));
    }
}
