//! The messages of one connection, one after the other.

use proptest::{collection::vec, prelude::*};

use super::{
    replay::{Replay, replay},
    *,
};

const STREAM: &str = "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n\
    POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nGET \
    POST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nGET \r\n0\r\n\r\n\
    GET /4 HTTP/1.1\r\nHost: h\r\n\r\n";

fn read(stream: &[u8], pieces: &[usize]) -> Replay {
    replay(stream, pieces.iter().copied(), Form::Data)
}

#[test]
fn a_hidden_request_is_a_body() {
    let seen = read(STREAM.as_bytes(), &[]);
    assert_eq!((seen.passed, seen.fault), (STREAM.len(), None));
    assert_eq!((seen.targets.join(&b' '), seen.bodies.as_slice()), (b"/1 /2 /3 /4".to_vec(), &b"GET GET "[..]));
}

#[test]
fn a_fault_stops_before_the_message_it_is_in() {
    let good = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let seen = read(format!("{good}GET / HTTP/1.1\r\nHost: a b\r\n\r\n").as_bytes(), &[]);
    assert_eq!((seen.passed, seen.fault), (good.len(), Some(Fault::Host)));
}

proptest! {
    #[test]
    fn pieces_do_not_matter(pieces in vec(1usize..40, 0..40)) {
        prop_assert_eq!(read(STREAM.as_bytes(), &pieces), read(STREAM.as_bytes(), &[]));
    }

    #[test]
    fn nothing_panics_and_pieces_do_not_change_what_is_refused(
        mutations in vec((0..STREAM.len(), any::<u8>()), 0..4),
        pieces in vec(1usize..40, 0..40),
    ) {
        let mut stream = STREAM.as_bytes().to_vec();
        for (index, byte) in mutations {
            stream[index] = byte;
        }
        let (at_once, in_pieces) = (read(&stream, &[]), read(&stream, &pieces));
        prop_assert_eq!(at_once.fault.is_some(), in_pieces.fault.is_some());
        if at_once.fault.is_none() {
            prop_assert_eq!(at_once, in_pieces);
        }
    }

    #[test]
    fn no_response_panics_and_pieces_do_not_change_the_verdict(
        mutations in vec((0usize..90, any::<u8>()), 0..4),
        pieces in vec(1usize..40, 0..10),
    ) {
        let mut head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: x, close\r\nX-A: \tb c \r\nDate: d\r\n\r\n".to_vec();
        for (index, byte) in mutations {
            if let Some(place) = head.get_mut(index) {
                *place = byte;
            }
        }
        let whole = scan_response(&head, &mut 0, false, &mut Vec::new());
        let (mut seen, mut end, mut fields) = (0, 0, Vec::new());
        let mut in_pieces = Ok(None);
        for piece in pieces.iter().copied().chain([head.len()]) {
            end = (end + piece).min(head.len());
            in_pieces = scan_response(&head[..end], &mut seen, false, &mut fields);
            if in_pieces != Ok(None) {
                break;
            }
        }
        prop_assert_eq!(whole, in_pieces);
    }
}
