//! A chunked body (RFC 9112 section 7.1).

use super::{Fault, Form, field};

/// Longest line of a chunk's size and extensions, bytes with its line end.
const MAX_SIZE_LINE_BYTES: usize = 256;
/// Most bytes of trailers.
const MAX_TRAILER_BYTES: usize = 8 * 1024;
/// Most trailers.
const MAX_TRAILERS: usize = 64;
/// Most extension bytes in one body: each costs more to read than it carries.
const MAX_EXTENSION_BYTES: usize = 16 * 1024;

/// Where in a chunked body its reader is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chunked {
    place: Place,
    extension_bytes: usize,
    /// Names of trailers that may be passed on, as `Trailer` lists them. Empty: none.
    pub(super) announced: Vec<u8>,
    /// Lines of trailers that are passed on, after the end.
    pub(super) trailers: Vec<u8>,
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
}

/// How far a body got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Bytes that are done with.
    pub(super) passed: usize,
    /// Bytes to pass on in their place, at the beginning of those; never more than they.
    pub(super) written: usize,
    /// Bytes of data among those.
    pub(super) data: usize,
    /// The body is over.
    pub(super) done: bool,
}

/// A line with a chunk's size.
struct SizeLine {
    length: usize,
    size: u64,
    /// The digits, without zeros in front.
    digits: std::ops::Range<usize>,
    extension_bytes: usize,
}

impl Chunked {
    /// Checks what follows and puts in its place, from the beginning, what is to be passed on: the data, in chunks
    /// without extensions or bare. Stops before a line that is not complete, and before the last chunk until all
    /// trailers are there: what has been passed on of a body with a fault never ends.
    pub(super) fn rewrite(&mut self, bytes: &mut [u8], form: Form) -> Result<Progress, Fault> {
        let mut progress = Progress::default();
        loop {
            let at = progress.passed;
            let step = match self.place {
                Place::Size => match self.size_line(&bytes[at..])? {
                    Some(line) if line.size == 0 => self.last_chunk(bytes, line.length, &mut progress, form)?,
                    Some(line) => self.begin(bytes, &line, &mut progress, form),
                    None => false,
                },
                Place::Data(left) => self.data(bytes, left, &mut progress),
                Place::DataEnd => self.data_end(bytes, &mut progress, form)?,
            };
            if !step || progress.done {
                return Ok(progress);
            }
        }
    }

    /// The line with the size of the next chunk.
    fn size_line(&self, bytes: &[u8]) -> Result<Option<SizeLine>, Fault> {
        let Some((line, rest)) = field::next_line(bytes).map_err(|_| Fault::Chunk)? else {
            return if bytes.len() > MAX_SIZE_LINE_BYTES { Err(Fault::Chunk) } else { Ok(None) };
        };
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let (number, extensions) = line.split_at(digits);
        let size = hex(number).ok_or(Fault::Chunk)?;
        let valid = line.len() <= MAX_SIZE_LINE_BYTES
            && self.extension_bytes + extensions.len() <= MAX_EXTENSION_BYTES
            && (extensions.is_empty() || (extensions[0] == b';' && super::chars::is_value(extensions)));
        if !valid {
            return Err(Fault::Chunk);
        }
        let zeros = number.iter().take_while(|digit| **digit == b'0').count();
        Ok(Some(SizeLine {
            length: bytes.len() - rest.len(),
            size,
            digits: zeros..digits,
            extension_bytes: extensions.len(),
        }))
    }

    fn begin(&mut self, bytes: &mut [u8], line: &SizeLine, progress: &mut Progress, form: Form) -> bool {
        let at = progress.passed;
        if form == Form::Chunked {
            let digits = at + line.digits.start..at + line.digits.end;
            progress.written = keep(bytes, digits, progress.written);
            progress.written = put(bytes, b"\r\n", progress.written);
        }
        self.extension_bytes += line.extension_bytes;
        self.place = Place::Data(line.size);
        progress.passed += line.length;
        true
    }

    fn data(&mut self, bytes: &mut [u8], left: u64, progress: &mut Progress) -> bool {
        let at = progress.passed;
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
        progress.written = keep(bytes, at..at + length, progress.written);
        progress.passed += length;
        progress.data += length;
        let left = left - length as u64;
        self.place = if left == 0 { Place::DataEnd } else { Place::Data(left) };
        length > 0
    }

    fn data_end(&mut self, bytes: &mut [u8], progress: &mut Progress, form: Form) -> Result<bool, Fault> {
        match &bytes[progress.passed..] {
            [b'\r', b'\n', ..] => {
                if form == Form::Chunked {
                    progress.written = put(bytes, b"\r\n", progress.written);
                }
                self.place = Place::Size;
                progress.passed += 2;
                Ok(true)
            }
            [] | [b'\r'] => Ok(false),
            _ => Err(Fault::Chunk),
        }
    }

    /// The last chunk, whose line has this length, and the trailers, if all of that is there.
    fn last_chunk(
        &mut self,
        bytes: &mut [u8],
        line: usize,
        progress: &mut Progress,
        form: Form,
    ) -> Result<bool, Fault> {
        let at = progress.passed;
        let Some(length) = self.take_trailers(&bytes[at + line..])? else { return Ok(false) };
        if form == Form::Chunked {
            progress.written = put(bytes, b"0\r\n", progress.written);
            progress.written = put(bytes, &self.trailers, progress.written);
            progress.written = put(bytes, b"\r\n", progress.written);
        }
        progress.passed += line + length;
        progress.done = true;
        Ok(true)
    }

