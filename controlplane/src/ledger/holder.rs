//! Who has something of an account.

use std::ops::{Deref, DerefMut};

use super::{in_flight::InFlight, member::MemberId};

/// A data plane that may hold tokens of the client, or remembers that the bucket is not full.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    pub(super) member: MemberId,
    /// It refills the bucket itself.
    pub(super) whole: bool,
    /// Most tokens it can have.
    pub(super) upper: f64,
    /// Of these, what was sent in responses it has not acknowledged.
    pub(super) in_flight: InFlight,
    /// It has been told to give back what it holds.
    pub(super) recalled: bool,
    /// Nobody asks there.
    pub(super) idle: bool,
    /// It was told that there is nothing, for longer than that may be true.
    pub(super) refused: bool,
}

/// All of one account. Nearly always that is one, and then nothing is allocated.
#[derive(Clone, Debug, Default)]
pub(super) enum Holders {
    #[default]
    Nobody,
    One(Holder),
    Many(Vec<Holder>),
}

impl Holder {
    /// One of `upper` tokens, who asks.
    pub(super) fn new(member: MemberId, upper: f64) -> Self {
        let in_flight = InFlight::default();
        Self { member, whole: false, upper, in_flight, recalled: false, idle: false, refused: false }
    }

    /// Nobody asks there, and there is nothing.
    pub(super) fn only_remembers(&self) -> bool {
        self.idle && !self.whole && self.upper <= super::entry::EPSILON
    }
}

impl Holders {
    /// Adds one at the end.
    pub(super) fn push(&mut self, holder: Holder) -> &mut Holder {
        match std::mem::take(self) {
            Self::Nobody => *self = Self::One(holder),
            Self::One(first) => *self = Self::Many(vec![first, holder]),
            Self::Many(mut all) => {
                // By less than Vec would: there are many accounts, and few holders come.
                if all.len() == all.capacity() {
                    all.reserve_exact(all.len() / 4 + 1);
                }
                all.push(holder);
                *self = Self::Many(all);
            }
        }
        let last = self.len() - 1;
        &mut self[last]
    }

    /// Takes one out; the last one takes its place.
    pub(super) fn remove(&mut self, member: MemberId) -> Option<Holder> {
        let index = self.iter().position(|holder| holder.member == member)?;
        match self {
            Self::Many(all) => {
                let gone = all.swap_remove(index);
                if let [_] = all[..] {
                    *self = all.pop().map_or(Self::Nobody, Self::One);
                }
                Some(gone)
            }
            Self::Nobody | Self::One(_) => match std::mem::take(self) {
                Self::One(holder) => Some(holder),
                Self::Nobody | Self::Many(_) => None,
            },
        }
    }
}

impl Deref for Holders {
    type Target = [Holder];

    fn deref(&self) -> &[Holder] {
        match self {
            Self::Nobody => &[],
            Self::One(holder) => std::slice::from_ref(holder),
            Self::Many(all) => all,
        }
    }
}

impl DerefMut for Holders {
    fn deref_mut(&mut self) -> &mut [Holder] {
        match self {
            Self::Nobody => &mut [],
            Self::One(holder) => std::slice::from_mut(holder),
            Self::Many(all) => all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_come_and_go() {
        let mut holders = Holders::default();
        assert!(holders.is_empty() && holders.remove(1).is_none());
        (1..=3).for_each(|member| _ = holders.push(Holder::new(member, 0.0)));
        assert_eq!(holders.remove(1).map(|holder| holder.member), Some(1));
        assert_eq!(holders.iter().map(|holder| holder.member).collect::<Vec<_>>(), [3, 2]);
        assert!(holders.remove(3).is_some() && holders.remove(3).is_none());
        assert!(matches!(holders, Holders::One(Holder { member: 2, .. })));
        assert!(holders.remove(2).is_some() && matches!(holders, Holders::Nobody));
    }
}
