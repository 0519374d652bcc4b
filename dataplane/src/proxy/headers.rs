//! What a proxy does to heads: strips what concerns one connection, adds what it must say of itself. All else is copied,
//! byte for byte, in as few pieces as there are.
//!
//! RFC 9110 section 7.6.1 (Connection), 7.6.3 (Via); the `X-Forwarded-*` convention.

use crate::http1::{Field, Fields, Head, Name, ResponseHead, put_field};

const VIA: &[u8] = b"Via: 1.1 balancer\r\n";
const WEBSOCKET: &[u8] = b"Connection: upgrade\r\nUpgrade: websocket\r\n";

/// Who sent a request, as told to the backend.
pub(super) struct Forwarded<'a> {
    /// The peer's address, without the port.
    pub(super) peer: &'a [u8],
    /// Whether the peer is a proxy whose word is believed: then its `X-Forwarded-Proto` and `-Host` stay.
    pub(super) peer_trusted: bool,
    /// `http` or `https`.
    pub(super) scheme: &'a [u8],
}

/// What else changes on the way to the backend.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Changes {
    /// The request asks to become a WebSocket.
    pub(super) websocket: bool,
    /// Its body goes in chunks.
    pub(super) chunked: bool,
    /// The backend is asked whether it wants the body.
    pub(super) expects: bool,
    /// What `Max-Forwards` becomes, if that changes.
    pub(super) max_forwards: Option<u64>,
}

/// Appends the head that the backend gets. Where there is no Host, the place where one belongs.
pub(super) fn write_request(
    out: &mut Vec<u8>,
    head: &Head,
    forwarded: &Forwarded<'_>,
    changes: Changes,
) -> Option<usize> {
    write_request_line(out, head);
    let fields = head.fields();
    let host = head.authority().or_else(|| fields.first(Name::Host));
    let place = host.is_none().then_some(out.len());
    if let Some(authority) = head.authority() {
        put_field(out, "Host", authority);
    }
    let nominates = head.facts().options.nominates;
    copy(out, fields, |field| match field.name {
        Name::Host => head.authority().is_none(),
        Name::ContentLength => true,
        Name::Expect if !changes.expects => false,
        Name::MaxForwards if changes.max_forwards.is_some() => false,
        Name::XForwardedFor => false,
        Name::XForwardedHost | Name::XForwardedProto if !forwarded.peer_trusted => false,
        name => !(name.is_hop_by_hop() || (nominates && is_nominated(fields, field))),
    });
    write_forwarded(out, head, forwarded, host);
    if let Some(hops) = changes.max_forwards {
        put_field(out, "Max-Forwards", itoa::Buffer::new().format(hops).as_bytes());
    }
    if changes.websocket {
        out.extend_from_slice(WEBSOCKET);
    }
    if changes.chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    out.extend_from_slice(b"\r\n");
    place
}

/// In origin form (RFC 9112 section 3.2.1).
fn write_request_line(out: &mut Vec<u8>, head: &Head) {
    let target = head.target();
    out.extend_from_slice(head.method());
    out.push(b' ');
    if !matches!(target, [b'/', ..] | b"*") {
        out.push(b'/');
    }
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Adds `X-Forwarded-For`, `-Proto`, `-Host` and `Via`.
fn write_forwarded(out: &mut Vec<u8>, head: &Head, forwarded: &Forwarded<'_>, host: Option<&[u8]>) {
    let fields = head.fields();
    let told = |name| {
        let mut fields_so_called = fields.places.iter().filter(|field| field.name == name);
        fields_so_called.any(|field| !is_nominated(fields, field))
    };
    // In one line: many programs read only the first.
    out.extend_from_slice(b"X-Forwarded-For: ");
    for field in fields.places.iter().filter(|field| field.name == Name::XForwardedFor) {
        if !is_nominated(fields, field) {
            out.extend_from_slice(field.value_in(fields.bytes));
            out.extend_from_slice(b", ");
        }
    }
    out.extend_from_slice(forwarded.peer);
    out.extend_from_slice(b"\r\n");
    if !(forwarded.peer_trusted && told(Name::XForwardedProto)) {
        put_field(out, "X-Forwarded-Proto", forwarded.scheme);
    }
    if let Some(host) = host.filter(|_| !(forwarded.peer_trusted && told(Name::XForwardedHost))) {
        put_field(out, "X-Forwarded-Host", host);
    }
    out.extend_from_slice(VIA);
}

/// Appends an answer's status line and fields as its client gets them, up to what depends on the connection.
pub(super) fn write_response(out: &mut Vec<u8>, head: &ResponseHead, fields: Fields<'_>) {
    let status_line = &fields.bytes[head.status_line.clone()];
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status_line);
    out.extend_from_slice(if status_line.len() == 3 { b" \r\n" } else { b"\r\n" });
    // RFC 9110 section 8.6.
    let has_length = head.status >= 200 && head.status != 204;
    copy(out, fields, |field| match field.name {
        Name::ContentLength => has_length,
        name => !(name.is_hop_by_hop() || (head.options.nominates && is_nominated(fields, field))),
    });
    out.extend_from_slice(VIA);
    if head.status == 101 {
        out.extend_from_slice(WEBSOCKET);
    }
}

