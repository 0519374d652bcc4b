//! A ledger that starts anew: those who held something of the one before say what they have.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Ledger,
    entry::{EPSILON, Entry},
    member::{Knowledge, Member, MemberId, Standing},
    message::{Holding, Join},
};

/// Who is waited for, and who came.
#[derive(Debug)]
pub(super) struct Recovery {
    expected: BTreeSet<String>,
    came: BTreeMap<MemberId, Join>,
    /// By then all leases of the ledger before have ended.
    until: Duration,
}

impl Recovery {
    /// `None`: there is nobody to wait for.
    pub(super) fn of(expected: impl IntoIterator<Item = String>, until: Duration) -> Option<Self> {
        let expected: BTreeSet<_> = expected.into_iter().collect();
        (!expected.is_empty()).then(|| Self { expected, came: BTreeMap::new(), until })
    }

    pub(super) fn came_back(&mut self, id: MemberId, join: Join) {
        self.came.insert(id, join);
    }

    pub(super) fn expected(&self) -> impl Iterator<Item = String> + '_ {
        self.expected.iter().cloned()
    }

    fn is_over(&self, now: Duration) -> bool {
        now >= self.until || self.missing().next().is_none()
    }

    fn missing(&self) -> impl Iterator<Item = &String> {
        self.expected.iter().filter(|id| self.came.values().all(|join| join.replica_id != **id))
    }
}

impl Ledger {
    /// Ends the recovery when everyone is back, or when who is not has no lease any more.
    pub(super) fn recover(&mut self, now: Duration) {
        let Some(recovery) = self.recovery.take_if(|recovery| recovery.is_over(now)) else { return };
        self.restore_shares(&recovery, now);
        let mut by_key: BTreeMap<u64, Vec<(MemberId, Holding)>> = BTreeMap::new();
        for (id, join) in &recovery.came {
            for holding in &join.holdings {
                by_key.entry(holding.client.key).or_default().push((*id, *holding));
            }
        }
        by_key.into_iter().for_each(|(key, holdings)| self.restore(key, &holdings, now));
        self.set_factor(now);
    }

    fn restore_shares(&mut self, recovery: &Recovery, now: Duration) {
        let mut claimed = 0.0;
        for (id, join) in &recovery.came {
            let Some(member) = self.members.get_mut(id) else { continue };
            if recovery.expected.contains(&join.replica_id) && join.counts_on_something() {
                member.share = join.share.clamp(0.0, 1.0);
                member.knowledge = Knowledge::Earlier;
                member.begin_stream_with_share();
            }
            member.heard = now;
            member.lease_floor = now + self.timing.lease;
            claimed += member.share;
        }
        if claimed > 1.0 {
            // Shares that a ledger gave are not more than all.
            self.members.values_mut().for_each(|member| member.share /= claimed);
        }
        let missing: Vec<&String> = recovery.missing().collect();
        let share = (1.0 - claimed).max(0.0) / missing.len().max(1) as f64;
        for replica_id in missing {
            let mut member = Member::new(replica_id.clone(), 0, now);
            (member.standing, member.missing) = (Standing::Lost, true);
            (member.written_off, member.remembered) = (true, true);
            (member.share, member.lost_since, member.heard) = (share, now, Duration::ZERO);
            self.members.insert(self.next_member, member);
            self.next_member += 1;
            self.empty_since = Some(now);
        }
    }

    /// One that was missing says what its share is. What was set aside for it beyond that may be the share of another who
    /// is still missing: only what they have together is known.
    pub(super) fn hear_of_missing(&mut self, id: MemberId, join: &Join, now: Duration) {
        if !self.members.get(&id).is_some_and(|member| member.missing) {
            return;
        }
        let all: f64 = self.members.values().filter(|member| member.missing).map(|member| member.share).sum();
        let share = if join.counts_on_something() { join.share.clamp(0.0, all) } else { 0.0 };
        let missing = self.members.values().filter(|member| member.missing).count();
        let rest = (all - share) / (missing - 1).max(1) as f64;
        for (other, member) in self.members.iter_mut().filter(|(_, member)| member.missing) {
            member.share = if *other == id { share } else { rest };
        }
        self.set_factor(now);
    }

    /// The account of a client that data planes replayed.
    fn restore(&mut self, key: u64, holdings: &[(MemberId, Holding)], now: Duration) {
        let Some((_, first)) = holdings.iter().max_by_key(|(_, holding)| holding.client.revision) else { return };
        self.marks.add(key);
        let client = first.client;
        let mut entry = Entry::new(client, 0.0, self.marks.newest(), self.journal.newest(), now);
        // While somebody is missing, it may be the only one who knew that an earlier ledger had taken the others' shares.
        entry.replayed = self.empty_since.is_some() || holdings.iter().any(|(_, holding)| holding.known);
        let owner = owner(holdings);
        for (id, holding) in holdings {
            let tokens = holding.tokens.clamp(0.0, entry.capacity);
            entry.total += tokens;
            entry.add_holder(*id, tokens).whole = owner == Some(*id);
            let excess = holding.whole && owner != Some(*id);
            if let Some(member) = self.members.get_mut(id).filter(|_| excess) {
                member.draft.recalls.push(key);
            }
        }
        let believers = self.members.iter().filter(|(id, m)| m.counts() && !entry.has_holder(**id));
        entry.total += believers.map(|(_, m)| m.share * entry.capacity).sum::<f64>();
        self.entries.insert(key, entry);
    }
}

/// Who holds the whole bucket: the only one who says so, while nobody else has anything. One of two who say so was written
/// off by the ledger before, and nobody knows which.
fn owner(holdings: &[(MemberId, Holding)]) -> Option<MemberId> {
    let mut claims = holdings.iter().filter(|(_, holding)| holding.whole);
    let (Some((owner, _)), None) = (claims.next(), claims.next()) else { return None };
    let alone = holdings.iter().all(|(id, holding)| id == owner || holding.tokens <= EPSILON);
    alone.then_some(*owner)
}
