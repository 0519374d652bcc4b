//! Which line of a text a byte stands on.

/// Counts lines while walking through a text once.
pub(crate) struct Lines<'a> {
    data: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, line: 1 }
    }

    /// The line, from 1, of the byte at `offset`. Offsets must not decrease from call to call.
    pub(crate) fn of(&mut self, offset: usize) -> u64 {
        let end = offset.min(self.data.len());
        if let Some(passed) = self.data.get(self.at..end) {
            self.line += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.at = end;
        }
        self.line
    }

    /// The line of the first byte at or after `offset` that is not a line break.
    pub(crate) fn of_text_after(&mut self, offset: usize) -> u64 {
        let rest = self.data.get(offset..).unwrap_or_default();
        let breaks = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.of(offset + breaks)
    }
}
