//! The reader of client connections: any bytes in any pieces get the same verdict, and it never passes more than it was
//! shown.

#![no_main]

use std::iter::repeat_n;

use dataplane::http1::{Form, replay::replay};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (whole, in_bytes) = (replay(bytes, [], Form::Chunked), replay(bytes, repeat_n(1, bytes.len()), Form::Chunked));
    // Of a body with a fault as much passes as was shown before.
    if whole.fault.is_some() {
        assert!(whole.passed <= in_bytes.passed && in_bytes.fault.is_some(), "{whole:?} {in_bytes:?}");
    } else {
        assert_eq!(whole, in_bytes);
    }
});
