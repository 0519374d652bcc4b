//! A backend that is new or comes back is cold: its share grows from a tenth to the whole over a time (Envoy's slow start
//! with aggression 1 and a least weight of 10 %).

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::clock::Nanos;

/// A whole share, in thousandths.
pub(super) const WHOLE: u32 = 1000;

/// The least share, in thousandths.
const LEAST: u32 = 100;

/// The share at `now` of a backend that began at `from`, in thousandths of its weight.
pub(super) fn share(from: Nanos, now: Nanos, lasts_ns: u64) -> u32 {
    let passed = u128::from(now.since(from));
    if passed >= u128::from(lasts_ns) {
        return WHOLE;
    }
    let thousandths = passed * u128::from(WHOLE) / u128::from(lasts_ns);
    u32::try_from(thousandths).unwrap_or(WHOLE).max(LEAST)
}

/// Whether a choice is among the `share` of choices that the backend takes part in. One that is stays so as the share
/// grows: with `choice` a client's hash, each client moves once.
pub(super) fn takes_part(choice: u64, backend_id: u64, share: u32) -> bool {
    share >= WHOLE || xxh3_64_with_seed(&choice.to_le_bytes(), backend_id) % u64::from(WHOLE) < u64::from(share)
}

/// Load as it looks to a strategy that goes by it: that of a machine as small as the share.
pub(super) fn scaled_load(in_flight: u32, share: u32) -> u32 {
    if share >= WHOLE {
        return in_flight;
    }
    let scaled = (u64::from(in_flight) + 1) * u64::from(WHOLE) / u64::from(share.max(1)) - 1;
    u32::try_from(scaled).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_share_grows_in_a_line_from_a_tenth() {
        let share = |ms: u64| share(Nanos(5), Nanos(5 + ms), 1000);
        assert_eq!([0, 50, 100, 500, 999, 1000, 5000].map(share), [100, 100, 100, 500, 999, 1000, 1000]);
        assert_eq!(super::share(Nanos(9), Nanos(0), 0), WHOLE);
    }

    #[test]
    fn as_many_choices_as_the_share() {
        let taken = |share| (0..10_000u64).filter(|choice| takes_part(*choice, 3, share)).count();
        assert!(taken(100).abs_diff(1000) < 150 && taken(500).abs_diff(5000) < 250 && taken(1000) == 10_000);
    }

    proptest! {
        #[test]
        fn who_takes_part_stays(choice: u64, id: u64, share in 1u32..WHOLE, more in 0u32..WHOLE) {
            prop_assert!(!takes_part(choice, id, share) || takes_part(choice, id, share.saturating_add(more)));
        }

        #[test]
        fn load_never_looks_less_than_it_is(in_flight: u32, share in 1u32..=WHOLE) {
            prop_assert!(scaled_load(in_flight, share) >= in_flight);
        }
    }
}
