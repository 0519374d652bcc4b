//! A chunked body (RFC 9112 section 7.1).

use super::{Fault, field};

/// Longest line of a chunk's size and extensions, bytes with its line end.
const MAX_SIZE_LINE_BYTES: usize = 256;
/// Most bytes of trailers.
const MAX_TRAILER_BYTES: usize = 8 * 1024;
/// Most trailers; below hyper's own bound, so that too many are found here.
const MAX_TRAILERS: usize = 64;
/// Most extension bytes in one body: each costs more to read than it carries.
const MAX_EXTENSION_BYTES: usize = 16 * 1024;

/// Where in a chunked body the scanner is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chunked {
    place: Place,
    extension_bytes: usize,
    trailer_bytes: usize,
    trailers: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before the line with the size.
    #[default]
    Size,
    /// This many bytes of data are left.
    Data(u64),
    /// Before the line end that follows the data.
    DataEnd,
    /// In the trailers.
    Trailers,
}

/// How far a body got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Bytes that may pass.
    pub(super) passed: usize,
    /// The body is over.
    pub(super) done: bool,
}

impl Chunked {
    /// Checks what follows. Stops before a line that is not complete.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Progress, Fault> {
        let mut passed = 0;
        loop {
            let rest = &bytes[passed..];
            let step = match self.place {
                Place::Size => self.size_line(rest)?,
                Place::Data(left) => Some(self.data(rest, left)).filter(|n| *n > 0),
                Place::DataEnd => self.data_end(rest)?,
                Place::Trailers => match self.trailer(rest)? {
                    Some((length, true)) => return Ok(Progress { passed: passed + length, done: true }),
                    other => other.map(|(length, _)| length),
                },
            };
            match step {
                Some(length) => passed += length,
                None => return Ok(Progress { passed, done: false }),
            }
        }
    }

    fn size_line(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        let Some((line, rest)) = field::next_line(bytes).map_err(|_| Fault::Chunk)? else {
            return if bytes.len() > MAX_SIZE_LINE_BYTES { Err(Fault::Chunk) } else { Ok(None) };
        };
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let (size, extensions) = line.split_at(digits);
        self.extension_bytes += extensions.len();
        let size = hex(size).ok_or(Fault::Chunk)?;
        let valid = line.len() <= MAX_SIZE_LINE_BYTES
            && self.extension_bytes <= MAX_EXTENSION_BYTES
            && (extensions.is_empty() || (extensions[0] == b';' && super::chars::is_value(extensions)));
        if !valid {
            return Err(Fault::Chunk);
        }
        self.place = if size == 0 { Place::Trailers } else { Place::Data(size) };
        Ok(Some(bytes.len() - rest.len()))
    }

    fn data(&mut self, bytes: &[u8], left: u64) -> usize {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - length as u64;
        self.place = if left == 0 { Place::DataEnd } else { Place::Data(left) };
        length
    }

    fn data_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        match bytes {
            [b'\r', b'\n', ..] => {
                self.place = Place::Size;
                Ok(Some(2))
            }
            [] | [b'\r'] => Ok(None),
            _ => Err(Fault::Chunk),
        }
    }

    /// One line, and whether it was the last.
    fn trailer(&mut self, bytes: &[u8]) -> Result<Option<(usize, bool)>, Fault> {
        let line = field::next_line(bytes).map_err(|_| Fault::Chunk)?;
        let length = line.map_or(bytes.len(), |(_, rest)| bytes.len() - rest.len());
        if self.trailer_bytes + length > MAX_TRAILER_BYTES || self.trailers > MAX_TRAILERS {
            return Err(Fault::Chunk);
        }
        let Some((line, _)) = line else { return Ok(None) };
        self.trailer_bytes += length;
        self.trailers += 1;
        if !line.is_empty() {
            field::split(line).map_err(|_| Fault::Chunk)?;
        }
        Ok(Some((length, line.is_empty())))
    }
}

/// 1*HEXDIG, at most 15: no sum of chunks and buffers comes near an overflow.
fn hex(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok().filter(|t| (1..=15).contains(&t.len()))?;
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(body: &str) -> Result<Progress, Fault> {
        Chunked::default().scan(body.as_bytes())
    }

    #[test]
    fn bodies_end_where_they_end() {
        for body in ["0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "A;x=\"y\"\r\n0123456789\r\n00\r\nTrailer: x\r\n\r\n"] {
            assert_eq!(whole(&format!("{body}GET ")), Ok(Progress { passed: body.len(), done: true }), "{body:?}");
        }
    }

    #[test]
    fn bodies_that_are_none() {
        let long = "x".repeat(MAX_SIZE_LINE_BYTES);
        let trailers = format!("T: {}\r\n", "x".repeat(1000)).repeat(MAX_TRAILER_BYTES / 500);
        let many = "T: x\r\n".repeat(MAX_TRAILERS + 1);
        for body in [
            "\r\n",
            "0x5\r\nhello\r\n",
            "+5\r\nhello\r\n",
            "-1\r\n",
            "5_0\r\n",
            " 5\r\nhello\r\n",
            "5 \r\nhello\r\n",
            "5\nhello\r\n",
            "5\r\nhelloX\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello\r0\r\n",
            "5;a\rb\r\nhello\r\n",
            "5;a\0b\r\nhello\r\n",
            "10000000000000000\r\n",
            "fffffffffffffffff\r\n",
            "0\r\nbad trailer\r\n\r\n",
            "0\r\n x: y\r\n\r\n",
            "0\r\n\n",
            &format!("5;{long}"),
            &format!("0\r\n{trailers}\r\n"),
            &format!("0\r\n{many}\r\n"),
        ] {
            assert_eq!(whole(body), Err(Fault::Chunk), "{body:?}");
        }
    }

    #[test]
    fn extensions_are_bounded_over_the_whole_body() {
        let chunk = format!("1;{}\r\nx\r\n", "e".repeat(200));
        assert_eq!(whole(&chunk.repeat(MAX_EXTENSION_BYTES / 200 + 1)), Err(Fault::Chunk));
    }

    #[test]
    fn a_body_may_come_in_any_pieces() {
        let body = b"5;e\r\nhello\r\n3\r\nabc\r\n0\r\nT: x\r\n\r\n";
        let (mut state, mut passed) = (Chunked::default(), 0);
        for end in 1..=body.len() {
            let progress = state.scan(&body[passed..end]).unwrap();
            passed += progress.passed;
            assert_eq!(progress.done, end == body.len());
        }
        assert_eq!(passed, body.len());
    }
}
