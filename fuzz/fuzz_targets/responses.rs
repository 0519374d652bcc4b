//! The reader of backends: any bytes in any pieces get the same verdict, and what is passed on of a chunked body is one,
//! with the same data.

#![no_main]

use dataplane::http1::{Body, Form, ResponseHead, scan_response};
use libfuzzer_sys::fuzz_target;

/// The head, what is passed on of the body, and whether that was malformed.
type Read = (Option<ResponseHead>, Vec<u8>, bool);

/// Reads `bytes` as if they came in pieces of `piece` bytes. `None`: it is no response.
fn read(bytes: &[u8], piece: usize, form: Form) -> Option<Read> {
    let (mut held, mut seen, mut fields) = (Vec::new(), 0, Vec::new());
    let (mut head, mut body, mut passed): (Option<ResponseHead>, _, _) = (None, Body::default(), Vec::new());
    for piece in bytes.chunks(piece) {
        held.extend_from_slice(piece);
        if head.is_none() {
            head = scan_response(&held, &mut seen, false, &mut fields).ok()?;
            if let Some(head) = &head {
                body = Body::of_response(head.framing, form);
                held.drain(..head.length);
            }
        }
        if head.is_some() {
            let Ok(taken) = body.take(&mut held) else { return Some((head, passed, true)) };
            assert!(taken.ready <= taken.consumed && taken.consumed <= held.len());
            passed.extend_from_slice(&held[..taken.ready]);
            held.drain(..taken.consumed);
        }
    }
    Some((head, passed, false))
}

fuzz_target!(|bytes: &[u8]| {
    let whole = read(bytes, bytes.len().max(1), Form::Chunked);
    let in_bytes = read(bytes, 1, Form::Chunked);
    match (&whole, &in_bytes) {
        (Some((_, _, false)), _) | (None, _) => assert_eq!(whole, in_bytes),
        (Some(_), other) => assert!(other.as_ref().is_some_and(|(_, _, malformed)| *malformed)),
    }
    // Read again, it says the same.
    let (Some((Some(head), chunks, false)), Some((_, data, _))) = (whole, read(bytes, 1, Form::Data)) else { return };
    let mut again = Body::of_response(head.framing, Form::Data);
    let mut chunks = chunks;
    let taken = again.take(&mut chunks).expect("what is passed on is a body");
    assert_eq!(&chunks[..taken.ready], data);
});
