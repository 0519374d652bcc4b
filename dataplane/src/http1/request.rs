//! A request's head that can be kept while what follows it is read.

use super::{Fault, Field, Fields, Name, RequestHead, scan_head};

/// The head of a request: its bytes, and what is where in them. Used again and again, so that its memory is.
#[derive(Clone, Debug, Default)]
pub struct Head {
    bytes: Vec<u8>,
    places: Vec<Field>,
    facts: RequestHead,
}

impl Head {
    /// Takes the head that `bytes` begin with, and says how long it is; as [`scan_head`].
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn scan(&mut self, bytes: &[u8], seen: &mut usize) -> Result<Option<usize>, Fault> {
        let Some(facts) = scan_head(bytes, seen, &mut self.places)? else { return Ok(None) };
        self.bytes.clear();
        self.bytes.extend_from_slice(&bytes[facts.leading..facts.length]);
        let length = facts.length;
        self.facts = facts;
        Ok(Some(length))
    }

    /// Becomes the head that `write` appends.
    ///
    /// # Errors
    /// What is wrong with it; then it is not to be used.
    pub fn write(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>) -> Result<(), Fault> {
        self.bytes.clear();
        write(&mut self.bytes)?;
        self.facts = scan_head(&self.bytes, &mut 0, &mut self.places)?.ok_or(Fault::Field)?;
        Ok(())
    }

    /// What is known of it.
    pub fn facts(&self) -> &RequestHead {
        &self.facts
    }

    /// Its fields.
    pub fn fields(&self) -> Fields<'_> {
        Fields { bytes: &self.bytes, places: &self.places }
    }

    /// Its bytes, from the request line to the empty line.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The method.
    pub fn method(&self) -> &[u8] {
        &self.bytes[..self.facts.method_end]
    }

    /// What the target asks for, without the authority of an absolute form: origin form, or `*`.
    pub fn target(&self) -> &[u8] {
        match &self.facts.authority {
            None => &self.bytes[self.facts.target.clone()],
            Some(_) if self.facts.about_server => b"*",
            Some(authority) => &self.bytes[authority.end..self.facts.target.end],
        }
    }

    /// The authority of an absolute-form target.
    pub fn authority(&self) -> Option<&[u8]> {
        self.facts.authority.clone().map(|authority| &self.bytes[authority])
    }

    /// Value of the first field with this name, in whatever case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.fields().get(name)
    }

    /// Whether it asks to become a WebSocket (RFC 6455 section 4.1), the one upgrade that is passed on.
    pub fn wants_websocket(&self) -> bool {
        let mut protocols = self.fields().all(Name::Upgrade).flat_map(|value| value.split(|byte| *byte == b','));
        // In HTTP/1.0 there is no Upgrade (RFC 9110 section 7.8).
        self.facts.upgrade
            && !self.facts.is_http_10
            && self.method() == b"GET"
            && self.facts.options.upgrade
            && protocols.any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        let mut head = Head::default();
        head.scan(text.as_bytes(), &mut 0).unwrap().unwrap();
        head
    }

    #[test]
    fn parts_are_found_where_they_are() {
        let head = head("\r\nPOST http://H:81/a?b HTTP/1.1\r\nhost: h:81\r\nX-A: \t1 2 \r\nx-a:3\r\nX-E:\r\n\r\nrest");
        assert_eq!((head.method(), head.target(), head.authority()), (&b"POST"[..], &b"/a?b"[..], Some(&b"H:81"[..])));
        assert_eq!((head.get("X-a"), head.get("x-e"), head.get("x-b")), (Some(&b"1 2"[..]), Some(&b""[..]), None));
        assert_eq!(head.fields().first(Name::Host), Some(&b"h:81"[..]));
        assert!(head.bytes().starts_with(b"POST") && head.bytes().ends_with(b"X-E:\r\n\r\n"));
    }

    #[test]
    fn only_a_get_with_both_headers_wants_a_websocket() {
        let request = |method: &str, upgrade: &str, connection: &str| {
            head(&format!("{method} / HTTP/1.1\r\nHost: h\r\nUpgrade: {upgrade}\r\nConnection: {connection}\r\n\r\n"))
        };
        assert!(request("GET", "WebSocket", "keep-alive, Upgrade").wants_websocket());
        assert!(!request("GET", "h2c", "upgrade").wants_websocket());
        assert!(!request("GET", "websocket", "close").wants_websocket());
        assert!(!request("POST", "websocket", "upgrade").wants_websocket());
    }
}
