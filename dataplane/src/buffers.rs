//! Memory that a thread's connections read into and write from.
//!
//! A connection that waits holds none: it takes a buffer when bytes come and gives it back when they are gone. So the
//! memory of idle connections does not grow with what they once carried, and a busy thread uses the same few buffers,
//! which its caches know, for everybody.

mod held;

use std::cell::RefCell;

pub(crate) use held::Held;

/// What one read takes at most, bytes.
pub(crate) const BLOCK_BYTES: usize = 64 * 1024;
/// What is read for a head that a large body is expected behind: the body is better not read.
pub(crate) const HEAD_READ_BYTES: usize = 8 * 1024;
/// Room in a block beyond a read, for what frames it as a chunk.
const BLOCK_MARGIN_BYTES: usize = 16;
/// Room in a sheet: most heads fit.
const SHEET_BYTES: usize = 2 * 1024;
/// A sheet that has grown beyond this is not kept.
const MAX_SHEET_BYTES: usize = 8 * 1024;
/// Buffers of each kind that are kept for later.
const MAX_SPARE: usize = 32;

/// The spare buffers of one thread. Never borrowed across an await.
#[derive(Default)]
pub(crate) struct Buffers {
    blocks: RefCell<Vec<Vec<u8>>>,
    sheets: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    /// An empty buffer for [`BLOCK_BYTES`].
    pub(crate) fn block(&self) -> Vec<u8> {
        self.blocks.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(BLOCK_BYTES + BLOCK_MARGIN_BYTES))
    }

    /// An empty buffer for a head.
    pub(crate) fn sheet(&self) -> Vec<u8> {
        self.sheets.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(SHEET_BYTES))
    }

    /// Takes back a buffer of either kind.
    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        let spare = match capacity {
            BLOCK_BYTES.. => &self.blocks,
            SHEET_BYTES..=MAX_SHEET_BYTES => &self.sheets,
            _ => return,
        };
        let mut spare = spare.borrow_mut();
        if spare.len() < MAX_SPARE && capacity <= 2 * BLOCK_BYTES {
            buffer.clear();
            spare.push(buffer);
        }
    }
}
