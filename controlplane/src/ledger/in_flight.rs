//! Tokens on their way to one data plane: sent, and not acknowledged yet.

/// The response they are in, and how many.
type Sent = (u64, f64);

/// What is on its way, the oldest first. Mostly that is one grant or none, and then nothing is allocated.
#[derive(Clone, Debug, Default)]
pub(super) enum InFlight {
    /// None known of. May also be said of what was acknowledged long ago.
    #[default]
    Nothing,
    One(Sent),
    Many(Vec<Sent>),
}

impl InFlight {
    /// These are in the response `seq`. Those up to `acked` have arrived.
    pub(super) fn push(&mut self, seq: u64, tokens: f64, acked: u64) {
        self.forget(acked);
        *self = match std::mem::take(self) {
            Self::Nothing => Self::One((seq, tokens)),
            Self::One(before) => Self::Many(vec![before, (seq, tokens)]),
            Self::Many(mut sent) => {
                sent.push((seq, tokens));
                Self::Many(sent)
            }
        };
    }

    /// The responses up to `acked` have arrived.
    pub(super) fn forget(&mut self, acked: u64) {
        let left = self.beyond(acked);
        match left {
            [] => *self = Self::Nothing,
            [one] => *self = Self::One(*one),
            _ => {
                if let Self::Many(sent) = self {
                    sent.retain(|(seq, _)| *seq > acked);
                }
            }
        }
    }

    /// Whether any came after the response `acked`.
    pub(super) fn is_any_beyond(&self, acked: u64) -> bool {
        !self.beyond(acked).is_empty()
    }

    /// How many tokens came after the response `acked`.
    pub(super) fn tokens_beyond(&self, acked: u64) -> f64 {
        self.beyond(acked).iter().map(|(_, tokens)| tokens).sum()
    }

    fn beyond(&self, acked: u64) -> &[Sent] {
        let sent = match self {
            Self::Nothing => &[],
            Self::One(sent) => std::slice::from_ref(sent),
            Self::Many(sent) => sent,
        };
        &sent[sent.partition_point(|(seq, _)| *seq <= acked)..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_arrived_is_not_on_its_way_any_more() {
        let mut in_flight = InFlight::default();
        (1..=4).for_each(|seq| in_flight.push(seq, seq as f64, 0));
        assert_eq!((in_flight.tokens_beyond(0), in_flight.tokens_beyond(2)), (10.0, 7.0));
        in_flight.forget(3);
        assert!(matches!(in_flight, InFlight::One((4, 4.0))), "{in_flight:?}");
        in_flight.push(6, 6.0, 3);
        assert!(in_flight.is_any_beyond(5) && !in_flight.is_any_beyond(6));
        in_flight.push(7, 7.0, 6);
        assert!(matches!(in_flight, InFlight::One((7, 7.0))), "{in_flight:?}");
        in_flight.forget(7);
        assert!(matches!(in_flight, InFlight::Nothing), "{in_flight:?}");
    }
}
