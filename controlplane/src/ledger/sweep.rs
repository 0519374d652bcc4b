//! Looking after all accounts, a few at a time, however many there are.

use std::time::Duration;

use super::{Ledger, member::MemberId, message::Grant};

/// Rounds begin no more often than this, unless there is news for the accounts.
const ROUND: Duration = Duration::from_secs(1);
/// Accounts that may be given to data planes to remember in a tick.
const CUSTODIES: usize = 2000;

/// How far the round is.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// Whose turn it is; `None`: between rounds.
    next: Option<u64>,
    /// The newest event when the round began.
    tells: u32,
    next_round_at: Duration,
}

impl Ledger {
    /// Tells the next accounts the news, and closes those that are full and that nobody uses.
    pub(super) fn sweep(&mut self, now: Duration) {
        let Some(from) = self.sweep.next.or_else(|| self.begin_round(now)) else { return };
        let (mut free, mut next) = (Vec::new(), None);
        for (count, (key, entry)) in self.entries.range_mut(from..).enumerate() {
            if count >= self.timing.accounts_per_tick {
                next = Some(*key);
                break;
            }
            if self.journal.tell(*key, entry) {
                self.orphans.push_back(*key);
            }
            if entry.is_unused() {
                entry.settle(self.factor, now);
                if entry.is_free() {
                    free.push(*key);
                }
            }
        }
        self.sweep.next = next;
        if next.is_none() {
            self.journal.forget(self.sweep.tells);
        }
        free.into_iter().for_each(|key| self.close_if_free(key, now));
    }

    fn begin_round(&mut self, now: Duration) -> Option<u64> {
        if self.journal.is_empty() && now < self.sweep.next_round_at {
            return None;
        }
        (self.sweep.tells, self.sweep.next_round_at) = (self.journal.newest(), now + ROUND);
        Some(0)
    }

    /// Closes the accounts to which everything came back.
    pub(super) fn free_the_returned(&mut self, now: Duration) {
        std::mem::take(&mut self.full).into_iter().for_each(|key| self.close_if_free(key, now));
    }

    fn close_if_free(&mut self, key: u64, now: Duration) {
        if !self.waiting.contains_key(&key) && self.look(key, now).is_some_and(|entry| entry.is_free()) {
            self.entries.remove(&key);
            self.marks.remove(key);
        }
    }

    /// Accounts that no data plane remembers are told to one, so that a ledger that starts anew hears of them. Not all to
    /// the same one, and not all at once: there may be as many as a lost data plane had clients.
    pub(super) fn find_custodians(&mut self, now: Duration) {
        let able: Vec<_> = self.members.iter().filter(|(_, m)| m.can_remember()).map(|(id, _)| *id).collect();
        if able.is_empty() {
            return;
        }
        for _ in 0..self.orphans.len().min(CUSTODIES) {
            let Some(key) = self.orphans.pop_front() else { return };
            // The lowest bit says something of the client.
            let first = (key >> 1) as usize % able.len();
            if !able[first..].iter().chain(&able[..first]).any(|id| self.entrust(key, *id, now)) {
                self.orphans.push_back(key);
            }
        }
    }

    /// A data plane is to remember a client that nobody does. False: it cannot, it may still believe in its share.
    fn entrust(&mut self, key: u64, id: MemberId, now: Duration) -> bool {
        let Some(marks_acked) = self.members.get(&id).map(|member| member.marks_acked) else { return false };
        let Some(entry) = self.look(key, now).filter(|entry| entry.holders.is_empty()) else { return true };
        if marks_acked < entry.mark {
            return false;
        }
        entry.add_holder(id, 0.0).idle = true;
        let remember = Some(entry.client(key));
        if let Some(member) = self.members.get_mut(&id) {
            member.grant(Grant { key, tokens: 0.0, whole: false, retry: Duration::ZERO, remember });
        }
        true
    }
}
