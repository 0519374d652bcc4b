//! Consistent hashing: a client stays with a backend as long as it is there, on every replica alike.
//!
//! Each member puts points on a ring, a number in proportion to its weight, at hashes of its name; a client goes to the
//! first point at or after its own hash, and on from there past members that cannot take it. So when a member goes,
//! only its own clients move, and they spread over all others. Hashes are XXH3-64 without a seed: replicas must agree.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Candidates;

/// Points of a member of weight 1: shares stray from the weights by about a twelfth.
const POINTS_PER_WEIGHT: u64 = 160;

/// Most points on the ring, in bytes 3 MiB. Beyond it everybody's points are halved as often as needed, which leaves
/// those that remain where they were.
const MAX_POINTS: u64 = 1 << 18;

/// What stands on the ring.
#[derive(Clone, Debug)]
pub struct Member {
    /// What its points are hashed from.
    pub name: Box<str>,
    /// Relative number of points; 0 counts as 1.
    pub weight: u32,
    /// Its index among the candidates; `None`: it takes no requests now.
    pub candidate: Option<usize>,
}

/// The ring. Cheap to clone.
#[derive(Clone)]
pub struct Ring {
    points: Arc<Points>,
    members: Arc<[Member]>,
}

struct Points {
    /// Ascending.
    hashes: Box<[u64]>,
    /// The member of each, by index.
    owners: Box<[u32]>,
}

impl Ring {
    /// A ring of these members.
    pub fn new(members: Vec<Member>) -> Self {
        Self { points: Arc::new(points(&members)), members: members.into() }
    }

    /// A ring of these members that shares this one's points if they would come out the same.
    pub fn successor(&self, members: Vec<Member>) -> Self {
        let same = |(a, b): (&Member, &Member)| a.name == b.name && a.weight == b.weight;
        if self.members.len() == members.len() && self.members.iter().zip(&members).all(same) {
            return Self { points: self.points.clone(), members: members.into() };
        }
        Self::new(members)
    }

    /// Chooses the acceptable candidate that is nearest to the client on the ring.
    pub(super) fn pick(
        &self,
        client: u64,
        candidates: &Candidates<impl Fn(usize) -> bool, impl Fn(usize) -> u32>,
    ) -> Option<usize> {
        let acceptable = |point: usize| {
            let owner = &self.members[self.points.owners[point] as usize];
            owner.candidate.filter(|index| (candidates.accept)(*index))
        };
        let count = self.points.hashes.len();
        let start = self.points.hashes.partition_point(|hash| *hash < client);
        if let Some(nearest) = (start..count).chain(0..start).next().and_then(acceptable) {
            return Some(nearest);
        }
        // Walking the whole ring in vain is dear; asking everybody first is not.
        candidates.first_from(0)?;
        (start..count).chain(0..start).find_map(acceptable)
    }
}

fn points(members: &[Member]) -> Points {
    let wanted: u64 = members.iter().map(|member| u64::from(member.weight.max(1)) * POINTS_PER_WEIGHT).sum();
    let halvings = (0..64).find(|halvings| wanted >> halvings <= MAX_POINTS).unwrap_or(0);
    let mut points: Vec<(u64, u32)> = (0u32..)
        .zip(members)
        .flat_map(|(owner, member)| {
            let count = (u64::from(member.weight.max(1)) * POINTS_PER_WEIGHT) >> halvings;
            (0..count.max(1)).map(move |number| (xxh3_64_with_seed(member.name.as_bytes(), number), owner))
        })
        .collect();
    // Equal hashes are as good as impossible; by name, replicas would agree even then.
    points.sort_unstable_by(|a, b| {
        a.0.cmp(&b.0).then_with(|| members[a.1 as usize].name.cmp(&members[b.1 as usize].name))
    });
    Points {
        hashes: points.iter().map(|point| point.0).collect(),
        owners: points.iter().map(|point| point.1).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(number: usize, weight: u32, candidate: Option<usize>) -> Member {
        Member { name: format!("10.0.{}.{}:80", number / 256, number % 256).into(), weight, candidate }
    }

    fn ring(weights: &[u32]) -> Ring {
        Ring::new(weights.iter().enumerate().map(|(number, weight)| member(number, *weight, Some(number))).collect())
    }

    fn owner(ring: &Ring, client: u64, accept: impl Fn(usize) -> bool) -> Option<usize> {
        let hash = xxh3_64_with_seed(&client.to_le_bytes(), 0);
        ring.pick(hash, &Candidates { count: ring.members.len(), accept, load: |_| 0 })
    }

    #[test]
    fn shares_follow_the_weights() {
        let (ring, mut counts) = (ring(&[4, 2, 1, 1]), [0u32; 4]);
        for client in 0..80_000 {
            counts[owner(&ring, client, |_| true).unwrap()] += 1;
        }
        for (count, due) in counts.iter().zip([40_000u32, 20_000, 10_000, 10_000]) {
            assert!(count.abs_diff(due) < due / 4, "{counts:?}");
        }
    }

    #[test]
    fn adding_one_moves_clients_to_it_only() {
        let (before, after) = (ring(&[1; 10]), ring(&[1; 11]));
        let moved: Vec<usize> = (0..20_000)
            .filter(|client| owner(&before, *client, |_| true) != owner(&after, *client, |_| true))
            .map(|client| owner(&after, client, |_| true).unwrap())
            .collect();
        assert!(moved.iter().all(|to| *to == 10));
        assert!(moved.len() < 20_000 * 2 / 11, "{}", moved.len());
    }

    #[test]
    fn the_ring_is_bounded_and_forgets_nobody() {
        let mut weights = vec![1000; 300];
        weights.push(1);
        let ring = ring(&weights);
        assert!(ring.points.hashes.len() as u64 <= MAX_POINTS + 301);
        assert!(ring.points.owners.contains(&300));
    }

    #[test]
    fn points_are_shared_while_members_stay() {
        let ring = ring(&[1, 2]);
        let same = ring.successor(vec![member(0, 1, None), member(1, 2, Some(0))]);
        assert!(Arc::ptr_eq(&ring.points, &same.points));
        let other = ring.successor(vec![member(0, 1, None), member(1, 3, Some(0))]);
        assert!(!Arc::ptr_eq(&ring.points, &other.points));
    }

    #[test]
    fn replicas_of_any_release_agree() {
        let owners: Vec<_> = (0..8).map(|client| owner(&ring(&[1, 1, 1]), client, |_| true).unwrap()).collect();
        assert_eq!(owners, [0, 2, 2, 2, 2, 2, 2, 1]);
    }

    proptest! {
        #[test]
        fn losing_one_moves_its_clients_only(count in 2usize..12, lost in 0usize..12, client: u64) {
            let (ring, lost) = (ring(&vec![1; count]), lost % count);
            let before = owner(&ring, client, |_| true).unwrap();
            let after = owner(&ring, client, |index| index != lost).unwrap();
            prop_assert!(after != lost);
            prop_assert!(before == after || before == lost);
            // Taken off the ring or passed over on it is the same.
            let numbers = (0..count).filter(|number| *number != lost);
            let without = Ring::new(numbers.map(|number| member(number, 1, Some(number))).collect());
            prop_assert_eq!(owner(&without, client, |_| true), Some(after));
        }

        #[test]
        fn none_only_if_none_is_acceptable(accepted in proptest::collection::vec(any::<bool>(), 0..9), client: u64) {
            let picked = owner(&ring(&vec![1; accepted.len()]), client, |index| accepted[index]);
            prop_assert_eq!(picked.is_some(), accepted.contains(&true));
        }
    }
}
