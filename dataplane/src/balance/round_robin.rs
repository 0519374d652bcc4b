//! Smooth weighted round robin: a sequence worked out once, and a cursor that all threads share.
//!
//! The sequence is that of earliest deadline first: the k-th turn of a candidate with weight w is due at (k + 1/2) / w.
//! So turns of a heavy candidate are spread out, and within one round each candidate gets exactly its weight.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::Candidates;

/// Longest sequence; heavier sets of weights are scaled down to it.
const MAX_TURNS: u64 = 65_536;

/// Turns to consume in search of an acceptable candidate before the rest are simply looked through.
const TURNS_TO_TRY: usize = 16;

/// Whose turn it is.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Cursor(AtomicUsize);

/// The order of turns; a candidate may have many.
#[derive(Debug)]
pub struct Sequence {
    turns: Box<[u32]>,
    weights: Box<[u32]>,
}

impl Sequence {
    /// The sequence for candidates of these weights; 0 counts as 1.
    pub fn new(weights: &[u32]) -> Self {
        let weights: Box<[u32]> = weights.iter().map(|weight| (*weight).max(1)).collect();
        Self { turns: turns(&reduced(&weights)), weights }
    }

    /// Whose turn it is now; the next caller gets the next turn. `None`: there are no candidates.
    pub(super) fn next(&self, cursor: &Cursor) -> Option<usize> {
        let turn = cursor.0.fetch_add(1, Relaxed).checked_rem(self.turns.len())?;
        Some(self.turns[turn] as usize)
    }

    pub(super) fn weight(&self, index: usize) -> u32 {
        self.weights[index]
    }
}

/// Chooses the next acceptable candidate. One that is passed over loses its turn, so what it would have got is spread
/// over all others and not given to its neighbour alone.
pub(super) fn pick(
    sequence: &Sequence,
    cursor: &Cursor,
    candidates: &Candidates<impl Fn(usize) -> bool, impl Fn(usize) -> u32>,
) -> Option<usize> {
    let mut last = 0;
    for _ in 0..TURNS_TO_TRY.min(sequence.turns.len()) {
        last = sequence.next(cursor)?;
        if (candidates.accept)(last) {
            return Some(last);
        }
    }
    candidates.first_from(last)
}

fn reduced(weights: &[u32]) -> Vec<u64> {
    let common = weights.iter().fold(0, |a, b| gcd(a, *b)).max(1);
    let weights: Vec<u64> = weights.iter().map(|weight| u64::from(weight / common)).collect();
    let sum: u64 = weights.iter().sum();
    if sum <= MAX_TURNS {
        return weights;
    }
    weights.iter().map(|weight| (weight * MAX_TURNS / sum).max(1)).collect()
}

fn turns(weights: &[u64]) -> Box<[u32]> {
    let due = |turn: u64, weight: u64| (2 * turn + 1) as f64 / weight as f64;
    let mut turns: Vec<(f64, u32)> = (0u32..)
        .zip(weights)
        .flat_map(|(index, weight)| (0..*weight).map(move |turn| (due(turn, *weight), index)))
        .collect();
    turns.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    turns.into_iter().map(|(_, index)| index).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn all(count: usize) -> Candidates<impl Fn(usize) -> bool, impl Fn(usize) -> u32> {
        Candidates { count, accept: |_| true, load: |_| 0 }
    }

    #[test]
    fn heavy_turns_are_spread_out() {
        assert_eq!(*Sequence::new(&[4, 2, 2]).turns, [0, 1, 2, 0]);
        assert_eq!(*Sequence::new(&[5, 1]).turns, [0, 0, 0, 1, 0, 0]);
        assert_eq!(*Sequence::new(&[7, 7, 7]).turns, [0, 1, 2]);
    }

    #[test]
    fn long_sequences_are_bounded_and_forget_nobody() {
        let mut weights = vec![1000; 999];
        weights.push(1);
        let sequence = Sequence::new(&weights);
        assert!(sequence.turns.len() as u64 <= MAX_TURNS + 1000);
        assert!(sequence.turns.contains(&999));
    }

    #[test]
    fn who_is_passed_over_does_not_double_its_neighbour() {
        let (sequence, cursor) = (Sequence::new(&[1, 1, 1, 1]), Cursor::default());
        let mut counts = [0; 4];
        let candidates = Candidates { count: 4, accept: |index| index != 1, load: |_| 0 };
        for _ in 0..3000 {
            counts[pick(&sequence, &cursor, &candidates).unwrap()] += 1;
        }
        assert_eq!(counts, [1000, 0, 1000, 1000]);
    }

    proptest! {
        #[test]
        fn a_round_is_exact_and_every_part_of_it_is_near(weights in vec(1u32..20, 1..8)) {
            let (sequence, cursor) = (Sequence::new(&weights), Cursor::default());
            let sum: u32 = weights.iter().sum();
            let mut counts = vec![0u32; weights.len()];
            for turn in 1..=sequence.turns.len() {
                counts[pick(&sequence, &cursor, &all(weights.len())).unwrap()] += 1;
                for (count, weight) in counts.iter().zip(&weights) {
                    let due = turn as f64 * f64::from(*weight) / f64::from(sum);
                    // A deadline scheduler strays from the exact share by little more than one turn per candidate.
                    prop_assert!((f64::from(*count) - due).abs() <= 2.0, "{count} of {due} after {turn}");
                }
            }
            let round = sequence.turns.len() as u32;
            for (count, weight) in counts.iter().zip(&weights) {
                prop_assert_eq!(count * sum, weight * round);
            }
        }

        #[test]
        fn none_only_if_none_is_acceptable(accepted in vec(any::<bool>(), 0..100)) {
            let (sequence, cursor) = (Sequence::new(&vec![1; accepted.len()]), Cursor::default());
            let candidates = Candidates { count: accepted.len(), accept: |index: usize| accepted[index], load: |_| 0 };
            let picked = pick(&sequence, &cursor, &candidates);
            prop_assert_eq!(picked.is_some(), accepted.contains(&true));
            prop_assert!(picked.is_none_or(|index| accepted[index]));
        }
    }
}
