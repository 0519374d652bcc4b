//! The PROXY protocol header: whatever a connection begins with, it is a header of so many bytes, the beginning of one, or
//! none; and that does not depend on how much of it is there.

#![no_main]

use dataplane::proxy_protocol::{MAX_HEADER_BYTES, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    if let Ok(Some(header)) = whole {
        assert!(header.length <= bytes.len().min(MAX_HEADER_BYTES));
        // What follows it is the client's, and means nothing here.
        assert_eq!(parse(&bytes[..header.length]), whole);
    }
    let end = whole.ok().flatten().map_or(bytes.len(), |header| header.length);
    for length in 0..end {
        let part = parse(&bytes[..length]);
        // Less of it is the beginning of one, unless it is none already.
        assert!(part == Ok(None) || (part.is_err() && whole.is_err()), "{length} of {end}: {part:?}, {whole:?}");
    }
    assert!(bytes.len() < MAX_HEADER_BYTES || whole != Ok(None), "nobody waits for a header without end");
});
