//! Which clients are not free, as a table of cells by hash, and its changes in order.
//!
//! A data plane spends its standing share of a client without asking while the client's cell is clear. So before tokens
//! that belong to that share are given to another, the cell is set and the data plane has said that it knows.

use std::collections::{BTreeMap, VecDeque};

use super::message::Marks;

/// Cells. A cell is shared by few clients while there are fewer clients in use than cells.
const CELLS: usize = 1 << 20;
/// Changes remembered; who is further behind gets everything.
const REMEMBERED: usize = 1 << 16;

/// Clients that are not free, counted by cell.
#[derive(Debug)]
pub(super) struct MarkTable {
    clients: BTreeMap<u32, u32>,
    changes: VecDeque<Change>,
    /// Number of the newest change.
    newest: u64,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    cell: u32,
    set: bool,
}

impl MarkTable {
    pub(super) fn new() -> Self {
        // Number 0 is held by those who know nothing.
        Self { clients: BTreeMap::new(), changes: VecDeque::new(), newest: 1 }
    }

    /// Number of the newest change.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// A client is not free any more.
    pub(super) fn add(&mut self, key: u64) {
        let cell = cell(key);
        let count = self.clients.entry(cell).or_insert(0);
        *count += 1;
        if *count == 1 {
            self.push(Change { cell, set: true });
        }
    }

    /// A client is free again.
    pub(super) fn remove(&mut self, key: u64) {
        let cell = cell(key);
        let Some(count) = self.clients.get_mut(&cell) else { return };
        *count -= 1;
        if *count == 0 {
            self.clients.remove(&cell);
            self.push(Change { cell, set: false });
        }
    }

    /// What changed after `known`; everything where that is not remembered.
    pub(super) fn since(&self, known: u64) -> Marks {
        let missing = usize::try_from(self.newest.saturating_sub(known)).unwrap_or(usize::MAX);
        if known == 0 || missing > self.changes.len() {
            return self.everything();
        }
        let mut last = BTreeMap::new();
        for change in self.changes.iter().skip(self.changes.len() - missing) {
            last.insert(change.cell, change.set);
        }
        let (set, cleared): (Vec<_>, Vec<_>) = last.into_iter().partition(|(_, set)| *set);
        let cells = |list: Vec<(u32, bool)>| list.into_iter().map(|(cell, _)| cell).collect();
        Marks { full: false, set: cells(set), cleared: cells(cleared) }
    }

    fn everything(&self) -> Marks {
        Marks { full: true, set: self.clients.keys().copied().collect(), cleared: Vec::new() }
    }

    fn push(&mut self, change: Change) {
        self.newest += 1;
        self.changes.push_back(change);
        if self.changes.len() > REMEMBERED {
            self.changes.pop_front();
        }
    }
}

/// The cell of a client: the upper bits of its key.
fn cell(key: u64) -> u32 {
    (key >> (64 - CELLS.trailing_zeros())) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_in_order_and_once() {
        let mut table = MarkTable::new();
        let start = table.newest();
        let (a, b) = (1 << 60, 2 << 60);
        table.add(a);
        table.add(a | 1);
        table.add(b);
        let known = table.newest();
        table.remove(b);
        table.remove(a);
        assert_eq!(table.since(start), Marks { full: false, set: vec![cell(a)], cleared: vec![cell(b)] });
        assert_eq!(table.since(known), Marks { full: false, set: vec![], cleared: vec![cell(b)] });
        assert_eq!(table.since(0), Marks { full: true, set: vec![cell(a)], cleared: vec![] });
        assert_eq!(table.since(table.newest()), Marks::default());
    }

    #[test]
    fn who_is_far_behind_gets_everything() {
        let mut table = MarkTable::new();
        let start = table.newest();
        (0..=REMEMBERED as u64 / 2 + 1).for_each(|n| {
            table.add(n << 44);
            table.remove(n << 44);
        });
        assert!(table.since(start).full);
    }
}
