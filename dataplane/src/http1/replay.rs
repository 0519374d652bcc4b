//! A client's connection, read from its bytes in whatever pieces they come. For tests and fuzz targets only.

use super::{Body, Fault, Form, Head};

/// What a reader of requests makes of a connection.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// Of each request.
    pub targets: Vec<Vec<u8>>,
    /// What is passed on of all bodies.
    pub bodies: Vec<u8>,
    /// Bytes of whole heads and of bodies.
    pub passed: usize,
    /// What was wrong; nothing is read after it.
    pub fault: Option<Fault>,
}

struct Reader {
    form: Form,
    held: Vec<u8>,
    head: Head,
    looked: usize,
    body: Body,
}

/// Shows `stream` in pieces of these lengths, and what is left of it at once. Bodies are passed on in this form.
pub fn replay(stream: &[u8], pieces: impl IntoIterator<Item = usize>, form: Form) -> Replay {
    let mut seen = Replay::default();
    let mut reader = Reader { form, held: Vec::new(), head: Head::default(), looked: 0, body: Body::default() };
    let mut rest = stream;
    for piece in pieces.into_iter().chain([stream.len()]) {
        let (now, later) = rest.split_at(piece.min(rest.len()));
        reader.held.extend_from_slice(now);
        rest = later;
        if let Err(fault) = reader.read(&mut seen) {
            seen.fault = Some(fault);
            return seen;
        }
    }
    seen
}

impl Reader {
    fn read(&mut self, seen: &mut Replay) -> Result<(), Fault> {
        loop {
            let consumed = if self.body.is_over() { self.read_head(seen)? } else { self.read_body(seen)? };
            self.held.drain(..consumed);
            seen.passed += consumed;
            if consumed == 0 {
                return Ok(());
            }
        }
    }

    fn read_head(&mut self, seen: &mut Replay) -> Result<usize, Fault> {
        let Some(length) = self.head.scan(&self.held, &mut self.looked)? else { return Ok(0) };
        let head = &self.head;
        assert!(head.bytes().ends_with(b"\r\n\r\n") && head.method().len() + head.target().len() < length);
        seen.targets.push(head.target().to_vec());
        (self.looked, self.body) = (0, Body::of_request(head.facts().framing, self.form));
        Ok(length)
    }

    fn read_body(&mut self, seen: &mut Replay) -> Result<usize, Fault> {
        let taken = self.body.take(&mut self.held)?;
        assert!(taken.ready <= taken.consumed && taken.consumed <= self.held.len());
        seen.bodies.extend_from_slice(&self.held[..taken.ready]);
        Ok(taken.consumed)
    }
}