    /// Keeps the trailers that may be passed on; how many bytes there are of all of them, with the empty line.
    fn take_trailers(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        self.trailers.clear();
        let (mut rest, mut count) = (bytes, 0);
        loop {
            let next = field::next_line(rest).map_err(|_| Fault::Chunk)?;
            let length = bytes.len() - next.map_or(0, |(_, after)| after.len());
            if length > MAX_TRAILER_BYTES || count > MAX_TRAILERS {
                return Err(Fault::Chunk);
            }
            let Some((line, after)) = next else { return Ok(None) };
            if line.is_empty() {
                return Ok(Some(length));
            }
            let (name, _) = field::split(line).map_err(|_| Fault::Chunk)?;
            if may_trail(name, &self.announced) {
                self.trailers.extend_from_slice(line);
                self.trailers.extend_from_slice(b"\r\n");
            }
            (rest, count) = (after, count + 1);
        }
    }
}

/// Announces whatever may be a trailer: of those who need not announce any.
pub(crate) const ANY_TRAILER: &[u8] = b"*";

/// Whether a trailer may be passed on where these are `announced`.
pub(crate) fn may_trail(name: &[u8], announced: &[u8]) -> bool {
    let mut announced = announced.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    announced.any(|known| known == ANY_TRAILER || known.eq_ignore_ascii_case(name)) && !decides(name)
}

/// Whether a field decides about the message and so must not come late (RFC 9110 section 6.5.1).
fn decides(name: &[u8]) -> bool {
    let known: [&[u8]; 21] = [
        b"authorization",
        b"cache-control",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"cookie",
        b"expect",
        b"forwarded",
        b"host",
        b"http2-settings",
        b"keep-alive",
        b"max-forwards",
        b"set-cookie",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"via",
        b"x-api-key",
    ];
    let is_prefixed = |prefix: &[u8]| name.get(..prefix.len()).is_some_and(|n| n.eq_ignore_ascii_case(prefix));
    known.iter().any(|field| field.eq_ignore_ascii_case(name)) || is_prefixed(b"x-forwarded-") || is_prefixed(b"proxy-")
}

/// Moves a part to `at`, which is not behind it; where the next one goes.
fn keep(bytes: &mut [u8], part: std::ops::Range<usize>, at: usize) -> usize {
    let length = part.len();
    if part.start != at {
        bytes.copy_within(part, at);
    }
    at + length
}

/// Writes a part at `at`; where the next one goes.
fn put(bytes: &mut [u8], part: &[u8], at: usize) -> usize {
    bytes[at..at + part.len()].copy_from_slice(part);
    at + part.len()
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
        Chunked::default().rewrite(&mut body.as_bytes().to_vec(), Form::Chunked)
    }

    /// What is passed on of a body that comes in pieces of this many bytes, and whether it ended.
    fn passed_on(chunked: &mut Chunked, body: &str, piece: usize, form: Form) -> (String, bool) {
        let (mut held, mut passed, mut done) = (Vec::new(), Vec::new(), false);
        for piece in body.as_bytes().chunks(piece) {
            held.extend_from_slice(piece);
            let progress = chunked.rewrite(&mut held, form).unwrap();
            passed.extend_from_slice(&held[..progress.written]);
            held.drain(..progress.passed);
            done |= progress.done;
        }
        (String::from_utf8(passed).unwrap(), done)
    }

    #[test]
    fn bodies_end_where_they_end() {
        for body in ["0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "A;x=\"y\"\r\n0123456789\r\n00\r\nTrailer: x\r\n\r\n"] {
            let progress = whole(&format!("{body}GET ")).unwrap();
            assert_eq!((progress.passed, progress.done), (body.len(), true), "{body:?}");
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
            let progress = state.rewrite(&mut body[passed..end].to_vec(), Form::Data).unwrap();
            passed += progress.passed;
            assert_eq!(progress.done, end == body.len());
        }
        assert_eq!(passed, body.len());
    }

    #[test]
    fn extensions_and_zeros_and_trailers_stay_behind() {
        let body = "0003;a=b\r\nabc\r\nA\r\n0123456789\r\n00;c\r\nX-T: 1\r\n\r\n";
        for piece in 1..body.len() {
            let chunks = passed_on(&mut Chunked::default(), body, piece, Form::Chunked);
            assert_eq!(chunks, ("3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n".to_owned(), true), "{piece}");
            let data = passed_on(&mut Chunked::default(), body, piece, Form::Data);
            assert_eq!(data, ("abc0123456789".to_owned(), true));
        }
    }

    #[test]
    fn announced_trailers_pass_unless_they_decide_about_the_message() {
        let body = "0\r\nX-T: 1\r\nHost: evil\r\nX-U: 2\r\nX-Forwarded-For: a\r\n\r\n";
        for piece in 1..body.len() {
            let mut chunked = Chunked { announced: b"host, x-t ,x-forwarded-for".to_vec(), ..Chunked::default() };
            let passed = passed_on(&mut chunked, body, piece, Form::Chunked);
            assert_eq!(passed, ("0\r\nX-T: 1\r\n\r\n".to_owned(), true), "{piece}");
            assert_eq!(chunked.trailers, b"X-T: 1\r\n");
        }
    }

    #[test]
    fn a_body_with_a_bad_trailer_never_ends() {
        let mut chunked = Chunked::default();
        let mut body = b"1\r\nx\r\n0\r\nX-T: 1\r\n".to_vec();
        let progress = chunked.rewrite(&mut body, Form::Chunked).unwrap();
        assert_eq!(&body[..progress.written], b"1\r\nx\r\n");
        assert_eq!(chunked.rewrite(&mut b"0\r\nX-T: 1\r\nbad\r\n\r\n".to_vec(), Form::Chunked), Err(Fault::Chunk));
    }
}
