use proptest::{collection::vec, prelude::*};

use super::*;

fn done(length: usize, client: Option<&str>) -> Result<Option<Header>, Malformed> {
    Ok(Some(Header { length, client: client.map(|c| c.parse().unwrap()) }))
}

/// A header of version 2.
fn v2(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [v2::SIGNATURE, &[command, family], &length, content].concat()
}

const TCP4: [u8; 12] = [192, 0, 2, 1, 10, 0, 0, 1, 0x10, 0x92, 0, 80];

#[test]
fn version_1_says_who_the_client_is() {
    for (line, client) in [
        ("PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n", Some("192.0.2.1:56324")),
        ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", Some("255.255.255.255:65535")),
        ("PROXY TCP6 2001:db8::1 ::1 0 443\r\n", Some("[2001:db8::1]:0")),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ffff::1 who knows 65535\r\n", None),
    ] {
        assert_eq!(parse(line.as_bytes()), done(line.len(), client), "{line:?}");
        assert_eq!(parse(format!("{line}GET / HTTP/1.1\r\n").as_bytes()), done(line.len(), client));
    }
}

#[test]
fn lines_that_are_no_version_1() {
    for line in [
        "GET / HTTP/1.1\r\n",
        "PROXY\r\n",
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 2 3\r\n",
        "PROXY  TCP4 192.0.2.1 10.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 2 \r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 2\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 01 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 65536 2\r\n",
        "PROXY TCP4 192.0.2.01 10.0.0.1 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 10.0.0.1 1 2\r\n",
        "PROXY TCP5 192.0.2.1 10.0.0.1 1 2\r\n",
        "PROXY UNKNOWNX\r\n",
        "proxy TCP4 192.0.2.1 10.0.0.1 1 2\r\n",
    ] {
        assert_eq!(parse(line.as_bytes()), Err(Malformed), "{line:?}");
    }
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(93));
    assert_eq!((endless.len(), parse(endless.as_bytes())), (107, Err(Malformed)));
    assert_eq!(parse(&endless.as_bytes()[..106]), Ok(None));
}

#[test]
fn version_2_says_who_the_client_is() {
    let tcp6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[7], &[0; 16], &[0, 9, 0, 80]].concat();
    let extended = [&TCP4[..], &[0x04, 0, 2, 0xff, 0xff]].concat();
    for (header, client) in [
        (v2(0x21, 0x11, &TCP4), Some("192.0.2.1:4242")),
        (v2(0x21, 0x11, &extended), Some("192.0.2.1:4242")),
        (v2(0x21, 0x21, &tcp6), Some("[2001:db8::7]:9")),
        (v2(0x21, 0x31, &[0; 216]), None),
        (v2(0x21, 0x00, &[]), None),
        (v2(0x21, 0x00, b"anything"), None),
        (v2(0x20, 0x00, &[]), None),
        (v2(0x20, 0x11, &TCP4), None),
        (v2(0x20, 0xff, b"xyz"), None),
    ] {
        assert_eq!(parse(&header), done(header.len(), client), "{header:?}");
        assert_eq!(parse(&[&header[..], b"GET"].concat()), done(header.len(), client));
    }
}

#[test]
fn bytes_that_are_no_version_2() {
    let too_long = u16::try_from(MAX_HEADER_BYTES).unwrap().to_be_bytes();
    for header in [
        v2(0x11, 0x11, &TCP4),
        v2(0x22, 0x11, &TCP4),
        v2(0x21, 0x11, &TCP4[..11]),
        v2(0x21, 0x21, &TCP4),
        v2(0x21, 0x31, &[0; 215]),
        v2(0x21, 0x12, &TCP4),
        v2(0x21, 0x22, &[0; 36]),
        v2(0x21, 0x41, &TCP4),
        [v2::SIGNATURE, &[0x21, 0x11], &too_long].concat(),
        b"\r\n\r\nGET / HTTP/1.1\r\n".to_vec(),
    ] {
        assert_eq!(parse(&header), Err(Malformed), "{header:?}");
    }
}

#[test]
fn what_begins_a_header_is_no_error() {
    for header in [b"PROXY TCP6 ::1 ::2 1 2\r\n".to_vec(), v2(0x21, 0x11, &TCP4)] {
        for end in 0..header.len() {
            assert_eq!(parse(&header[..end]), Ok(None), "{end}");
        }
    }
}

proptest! {
    #[test]
    fn any_address_is_read_back(ip: std::net::IpAddr, port: u16) {
        let client = SocketAddr::new(ip, port);
        let (name, family, octets) = match ip {
            std::net::IpAddr::V4(ip) => ("TCP4", 0x11, ip.octets().to_vec()),
            std::net::IpAddr::V6(ip) => ("TCP6", 0x21, ip.octets().to_vec()),
        };
        let line = format!("PROXY {name} {ip} {ip} {port} 80\r\n");
        prop_assert_eq!(parse(line.as_bytes()), Ok(Some(Header { length: line.len(), client: Some(client) })));
        let content = [&octets[..], &octets, &port.to_be_bytes(), &[0, 80]].concat();
        let header = v2(0x21, family, &content);
        prop_assert_eq!(parse(&header), Ok(Some(Header { length: header.len(), client: Some(client) })));
    }

    #[test]
    fn no_bytes_make_it_panic_or_claim_more_than_is_there(start in 0..3usize, tail in vec(any::<u8>(), 0..300)) {
        let start: &[u8] = [&b""[..], v1::SIGNATURE, v2::SIGNATURE][start];
        let bytes = [start, &tail].concat();
        if let Ok(Some(header)) = parse(&bytes) {
            prop_assert!(header.length <= bytes.len());
            // Not one byte less would have done.
            prop_assert_eq!(parse(&bytes[..header.length - 1]), Ok(None));
        }
    }
}
