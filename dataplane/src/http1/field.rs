//! A field line: `name ":" OWS value OWS` (RFC 9112 section 5).

use super::{Fault, Name, chars};

/// Where a field is in its head. Heads are shorter than 64 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Which of those that matter.
    pub name: Name,
    at: u16,
    colon: u16,
    value: u16,
    value_end: u16,
    end: u16,
}

impl Field {
    /// Checks the line from `at` to `lf`, the place of its line feed.
    pub(super) fn parse(head: &[u8], at: usize, lf: usize) -> Result<Self, Fault> {
        let end = lf.checked_sub(1).filter(|cr| *cr >= at && head[*cr] == b'\r').ok_or(Fault::LineEnd)?;
        let line = &head[at..end];
        let checked = split(line);
        let Ok((name, value)) = checked else {
            return Err(if memchr::memchr(b'\r', line).is_some() { Fault::LineEnd } else { Fault::Field });
        };
        let colon = at + name.len();
        let untrimmed = &line[name.len() + 1..];
        let value_at = colon + 1 + untrimmed.len() - untrimmed.trim_ascii_start().len();
        let place = |index: usize| u16::try_from(index).map_err(|_| Fault::HeadTooLarge);
        Ok(Self {
            name: Name::of(name),
            at: place(at)?,
            colon: place(colon)?,
            value: place(value_at)?,
            value_end: place(value_at + value.len())?,
            end: place(lf + 1)?,
        })
    }

    /// The field whose line begins at `at`, if all of it is there and nothing is wrong with it.
    pub(super) fn read(head: &[u8], at: usize) -> Option<Self> {
        let line = head.get(at..)?;
        let name = &line[..chars::token_length(line)];
        let after = line[name.len()..].strip_prefix(b":").filter(|_| !name.is_empty())?;
        let (value, rest) = after.split_at(chars::value_length(after));
        let lines_end = rest.starts_with(b"\r\n");
        let end = head.len() - rest.len() + 2;
        let place = u16::try_from;
        if !lines_end || place(end).is_err() {
            return None;
        }
        let value_end = end - 2 - (value.len() - value.trim_ascii_end().len());
        // All places are before `end`, which fits.
        let colon = at + name.len();
        let value = end - 2 - value.trim_ascii_start().len();
        Some(Self {
            name: Name::of(name),
            at: at as u16,
            colon: colon as u16,
            value: value as u16,
            value_end: value_end.max(value) as u16,
            end: end as u16,
        })
    }

    /// Where its line begins.
    pub fn start(&self) -> usize {
        self.at.into()
    }

    /// Where the next line begins.
    pub fn end(&self) -> usize {
        self.end.into()
    }

    /// Its name, as it was written.
    pub fn name_in<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        &head[self.at.into()..self.colon.into()]
    }

    /// Its value, without white space around it.
    pub fn value_in<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        &head[self.value.into()..self.value_end.into()]
    }
}

/// The fields of a head, in their order.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// The bytes that the places are in.
    pub bytes: &'a [u8],
    /// Where they are.
    pub places: &'a [Field],
}

impl<'a> Fields<'a> {
    /// Values of all fields called so.
    pub fn all(&self, name: Name) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        self.places.iter().filter(move |field| field.name == name).map(move |field| field.value_in(bytes))
    }

    /// Value of the first field called so.
    pub fn first(&self, name: Name) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// Value of the first field with this name, in whatever case.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        let called = |field: &&Field| field.name_in(self.bytes).eq_ignore_ascii_case(name.as_bytes());
        self.places.iter().find(called).map(|field| field.value_in(self.bytes))
    }

    /// Whether a Connection field names `name`, so that it must not be passed on.
    pub fn nominates(&self, name: &[u8]) -> bool {
        let options = self.all(Name::Connection).flat_map(|value| value.split(|byte| *byte == b','));
        options.map(<[u8]>::trim_ascii).any(|option| option.eq_ignore_ascii_case(name))
    }
}

/// Appends the line `name: value`.
pub(crate) fn put_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Splits a line, without its line end, into name and trimmed value.
pub(super) fn split(line: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    // A line that begins with white space continues the one before (obs-fold): its name is no token.
    let (name, rest) = line.split_at(chars::token_length(line));
    match rest {
        [b':', value @ ..] if !name.is_empty() && chars::is_value(value) => Ok((name, value.trim_ascii())),
        _ => Err(Fault::Field),
    }
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

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    proptest! {
        /// A line is read in one pass as it is when its end is looked for first.
        #[test]
        fn both_ways_to_read_a_line_agree(
            before in vec(select(b"a\r\n".as_slice()), 0..3),
            line in vec(select(b"aaaaabZ-_: \t:\r\n\x00\x7f\xff".as_slice()), 0..24),
        ) {
            let at = before.len();
            let head = [&before, line.as_slice(), b"\r\n"].concat();
            let lf = at + memchr::memchr(b'\n', &head[at..]).unwrap();
            prop_assert_eq!(Field::read(&head, at), Field::parse(&head, at, lf).ok());
            prop_assert_eq!(Field::read(&head[..lf], at), None);
        }
    }
}
