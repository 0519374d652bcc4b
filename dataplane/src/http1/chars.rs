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

/// Whether it is a non-empty token.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && all(&TOKEN, bytes)
}

/// Whether it may be a field's value.
pub(super) fn is_value(bytes: &[u8]) -> bool {
    all(&VALUE, bytes)
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
