//! The reader of client connections: any bytes in any pieces get the same verdict, and it never passes more than it was
//! shown.

#![no_main]

use dataplane::http1::{Body, Fault, Form, Head};
use libfuzzer_sys::fuzz_target;

/// What was read: bytes of whole heads and of bodies, bytes passed on of bodies, and what was wrong.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    passed: usize,
    bodies: Vec<u8>,
    fault: Option<Fault>,
}

/// Reads `bytes` as if they came in pieces of `piece` bytes.
fn read(bytes: &[u8], piece: usize) -> Seen {
    let (mut seen, mut held) = (Seen::default(), Vec::new());
    let (mut head, mut looked, mut body) = (Head::default(), 0, Body::default());
    for piece in bytes.chunks(piece) {
        held.extend_from_slice(piece);
        if let Err(fault) = read_held(&mut seen, &mut held, &mut head, &mut looked, &mut body) {
            seen.fault = Some(fault);
            break;
        }
    }
    seen
}

fn read_held(
    seen: &mut Seen,
    held: &mut Vec<u8>,
    head: &mut Head,
    looked: &mut usize,
    body: &mut Body,
) -> Result<(), Fault> {
    loop {
        let consumed = if body.is_over() {
            let Some(length) = head.scan(held, looked)? else { return Ok(()) };
            assert!(head.bytes().ends_with(b"\r\n\r\n") && head.method().len() + head.target().len() < length);
            (*looked, *body) = (0, Body::of_request(head.facts().framing, Form::Chunked));
            length
        } else {
            let taken = body.take(held)?;
            assert!(taken.ready <= taken.consumed && taken.consumed <= held.len());
            seen.bodies.extend_from_slice(&held[..taken.ready]);
            taken.consumed
        };
        held.drain(..consumed);
        seen.passed += consumed;
        if consumed == 0 {
            return Ok(());
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (whole, in_bytes) = (read(bytes, bytes.len().max(1)), read(bytes, 1));
    // Of a body with a fault as much passes as was shown before.
    if whole.fault.is_some() {
        assert!(whole.passed <= in_bytes.passed && in_bytes.fault.is_some(), "{whole:?} {in_bytes:?}");
    } else {
        assert_eq!(whole, in_bytes);
    }
});
