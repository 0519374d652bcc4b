//! `http2` 6.9: what may be sent.

use super::{
    Check, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR, Pass,
    Step::{Acknowledged, Data, Send},
    check, get, join, post, setting, steps,
};
use crate::frames::{WINDOW_UPDATE, frame};

const MOST: u32 = 0x7fff_ffff;

fn window(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, by.to_be_bytes())
}

pub(super) fn checks() -> Vec<Check> {
    vec![
        check("http2 6.9 WINDOW_UPDATE by 0", window(0, 0), Pass::Connection(&[PROTOCOL_ERROR])),
        check(
            "http2 6.9 WINDOW_UPDATE of a stream by 0",
            join([post(1), window(1, 0)]),
            Pass::Stream(&[PROTOCOL_ERROR]),
        ),
        check(
            "http2 6.9 WINDOW_UPDATE of 3 bytes",
            frame(WINDOW_UPDATE, 0, 0, [0, 0, 1]),
            Pass::Connection(&[FRAME_SIZE_ERROR]),
        ),
        steps("http2 6.9.1 a window of 1", vec![Send(setting(4, 1)), Acknowledged, Send(get(1))], Pass::Data(1)),
        check(
            "http2 6.9.1 a window over 2^31-1",
            join([window(0, MOST), window(0, MOST)]),
            Pass::Goaway(&[FLOW_CONTROL_ERROR]),
        ),
        check(
            "http2 6.9.1 a stream's window over 2^31-1",
            join([post(1), window(1, MOST), window(1, MOST)]),
            Pass::Reset(&[FLOW_CONTROL_ERROR]),
        ),
        steps(
            "http2 6.9.2 a window that opens after HEADERS",
            vec![Send(setting(4, 0)), Acknowledged, Send(get(1)), Send(setting(4, 1)), Acknowledged],
            Pass::Data(1),
        ),
        steps(
            "http2 6.9.2 a window that is negative",
            vec![
                Send(setting(4, 3)),
                Acknowledged,
                Send(get(1)),
                Data(3),
                Send(setting(4, 2)),
                Acknowledged,
                Send(window(1, 2)),
            ],
            Pass::Data(1),
        ),
        check("http2 6.9.2 INITIAL_WINDOW_SIZE of 2^31", setting(4, 1 << 31), Pass::Connection(&[FLOW_CONTROL_ERROR])),
    ]
}
