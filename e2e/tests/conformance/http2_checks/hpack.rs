//! `generic` 5 and `hpack`: the compression of fields (RFC 7541).

use super::{COMPRESSION_ERROR, Check, Pass, check, frame_of, head};

const UNREADABLE: Pass = Pass::Connection(&[COMPRESSION_ERROR]);

/// `x-test` and `user-agent`, plain and in Huffman code, and a value for each.
const NEW: &[u8] = b"\x06x-test\x02ok";
const NEW_IN_HUFFMAN: &[u8] = &[0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x82, 0x3d, 0x5f];

pub(super) fn checks() -> Vec<Check> {
    [accepted(), refused()].into_iter().flatten().collect()
}

fn with(kind: &[u8], rest: &[u8]) -> Vec<u8> {
    frame_of(1, &[&head("GET"), kind, rest])
}

fn accepted() -> Vec<Check> {
    // The value "ok", plain and in Huffman code.
    let (value, in_huffman) = (b"\x02ok", [0x82, 0x3d, 0x5f]);
    let sized = |sizes: &[u8]| frame_of(1, &[sizes, &head("GET")]);
    vec![
        // Index 58 of the static table, `user-agent`.
        check("generic 5 an indexed field", with(b"\xba", b""), Pass::Headers),
        check("generic 5 with indexing, indexed name", with(b"\x7a", value), Pass::Headers),
        check("generic 5 with indexing, indexed name, Huffman", with(b"\x7a", &in_huffman), Pass::Headers),
        check("generic 5 with indexing, new name", with(b"\x40", NEW), Pass::Headers),
        check("generic 5 with indexing, new name, Huffman", with(b"\x40", NEW_IN_HUFFMAN), Pass::Headers),
        check("generic 5 without indexing, indexed name", with(b"\x0f\x2b", value), Pass::Headers),
        check("generic 5 without indexing, indexed name, Huffman", with(b"\x0f\x2b", &in_huffman), Pass::Headers),
        check("generic 5 without indexing, new name", with(b"\x00", NEW), Pass::Headers),
        check("generic 5 without indexing, new name, Huffman", with(b"\x00", NEW_IN_HUFFMAN), Pass::Headers),
        check("generic 5 never indexed, indexed name", with(b"\x1f\x2b", value), Pass::Headers),
        check("generic 5 never indexed, indexed name, Huffman", with(b"\x1f\x2b", &in_huffman), Pass::Headers),
        check("generic 5 never indexed, new name", with(b"\x10", NEW), Pass::Headers),
        check("generic 5 never indexed, new name, Huffman", with(b"\x10", NEW_IN_HUFFMAN), Pass::Headers),
        check("generic 5 a size of the table", sized(b"\x20"), Pass::Headers),
        check("generic 5 two sizes of the table", sized(b"\x20\x3f\xe1\x1f"), Pass::Headers),
    ]
}

fn refused() -> Vec<Check> {
    let padded_by_a_byte = [&NEW_IN_HUFFMAN[..6], &[0x83, 0x3d, 0x5f, 0xff]].concat();
    // "ok" leaves a bit to pad: of "o", 00111, three are left.
    let padded_by_zeros = [&NEW_IN_HUFFMAN[..6], &[0x81, 0x38]].concat();
    let with_end = [&NEW_IN_HUFFMAN[..6], &[0x84, 0xff, 0xff, 0xff, 0xff]].concat();
    vec![
        check("hpack 2.3.3 an index that is not there", with(b"\xfe", b""), UNREADABLE),
        check("hpack 2.3.3 a name's index that is not there", with(b"\x7f\x0a", b"\x02ok"), UNREADABLE),
        check("hpack 4.2 a size of the table at the end", with(b"\x21", b""), UNREADABLE),
        check("hpack 5.2 Huffman padding of a byte", with(b"\x00", &padded_by_a_byte), UNREADABLE),
        check("hpack 5.2 Huffman padding of zeros", with(b"\x00", &padded_by_zeros), UNREADABLE),
        check("hpack 5.2 Huffman with the end of string", with(b"\x00", &with_end), UNREADABLE),
        check("hpack 6.1 index 0", with(b"\x80", b""), UNREADABLE),
        check("hpack 6.3 a table that is too large", frame_of(1, &[b"\x3f\xe2\x1f", &head("GET")]), UNREADABLE),
    ]
}
