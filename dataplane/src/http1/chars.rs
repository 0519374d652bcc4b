//! Which bytes may stand where, as tables: one load a byte.

const fn table(special: &[u8], letters_and_digits: bool) -> [bool; 256] {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        allowed[byte] = letters_and_digits && (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < special.len() {
        allowed[special[index] as usize] = true;
        index += 1;
    }
    allowed
}

const fn values() -> [bool; 256] {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        allowed[byte] = byte == b'\t' as usize || (byte >= b' ' as usize && byte != 0x7f);
        byte += 1;
    }
    allowed
}

/// tchar (RFC 9110 section 5.6.2).
static TOKEN: [bool; 256] = table(b"!#$%&'*+-.^_`|~", true);
/// field-vchar, SP and HTAB (RFC 9110 section 5.5).
static VALUE: [bool; 256] = values();
/// Path and query (RFC 3986), and `"` `{` `}` `|`, which browsers send.
static TARGET: [bool; 256] = table(b"-._~!$&'()*+,;=:@/?%[]\\\"{}|", true);
/// reg-name without pct-encoded (RFC 3986 section 3.2.2).
static HOST: [bool; 256] = table(b"-._~!$&'()*+,;=", true);

/// How many bytes of a token these begin with.
pub(super) fn token_length(bytes: &[u8]) -> usize {
    length(bytes, |word| !letters_and_hyphens(word) & HIGH, &TOKEN)
}

/// How many bytes of a field's value, with white space around it, these begin with.
pub(super) fn value_length(bytes: &[u8]) -> usize {
    // A tab is allowed, and found by the table: it is rare.
    length(bytes, controls, &VALUE)
}

/// Whether it may be a field's value.
pub(super) fn is_value(bytes: &[u8]) -> bool {
    value_length(bytes) == bytes.len()
}

/// How many bytes of an authority's name these begin with.
pub(super) fn host_length(bytes: &[u8]) -> usize {
    prefix(&HOST, bytes)
}

/// How many of these bytes are allowed, before the first that is not. `suspects` marks the high bits of bytes of a word,
/// little endian; where it marks none, all eight are allowed, and so are those before the first mark.
fn length(bytes: &[u8], suspects: impl Fn(u64) -> u64, allowed: &[bool; 256]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    let marked = words.iter().position(|word| suspects(u64::from_le_bytes(*word)) != 0);
    let at = match marked {
        Some(index) => index * 8 + (suspects(u64::from_le_bytes(words[index])).trailing_zeros() / 8) as usize,
        None => bytes.len() - rest.len(),
    };
    at + prefix(allowed, &bytes[at..])
}

const ONES: u64 = u64::MAX / 0xff;
const HIGH: u64 = ONES << 7;

/// Marks the letters of ASCII and hyphens among eight bytes.
fn letters_and_hyphens(word: u64) -> u64 {
    // Without the high bits sums stay in their bytes.
    let low = word & !HIGH;
    let lower = low | (ONES * 0x20);
    let letters = (lower + ONES * (0x80 - b'a' as u64)) & !(lower + ONES * (0x7f - b'z' as u64));
    let hyphens = !((low ^ (ONES * b'-' as u64)) + ONES * 0x7f);
    (letters | hyphens) & !word & HIGH
}

/// Marks bytes below 0x20, and 0x7f; above the first that is one, perhaps others too. "Bit Twiddling Hacks" (Sean Eron
/// Anderson), `hasless`.
fn controls(word: u64) -> u64 {
    let delete = word ^ (ONES * 0x7f);
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    below(word, 0x20) | below(delete, 1)
}

/// Whether it may be a path and query.
pub(crate) fn is_target(bytes: &[u8]) -> bool {
    all(&TARGET, bytes)
}

/// Whether it may be a registered name.
pub(super) fn is_host(bytes: &[u8]) -> bool {
    all(&HOST, bytes)
}

fn all(allowed: &[bool; 256], bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| allowed[usize::from(*byte)])
}

fn prefix(allowed: &[bool; 256], bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !allowed[usize::from(*byte)]).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A byte at every place between others.
    fn everywhere(mut judge: impl FnMut(u8, usize, u8, &[u8])) {
        for byte in 0..=255u8 {
            for (length, place) in (1..20).flat_map(|length| (0..length).map(move |place| (length, place))) {
                for other in [b'a', b'Z', b'-', b'7', b'\t', 0xff] {
                    let mut bytes = vec![other; length];
                    bytes[place] = byte;
                    judge(byte, place, other, &bytes);
                }
            }
        }
    }

    #[test]
    fn every_byte_at_every_place_is_judged_as_the_tables_say() {
        everywhere(|byte, place, other, bytes| {
            for (length, allowed) in [(value_length(bytes), &VALUE), (token_length(bytes), &TOKEN)] {
                let expected = match (allowed[usize::from(other)], allowed[usize::from(byte)]) {
                    (true, true) => bytes.len(),
                    (true, false) => place,
                    (false, true) => usize::from(place == 0),
                    (false, false) => 0,
                };
                assert_eq!(length, expected, "{byte:#x} at {place} in {bytes:x?}");
            }
        });
    }
}
