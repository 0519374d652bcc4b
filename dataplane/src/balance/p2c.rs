//! The less loaded of two drawn at random (Mitzenmacher: The Power of Two Choices in Randomized Load Balancing). Both
//! are drawn by weight and compared by load per weight, so shares follow the weights idle and busy.

use super::{
    Candidates,
    random::{Draws, Weights},
};

/// Draws that may fail to give a second candidate before the first is taken as it is.
const DRAWS: usize = 8;

/// Chooses the less loaded of two acceptable candidates.
pub(super) fn pick(
    weights: &Weights,
    random: u64,
    candidates: &Candidates<impl Fn(usize) -> bool, impl Fn(usize) -> u32>,
) -> Option<usize> {
    let mut draws = Draws(random);
    let mut first = None;
    for _ in 0..DRAWS {
        let index = weights.draw(draws.next())?;
        match first {
            _ if first == Some(index) || !(candidates.accept)(index) => {}
            None => first = Some(index),
            Some(first) => return Some(less_loaded(weights, first, index, &candidates.load)),
        }
    }
    first.or_else(|| weights.draw_acceptable(draws.next(), &candidates.accept))
}

/// Of two that are equally loaded the first: it was drawn by weight alone.
fn less_loaded(weights: &Weights, first: usize, second: usize, load: impl Fn(usize) -> u32) -> usize {
    let first_load = u64::from(load(first)) * weights.weight(second);
    let second_load = u64::from(load(second)) * weights.weight(first);
    if second_load < first_load { second } else { first }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn after(weights: &[u32], requests: usize) -> Vec<u32> {
        let (prepared, mut random) = (Weights::new(weights), Draws(7));
        let mut in_flight = vec![0u32; weights.len()];
        for _ in 0..requests {
            let held = in_flight.clone();
            let candidates = Candidates { count: weights.len(), accept: |_| true, load: |index: usize| held[index] };
            in_flight[pick(&prepared, random.next(), &candidates).unwrap()] += 1;
        }
        in_flight
    }

    #[test]
    fn requests_that_stay_are_shared_evenly() {
        let in_flight = after(&[1; 50], 5000);
        assert!(in_flight.iter().all(|held| held.abs_diff(100) <= 5), "{in_flight:?}");
    }

    #[test]
    fn requests_that_stay_are_shared_by_weight() {
        let in_flight = after(&[6, 3, 1], 10_000);
        for (held, due) in in_flight.iter().zip([6000u32, 3000, 1000]) {
            assert!(held.abs_diff(due) <= due / 20, "{in_flight:?}");
        }
    }

    #[test]
    fn the_most_loaded_of_two_is_never_chosen() {
        let (weights, mut random) = (Weights::new(&[1, 1]), Draws(3));
        for _ in 0..1000 {
            let candidates = Candidates { count: 2, accept: |_| true, load: |index: usize| [9, 2][index] };
            // Eight draws that all give the same one of two are rare, but allowed.
            let _ = random.next();
            let picked = pick(&weights, random.0, &candidates).unwrap();
            let same = (0..DRAWS).scan(Draws(random.0), |d, _| weights.draw(d.next())).all(|index| index == 0);
            assert!(picked == 1 || same);
        }
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
