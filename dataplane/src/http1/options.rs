//! What `Connection` says (RFC 9110 section 7.6.1, RFC 9112 section 9.3).

use super::Fault;

/// Most options of one message: each is compared with each field.
const MAX_OPTIONS: u8 = 100;

/// The options of all Connection fields of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The connection ends with this message.
    pub close: bool,
    /// It does not, though the version is HTTP/1.0.
    pub keep_alive: bool,
    /// It becomes another protocol's.
    pub upgrade: bool,
    /// Fields are named that must not be passed on.
    pub nominates: bool,
    count: u8,
}

impl Options {
    /// Takes in one field's value.
    pub(super) fn take(&mut self, value: &[u8]) -> Result<(), Fault> {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|option| !option.is_empty()) {
            self.count += 1;
            if self.count > MAX_OPTIONS {
                return Err(Fault::HeadTooLarge);
            }
            match option.len() {
                5 if option.eq_ignore_ascii_case(b"close") => self.close = true,
                7 if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                10 if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                _ => self.nominates = true,
            }
        }
        Ok(())
    }

    /// Whether the connection stays open after the message.
    pub fn persists(&self, is_http_10: bool) -> bool {
        !self.close && (!is_http_10 || self.keep_alive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_from_lists_in_any_case() {
        let mut options = Options::default();
        options.take(b" Keep-Alive,, X-A ,").unwrap();
        assert!(options.keep_alive && options.nominates && !options.close && options.persists(true));
        options.take(b"CLOSE").unwrap();
        assert!(!options.persists(true) && !options.persists(false));
        assert_eq!(options.take("a,".repeat(200).as_bytes()), Err(Fault::HeadTooLarge));
    }
}
