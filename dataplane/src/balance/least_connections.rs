//! Fewest requests in flight per weight. Ties go by weighted round robin, so an idle pool shares by weight as well.

use super::{
    Candidates,
    round_robin::{Cursor, Sequence},
};

/// Chooses the acceptable candidate with the least load per weight.
pub(super) fn pick(
    sequence: &Sequence,
    cursor: &Cursor,
    candidates: &Candidates<impl Fn(usize) -> bool, impl Fn(usize) -> u32>,
) -> Option<usize> {
    let start = sequence.next(cursor)?;
    let mut best: Option<(usize, u32)> = None;
    for index in (start..candidates.count).chain(0..start) {
        let load = (candidates.load)(index);
        let better =
            best.is_none_or(|(other, least)| is_less(load, sequence.weight(index), least, sequence.weight(other)));
        if better && (candidates.accept)(index) {
            best = Some((index, load));
            // Nobody has less than nothing: in a large pool most turns end here.
            if load == 0 {
                break;
            }
        }
    }
    best.map(|(index, _)| index)
}

/// Whether `load / weight` is less than the other's, without dividing.
pub(super) fn is_less(load: u32, weight: u32, other_load: u32, other_weight: u32) -> bool {
    u64::from(load) * u64::from(other_weight) < u64::from(other_load) * u64::from(weight)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn an_idle_pool_shares_by_weight() {
        let (sequence, cursor) = (Sequence::new(&[3, 1]), Cursor::default());
        let candidates = Candidates { count: 2, accept: |_| true, load: |_| 0 };
        let mut counts = [0; 2];
        for _ in 0..400 {
            counts[pick(&sequence, &cursor, &candidates).unwrap()] += 1;
        }
        assert_eq!(counts, [300, 100]);
    }

    #[test]
    fn requests_that_stay_are_shared_by_weight() {
        let weights = [5, 2, 1];
        let (sequence, cursor) = (Sequence::new(&weights), Cursor::default());
        let mut in_flight = [0u32; 3];
        for _ in 0..800 {
            let held = in_flight;
            let candidates = Candidates { count: 3, accept: |_| true, load: |index: usize| held[index] };
            in_flight[pick(&sequence, &cursor, &candidates).unwrap()] += 1;
        }
        for (held, weight) in in_flight.iter().zip(weights) {
            assert!(held.abs_diff(100 * weight) <= weight, "{in_flight:?}");
        }
    }

    proptest! {
        #[test]
        fn nobody_acceptable_has_less(all in vec((0u32..9, 1u32..5, any::<bool>()), 0..20), turn in 0usize..50) {
            let weights: Vec<u32> = all.iter().map(|one| one.1).collect();
            let (sequence, cursor) = (Sequence::new(&weights), Cursor::default());
            for _ in 0..turn {
                sequence.next(&cursor);
            }
            let candidates =
                Candidates { count: all.len(), accept: |index: usize| all[index].2, load: |index: usize| all[index].0 };
            match pick(&sequence, &cursor, &candidates) {
                None => prop_assert!(all.iter().all(|one| !one.2)),
                Some(chosen) => {
                    let (load, weight, accepted) = all[chosen];
                    prop_assert!(accepted);
                    prop_assert!(!all.iter().any(|one| one.2 && is_less(one.0, one.1, load, weight)));
                }
            }
        }
    }
}
