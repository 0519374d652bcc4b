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
    bytes.iter().position(|byte| !TOKEN[usize::from(*byte)]).unwrap_or(bytes.len())
}

/// Whether it may be a field's value.
pub(super) fn is_value(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    // A tab is allowed, and found by the table: it is rare.
    words.iter().all(|word| !has_control(u64::from_ne_bytes(*word)) || all(&VALUE, word)) && all(&VALUE, rest)
}

/// Whether one of eight bytes is below 0x20, or 0x7f. "Bit Twiddling Hacks" (Sean Eron Anderson), `hasless`.
fn has_control(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    let delete = word ^ (ONES * 0x7f);
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    (below(word, 0x20) | below(delete, 1)) != 0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_of_a_value_is_judged_as_the_table_says() {
        for byte in 0..=255u8 {
            for (length, place) in (1..20).flat_map(|length| (0..length).map(move |place| (length, place))) {
                for other in [b'a', b'\t', 0xff] {
                    let mut value = vec![other; length];
                    value[place] = byte;
                    assert_eq!(is_value(&value), VALUE[usize::from(byte)], "{byte:#x} at {place} of {length}");
                }
            }
        }
    }
}