/// Appends the lines of the fields that `keeps` keeps, each run of them at once.
fn copy(out: &mut Vec<u8>, fields: Fields<'_>, keeps: impl Fn(&Field) -> bool) {
    let Some(first) = fields.places.first() else { return };
    let mut run = first.start();
    for field in fields.places {
        if !keeps(field) {
            out.extend_from_slice(&fields.bytes[run..field.start()]);
            run = field.end();
        }
    }
    let end = fields.places.last().map_or(run, Field::end);
    out.extend_from_slice(&fields.bytes[run..end]);
}

/// Whether Connection takes a field away. It cannot take those that say where the message goes and how long it is.
pub(super) fn is_nominated(fields: Fields<'_>, field: &Field) -> bool {
    !matches!(field.name, Name::Host | Name::ContentLength) && fields.nominates(field.name_in(fields.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::scan_response;

    fn forward(lines: &str, peer_trusted: bool) -> Head {
        let (mut head, mut out) = (Head::default(), Vec::new());
        head.scan(format!("GET / HTTP/1.1\r\n{lines}\r\n").as_bytes(), &mut 0).unwrap().unwrap();
        let forwarded = Forwarded { peer: b"192.0.2.1", peer_trusted, scheme: b"http" };
        assert_eq!(write_request(&mut out, &head, &forwarded, Changes::default()), None);
        let mut written = Head::default();
        assert_eq!(written.scan(&out, &mut 0), Ok(Some(out.len())), "{}", String::from_utf8_lossy(&out));
        written
    }

    fn names(head: &Head) -> Vec<String> {
        let name = |field: &Field| String::from_utf8(field.name_in(head.bytes()).to_ascii_lowercase()).unwrap();
        let mut names: Vec<_> = head.fields().places.iter().map(name).collect();
        names.sort();
        names
    }

    fn values(head: &Head, name: Name) -> Vec<&str> {
        head.fields().all(name).map(|value| std::str::from_utf8(value).unwrap()).collect()
    }

    #[test]
    fn connection_takes_what_it_names_but_neither_host_nor_length_nor_ours() {
        let head = forward(
            "host: h\r\ncontent-length: 3\r\nconnection: close, X-Secret ,Host\r\n\
             connection: x-forwarded-for, content-length\r\nx-secret: 1\r\nkeep-alive: timeout=5\r\nte: trailers\r\n\
             upgrade: h2c\r\nhttp2-settings: AAA\r\nx-kept: 1\r\n",
            false,
        );
        assert_eq!(
            names(&head),
            ["content-length", "host", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-kept"]
        );
        assert_eq!(values(&head, Name::XForwardedFor), ["192.0.2.1"]);
    }

    #[test]
    fn forwarded_for_becomes_one_line() {
        let head = forward("Host: h\r\nx-forwarded-for: 198.51.100.1\r\nX-Forwarded-For:198.51.100.2 \r\n", true);
        assert_eq!(values(&head, Name::XForwardedFor), ["198.51.100.1, 198.51.100.2, 192.0.2.1"]);
    }

    #[test]
    fn proto_and_host_of_a_stranger_are_replaced() {
        let lines = "host: h\r\nx-forwarded-proto: https\r\nx-forwarded-host: evil\r\n";
        for (trusted, proto, host) in [(false, "http", "h"), (true, "https", "evil")] {
            let head = forward(lines, trusted);
            assert_eq!(values(&head, Name::XForwardedProto), [proto]);
            assert_eq!(values(&head, Name::XForwardedHost), [host]);
        }
        let taken_away = forward(&format!("{lines}Connection: x-forwarded-proto\r\n"), true);
        assert_eq!(values(&taken_away, Name::XForwardedProto), ["http"]);
    }

    #[test]
    fn via_says_each_hop() {
        let head = forward("Host: h\r\nvia: 1.1 edge\r\n", false);
        let text = String::from_utf8(head.bytes().to_vec()).unwrap();
        assert!(text.contains("via: 1.1 edge\r\n") && text.contains("Via: 1.1 balancer\r\n"), "{text}");
    }

    #[test]
    fn what_is_not_touched_is_copied_byte_for_byte() {
        let kept = "X-A:  1 \r\nx-b:2\r\nX-E:\r\n";
        let head = forward(&format!("Host: h\r\n{kept}Connection: close\r\n{kept}"), false);
        let text = String::from_utf8(head.bytes().to_vec()).unwrap();
        assert!(text.starts_with(&format!("GET / HTTP/1.1\r\nHost: h\r\n{kept}{kept}X-Forwarded-For: ")), "{text}");
    }

    #[test]
    fn an_answer_loses_what_is_of_its_connection() {
        let written = |text: &str| {
            let (mut places, mut out) = (Vec::new(), Vec::new());
            let head = scan_response(text.as_bytes(), &mut 0, false, &mut places).unwrap().unwrap();
            write_response(&mut out, &head, Fields { bytes: text.as_bytes(), places: &places });
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            written(
                "HTTP/1.0 200 Fine\r\nKeep-Alive: 1\r\nA: b\r\nConnection: X, Content-Length\r\nContent-Length: 0\r\nX: 1\r\n\r\n"
            ),
            "HTTP/1.1 200 Fine\r\nA: b\r\nContent-Length: 0\r\nVia: 1.1 balancer\r\n"
        );
        assert_eq!(written("HTTP/1.1 204\r\nContent-Length: 3\r\n\r\n"), "HTTP/1.1 204 \r\nVia: 1.1 balancer\r\n");
    }
}
