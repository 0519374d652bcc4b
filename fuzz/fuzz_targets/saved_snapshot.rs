//! The saved snapshot: whatever the disk gives back, it is restored or refused. Here its checksum always fits, so that
//! the decoder behind it is reached.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    // Refusing is what mostly happens.
    let _ = dataplane::fuzzing::restore(content);
});
