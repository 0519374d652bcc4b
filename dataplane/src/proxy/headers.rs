//! What a proxy does to headers: strips what concerns one connection, adds what it must say of itself.
//!
//! RFC 9110 section 7.6.1 (Connection), 7.6.3 (Via); the `X-Forwarded-*` convention.

use http::{
    HeaderMap, HeaderName, HeaderValue, Request,
    header::{self, Entry},
};

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
static HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
static VIA: HeaderValue = HeaderValue::from_static("1.1 balancer");
static UPGRADE: HeaderValue = HeaderValue::from_static("upgrade");
static WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Headers that `Connection` cannot take away: they say where the message goes and how long it is.
fn is_protected(name: &HeaderName) -> bool {
    name == header::HOST || name == header::CONTENT_LENGTH
}

/// Removes the headers that concern one connection, and those that `Connection` names.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        for name in nominated(headers) {
            headers.remove(name);
        }
        headers.remove(header::CONNECTION);
    }
    headers.remove(header::TE);
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove(header::UPGRADE);
    headers.remove(&KEEP_ALIVE);
    headers.remove(&PROXY_CONNECTION);
    headers.remove(&HTTP2_SETTINGS);
}

fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::CONNECTION).iter();
    let tokens = values.flat_map(|v| v.as_bytes().split(|b| *b == b','));
    let names = tokens.filter_map(|t| HeaderName::from_bytes(t.trim_ascii()).ok());
    names.filter(|name| !is_protected(name)).collect()
}

/// Whether the request asks to become a WebSocket (RFC 6455 section 4.1), the one upgrade that is passed on.
pub(crate) fn wants_websocket<B>(request: &Request<B>) -> bool {
    let says = |name, token: &[u8]| {
        let values = request.headers().get_all(name).iter();
        values.flat_map(|v| v.as_bytes().split(|b| *b == b',')).any(|t| t.trim_ascii().eq_ignore_ascii_case(token))
    };
    // In HTTP/1.0 there is no Upgrade (RFC 9110 section 7.8).
    request.headers().contains_key(header::UPGRADE)
        && request.version() != http::Version::HTTP_10
        && request.method() == http::Method::GET
        && says(header::UPGRADE, b"websocket")
        && says(header::CONNECTION, b"upgrade")
}

/// Puts the upgrade to WebSocket back after [`strip_hop_by_hop`].
pub(crate) fn insert_websocket(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, UPGRADE.clone());
    headers.insert(header::UPGRADE, WEBSOCKET.clone());
}

/// Who sent a request, as told to the backend.
pub(crate) struct Forwarded<'a> {
    /// The peer's address, without the port.
    pub(crate) peer: &'a HeaderValue,
    /// Whether the peer is a proxy whose word is believed: then its `X-Forwarded-Proto` and `-Host` stay.
    pub(crate) peer_trusted: bool,
    /// `http` or `https`.
    pub(crate) scheme: &'a HeaderValue,
}

/// Adds `X-Forwarded-For`, `-Proto`, `-Host` and `Via`.
pub(crate) fn add_forwarded(headers: &mut HeaderMap, forwarded: &Forwarded<'_>) {
    append_to_list(headers, &X_FORWARDED_FOR, forwarded.peer);
    if !(forwarded.peer_trusted && headers.contains_key(&X_FORWARDED_PROTO)) {
        headers.insert(X_FORWARDED_PROTO.clone(), forwarded.scheme.clone());
    }
    if !(forwarded.peer_trusted && headers.contains_key(&X_FORWARDED_HOST)) {
        match headers.get(header::HOST).cloned() {
            Some(host) => headers.insert(X_FORWARDED_HOST.clone(), host),
            None => headers.remove(&X_FORWARDED_HOST),
        };
    }
    add_via(headers);
}

/// Adds this hop to `Via`.
pub(crate) fn add_via(headers: &mut HeaderMap) {
    headers.append(header::VIA, VIA.clone());
}

/// Appends to a list header, in one field line: many programs read only the first.
fn append_to_list(headers: &mut HeaderMap, name: &HeaderName, last: &HeaderValue) {
    match headers.entry(name) {
        Entry::Vacant(vacant) => {
            vacant.insert(last.clone());
        }
        Entry::Occupied(mut occupied) => {
            let mut list = Vec::new();
            for value in occupied.iter().chain([last]) {
                if !list.is_empty() {
                    list.extend_from_slice(b", ");
                }
                list.extend_from_slice(value.as_bytes());
            }
            if let Ok(joined) = HeaderValue::from_bytes(&list) {
                occupied.insert(joined);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let parsed = |(n, v): &(&str, &str)| (HeaderName::try_from(*n).unwrap(), HeaderValue::try_from(*v).unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in lines.iter().map(parsed) {
            map.append(name, value);
        }
        map
    }

    fn forward(map: &mut HeaderMap, peer_trusted: bool) {
        strip_hop_by_hop(map);
        let (peer, scheme) = (HeaderValue::from_static("192.0.2.1"), HeaderValue::from_static("http"));
        add_forwarded(map, &Forwarded { peer: &peer, peer_trusted, scheme: &scheme });
    }

    #[test]
    fn connection_takes_what_it_names_but_neither_host_nor_length_nor_ours() {
        let mut map = headers(&[
            ("host", "h"),
            ("content-length", "3"),
            ("connection", "close, X-Secret ,Host"),
            ("connection", "x-forwarded-for, content-length"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAA"),
            ("x-kept", "1"),
        ]);
        forward(&mut map, false);
        let mut names: Vec<_> = map.keys().map(|n| n.as_str().to_owned()).collect();
        names.sort();
        assert_eq!(
            names,
            ["content-length", "host", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-kept"]
        );
        assert_eq!(map["x-forwarded-for"], "192.0.2.1");
    }

    #[test]
    fn forwarded_for_becomes_one_line() {
        let mut map = headers(&[("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "198.51.100.2")]);
        forward(&mut map, true);
        let lines: Vec<_> = map.get_all("x-forwarded-for").iter().collect();
        assert_eq!(lines, ["198.51.100.1, 198.51.100.2, 192.0.2.1"]);
    }

    #[test]
    fn proto_and_host_of_a_stranger_are_replaced() {
        let lines = [("host", "h"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "evil")];
        let mut stranger = headers(&lines);
        forward(&mut stranger, false);
        assert_eq!(
            (&stranger["x-forwarded-proto"], &stranger["x-forwarded-host"]),
            (&"http".parse().unwrap(), &"h".parse().unwrap())
        );
        let mut trusted = headers(&lines);
        forward(&mut trusted, true);
        assert_eq!(trusted["x-forwarded-proto"], "https");
        assert_eq!(trusted["x-forwarded-host"], "evil");
    }

    #[test]
    fn via_says_each_hop() {
        let mut map = headers(&[("via", "1.1 edge")]);
        add_via(&mut map);
        assert_eq!(map.get_all("via").iter().collect::<Vec<_>>(), ["1.1 edge", "1.1 balancer"]);
    }

    #[test]
    fn only_a_get_with_both_headers_wants_a_websocket() {
        let request = |method: &str, upgrade: &str, connection: &str| {
            let builder = Request::builder().method(method).header("upgrade", upgrade).header("connection", connection);
            builder.body(()).unwrap()
        };
        assert!(wants_websocket(&request("GET", "WebSocket", "keep-alive, Upgrade")));
        assert!(!wants_websocket(&request("GET", "h2c", "upgrade")));
        assert!(!wants_websocket(&request("GET", "websocket", "close")));
        assert!(!wants_websocket(&request("POST", "websocket", "upgrade")));
    }
}
