//! A field line: `name ":" OWS value OWS` (RFC 9112 section 5).

use super::{Fault, chars};

/// Splits a line, without its line end, into name and trimmed value.
pub(super) fn split(line: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    // A line that begins with white space continues the one before (obs-fold): its name is no token.
    let colon = line.iter().position(|b| *b == b':').ok_or(Fault::Field)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if chars::is_token(name) && chars::is_value(value) { Ok((name, value.trim_ascii())) } else { Err(Fault::Field) }
}

/// A line without its CR LF, and what follows it.
pub(super) type Line<'a> = (&'a [u8], &'a [u8]);

/// The line that `bytes` begins with. `None`: it has not ended yet.
pub(super) fn next_line(bytes: &[u8]) -> Result<Option<Line<'_>>, Fault> {
    let Some(lf) = memchr::memchr(b'\n', bytes) else { return Ok(None) };
    let line = bytes[..lf].strip_suffix(b"\r").ok_or(Fault::LineEnd)?;
    if memchr::memchr(b'\r', line).is_some() {
        return Err(Fault::LineEnd);
    }
    Ok(Some((line, &bytes[lf + 1..])))
}
