//! Weighted random.

use super::Candidates;

/// Draws that may hit an unacceptable candidate before the acceptable ones are weighed by themselves.
const DRAWS: usize = 8;

/// Weights, summed up for drawing.
#[derive(Debug)]
pub struct Weights {
    /// Sum of the weights up to and with each candidate.
    sums: Box<[u64]>,
}

impl Weights {
    /// For candidates of these weights; 0 counts as 1.
    pub fn new(weights: &[u32]) -> Self {
        let sums = weights.iter().scan(0, |sum, weight| {
            *sum += u64::from((*weight).max(1));
            Some(*sum)
        });
        Self { sums: sums.collect() }
    }

    /// A candidate, each as probable as its weight; `None`: there are none.
    pub(super) fn draw(&self, random: u64) -> Option<usize> {
        let point = below(random, *self.sums.last()?);
        Some(self.sums.partition_point(|sum| *sum <= point))
    }

    pub(super) fn weight(&self, index: usize) -> u64 {
        self.sums[index] - index.checked_sub(1).map_or(0, |before| self.sums[before])
    }

    /// As [`Self::draw`], among acceptable candidates only.
    pub(super) fn draw_acceptable(&self, random: u64, accept: impl Fn(usize) -> bool) -> Option<usize> {
        let mut acceptable: Vec<(usize, u64)> = Vec::new();
        let mut sum = 0;
        for index in (0..self.sums.len()).filter(|index| accept(*index)) {
            sum += self.weight(index);
            acceptable.push((index, sum));
        }
        let point = below(random, sum);
        acceptable.into_iter().find(|(_, sum)| *sum > point).map(|(index, _)| index)
    }
}

/// Chooses an acceptable candidate, each as probable as its weight.
pub(super) fn pick(
    weights: &Weights,
    random: u64,
    candidates: &Candidates<impl Fn(usize) -> bool, impl Fn(usize) -> u32>,
) -> Option<usize> {
    let mut draws = Draws(random);
    for _ in 0..DRAWS {
        let index = weights.draw(draws.next())?;
        if (candidates.accept)(index) {
            return Some(index);
        }
    }
    weights.draw_acceptable(draws.next(), &candidates.accept)
}

/// More random numbers out of one: SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators).
pub(super) struct Draws(pub(super) u64);

impl Draws {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Maps a uniform number to one below `bound`.
fn below(random: u64, bound: u64) -> u64 {
    ((u128::from(random) * u128::from(bound)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn shares(weights: &[u32], accept: impl Fn(usize) -> bool + Copy, picks: u32) -> Vec<f64> {
        let (prepared, mut random) = (Weights::new(weights), Draws(1));
        let mut counts = vec![0u32; weights.len()];
        for _ in 0..picks {
            let candidates = Candidates { count: weights.len(), accept, load: |_| 0 };
            counts[pick(&prepared, random.next(), &candidates).unwrap()] += 1;
        }
        counts.into_iter().map(|count| f64::from(count) / f64::from(picks)).collect()
    }

    #[test]
    fn shares_are_the_weights() {
        for (share, due) in shares(&[5, 3, 2], |_| true, 100_000).iter().zip([0.5, 0.3, 0.2]) {
            assert!((share - due).abs() < 0.01);
        }
    }

    #[test]
    fn the_acceptable_share_by_weight_also_where_they_are_few() {
        let mut weights = vec![1000; 100];
        weights.extend([3, 1]);
        let shares = shares(&weights, |index| index >= 100, 20_000);
        assert!((shares[100] - 0.75).abs() < 0.02);
        assert!((shares[101] - 0.25).abs() < 0.02);
    }

    proptest! {
        #[test]
        fn none_only_if_none_is_acceptable(all in vec((1u32..9, any::<bool>()), 0..20), random: u64) {
            let weights = Weights::new(&all.iter().map(|one| one.0).collect::<Vec<_>>());
            let candidates = Candidates { count: all.len(), accept: |index: usize| all[index].1, load: |_| 0 };
            let picked = pick(&weights, random, &candidates);
            prop_assert_eq!(picked.is_some(), all.iter().any(|one| one.1));
            prop_assert!(picked.is_none_or(|index| all[index].1));
        }
    }
}
