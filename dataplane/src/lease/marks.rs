//! Which clients are known not to be free: a table of bits that any thread reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Cells of the table, a number both planes agree on.
const CELLS: usize = 1 << 20;

/// One bit for each cell of clients. 128 KiB.
#[derive(Debug)]
pub struct MarkBits(Box<[AtomicU64]>);

impl Default for MarkBits {
    fn default() -> Self {
        Self((0..CELLS / 64).map(|_| AtomicU64::new(0)).collect())
    }
}

impl MarkBits {
    /// Whether a client may not be free.
    pub fn contains(&self, key: u64) -> bool {
        let cell = cell(key);
        self.0[cell as usize / 64].load(Relaxed) >> (cell % 64) & 1 == 1
    }

    /// These cells are marked, and no others. One that was marked before and is now is so all the time.
    pub(super) fn set_only(&self, cells: &[u32]) {
        let mut words = vec![0; self.0.len()];
        for cell in cells {
            if let Some(word) = words.get_mut(*cell as usize / 64) {
                *word |= 1 << (cell % 64);
            }
        }
        self.0.iter().zip(words).for_each(|(word, new)| word.store(new, Relaxed));
    }

    pub(super) fn set_all(&self) {
        self.0.iter().for_each(|word| word.store(u64::MAX, Relaxed));
    }

    /// A cell beyond the table is nobody's.
    pub(super) fn set(&self, cell: u32, marked: bool) {
        let Some(word) = self.0.get(cell as usize / 64) else { return };
        let bit = 1 << (cell % 64);
        if marked {
            word.fetch_or(bit, Relaxed)
        } else {
            word.fetch_and(!bit, Relaxed)
        };
    }
}

/// The cell of a client: the upper bits of its key.
pub(super) fn cell(key: u64) -> u32 {
    (key >> SHIFT) as u32
}

const SHIFT: u32 = 64 - CELLS.trailing_zeros();

/// The keys of a cell's clients.
pub(super) fn keys_of(cell: u32) -> std::ops::RangeInclusive<u64> {
    let first = u64::from(cell) << SHIFT;
    first..=first | ((1 << SHIFT) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_all_its_clients() {
        let marks = MarkBits::default();
        let key = 0xabcd_ef01_2345_6789;
        marks.set(cell(key), true);
        assert!(marks.contains(key) && keys_of(cell(key)).contains(&key));
        assert!(keys_of(cell(key)).all_in_one_cell() && !marks.contains(key ^ 1 << 63));
        marks.set(cell(key), false);
        marks.set(u32::MAX, true);
        assert!(!marks.contains(key));
        marks.set_all();
        marks.set_only(&[cell(key), u32::MAX]);
        assert!(marks.contains(key) && !marks.contains(key ^ 1 << 63));
    }

    trait AllInOneCell {
        fn all_in_one_cell(&self) -> bool;
    }

    impl AllInOneCell for std::ops::RangeInclusive<u64> {
        fn all_in_one_cell(&self) -> bool {
            cell(*self.start()) == cell(*self.end()) && cell(*self.start()) != cell(self.end().wrapping_add(1))
        }
    }
}
