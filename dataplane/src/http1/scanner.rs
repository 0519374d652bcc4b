//! The requests of one connection, one after the other.

use super::{Fault, Framing, chunked::Chunked, head::scan_head};

/// Follows the bytes of a connection and says how far they may pass.
#[derive(Debug, Default)]
pub struct Scanner {
    place: Place,
    heads: u64,
    about_server: AboutServer,
}

/// Which of the last 64 heads were about the server itself. Heads that lie further back than that have long been
/// answered, unless a client sends more than 64 requests ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AboutServer(pub u64);

impl AboutServer {
    /// Whether the head with this number was.
    pub fn contains(self, number: u64) -> bool {
        self.0 >> (number % 64) & 1 == 1
    }

    fn note(&mut self, number: u64, about_server: bool) {
        self.0 = self.0 & !(1 << (number % 64)) | u64::from(about_server) << (number % 64);
    }
}

#[derive(Debug)]
enum Place {
    /// In a head of which this many bytes were looked at.
    Head(usize),
    /// This many bytes of a body are left.
    Body(u64),
    Chunked(Chunked),
    /// After the head of a request for an upgrade: what follows passes when the answer is known.
    Upgrade,
    /// Another protocol.
    Opaque,
}

impl Default for Place {
    fn default() -> Self {
        Self::Head(0)
    }
}

/// What may happen to the bytes that were scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Bytes, from the first, that may pass. The rest must be shown again, with what follows it.
    pub passed: usize,
    /// What is wrong with the first byte that may not, or with what it begins.
    pub fault: Option<Fault>,
}

impl Scanner {
    /// Scans bytes that have not passed yet.
    pub fn scan(&mut self, bytes: &[u8]) -> Scan {
        let mut passed = 0;
        loop {
            match self.step(&bytes[passed..]) {
                Ok(0) => return Scan { passed, fault: None },
                Ok(length) => passed += length,
                Err(fault) => return Scan { passed, fault: Some(fault) },
            }
        }
    }

    /// Bytes that may pass now; 0 when there are none, or more are needed first.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        match &mut self.place {
            _ if bytes.is_empty() => Ok(0),
            Place::Head(seen) => match scan_head(bytes, seen)? {
                Some(head) => {
                    self.heads += 1;
                    self.about_server.note(self.heads, head.about_server);
                    self.place = match head.framing {
                        Framing::Chunked => Place::Chunked(Chunked::default()),
                        Framing::Length(0) if head.upgrade => Place::Upgrade,
                        Framing::Length(length) => Self::body(length),
                    };
                    Ok(head.length)
                }
                None => Ok(0),
            },
            Place::Body(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                self.place = Self::body(*left - length as u64);
                Ok(length)
            }
            Place::Chunked(chunked) => {
                let progress = chunked.scan(bytes)?;
                if progress.done {
                    self.place = Place::default();
                }
                Ok(progress.passed)
            }
            Place::Upgrade => Ok(0),
            Place::Opaque => Ok(bytes.len()),
        }
    }

    fn body(left: u64) -> Place {
        if left == 0 { Place::default() } else { Place::Body(left) }
    }

    /// Heads that have passed.
    pub fn heads(&self) -> u64 {
        self.heads
    }

    /// The latest heads that are about the server itself; they are numbered from 1.
    pub fn about_server(&self) -> AboutServer {
        self.about_server
    }

    /// Whether it waits for [`Self::resolve_upgrade`].
    pub fn awaits_upgrade(&self) -> bool {
        matches!(self.place, Place::Upgrade)
    }

    /// Whether a head has begun that is not complete, or none has begun.
    pub fn is_in_head(&self) -> bool {
        matches!(self.place, Place::Head(_))
    }

    /// Whether another protocol is spoken now.
    pub fn is_opaque(&self) -> bool {
        matches!(self.place, Place::Opaque)
    }

    /// The answer to a request for an upgrade is known: everything passes from now on, or the next request follows.
    pub fn resolve_upgrade(&mut self, switched: bool) {
        if self.awaits_upgrade() {
            self.place = if switched { Place::Opaque } else { Place::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const STREAM: &str = "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n\
        POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nGET \
        POST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nGET \r\n0\r\n\r\n\
        GET /4 HTTP/1.1\r\nHost: h\r\n\r\n";

    #[test]
    fn heads_about_the_server_are_known_by_their_number() {
        let mut scanner = Scanner::default();
        let request = |target: &str| format!("OPTIONS {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        for number in 1..200 {
            let target = if number % 3 == 0 { "http://h" } else { "http://h/" };
            scanner.scan(request(target).as_bytes());
            assert_eq!(scanner.about_server().contains(number), number % 3 == 0);
            assert_eq!(scanner.about_server().contains(number - 1), number > 1 && (number - 1) % 3 == 0);
        }
    }

    #[test]
    fn a_hidden_request_is_a_body() {
        let mut scanner = Scanner::default();
        assert_eq!(scanner.scan(STREAM.as_bytes()), Scan { passed: STREAM.len(), fault: None });
        assert_eq!(scanner.heads(), 4);
    }

    #[test]
    fn what_follows_an_upgrade_waits_for_the_answer() {
        let head = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
        for (switched, rest, expected) in [(true, "\0\x01", 2), (false, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 27)] {
            let mut scanner = Scanner::default();
            assert_eq!(scanner.scan(format!("{head}{rest}").as_bytes()).passed, head.len());
            assert!(scanner.awaits_upgrade());
            scanner.resolve_upgrade(switched);
            assert_eq!(scanner.scan(rest.as_bytes()), Scan { passed: expected, fault: None });
        }
    }

    #[test]
    fn a_fault_stops_before_the_message_it_is_in() {
        let good = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
        let scan = Scanner::default().scan(format!("{good}GET / HTTP/1.1\r\nHost: a b\r\n\r\n").as_bytes());
        assert_eq!(scan, Scan { passed: good.len(), fault: Some(Fault::Host) });
    }

    /// Feeds `stream` in pieces and says what passed in all.
    fn fed(stream: &[u8], pieces: &[usize]) -> (usize, Option<Fault>) {
        let (mut scanner, mut passed, mut end) = (Scanner::default(), 0, 0);
        for piece in pieces.iter().copied().chain([stream.len()]) {
            end = (end + piece).min(stream.len());
            let scan = scanner.scan(&stream[passed..end]);
            passed += scan.passed;
            if scan.fault.is_some() {
                return (passed, scan.fault);
            }
        }
        (passed, None)
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(pieces in vec(1usize..40, 0..40)) {
            prop_assert_eq!(fed(STREAM.as_bytes(), &pieces), (STREAM.len(), None));
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
            let (at_once, in_pieces) = (fed(&stream, &[]), fed(&stream, &pieces));
            prop_assert_eq!(at_once.1.is_some(), in_pieces.1.is_some());
        }
    }
}
