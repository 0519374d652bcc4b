//! What a path with a senseless argument is told.

use std::fmt;

/// One sentence: which argument was wrong and what was expected.
#[derive(Debug)]
pub(crate) struct BadPath(String);

impl BadPath {
    pub(crate) fn new(argument: &str, expected: &str) -> Self {
        Self(format!("expected {expected}, got {argument:?}"))
    }
}

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
