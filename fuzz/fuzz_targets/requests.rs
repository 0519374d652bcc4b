//! The scanner of client connections: any bytes in any pieces get the same verdict, and it never passes more than it
//! was shown.

#![no_main]

use dataplane::http1::{Fault, Scanner};
use libfuzzer_sys::fuzz_target;

/// Passes `bytes` as if they came in pieces of `piece` bytes; how many passed, and what was wrong.
fn scan(bytes: &[u8], piece: usize) -> (usize, Option<Fault>) {
    let (mut scanner, mut passed) = (Scanner::default(), 0);
    let ends = (piece..bytes.len()).step_by(piece).chain([bytes.len()]);
    for end in ends {
        let shown = &bytes[passed..end];
        let scan = scanner.scan(shown);
        assert!(scan.passed <= shown.len());
        passed += scan.passed;
        if scan.fault.is_some() {
            return (passed, scan.fault);
        }
        scanner.resolve_upgrade(false);
    }
    (passed, None)
}

fuzz_target!(|bytes: &[u8]| {
    let (whole, in_bytes) = (scan(bytes, bytes.len().max(1)), scan(bytes, 1));
    // What is behind an upgrade that is refused is shown only once by the first. And of a body with a fault as much
    // passes as was shown before.
    if whole.1.is_some() {
        assert!(whole.0 <= in_bytes.0 && in_bytes.1.is_some(), "{whole:?} {in_bytes:?}");
    }
});
