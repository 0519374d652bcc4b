//! One message to data planes, encoded as it travels.

use balancer_proto::v1;
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

/// What stands before a message of gRPC: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// One encoded `SyncResponse`, with what gRPC puts before it (gRPC over HTTP/2, Length-Prefixed-Message), so that a
/// stream has nothing left to do with it. Clones share the bytes.
#[derive(Clone, Debug)]
pub(crate) struct Frame(Bytes);

impl Frame {
    /// Bytes on the wire.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of it.
    pub(crate) fn into_wire(self) -> Bytes {
        self.0
    }

    #[cfg(test)]
    pub(crate) fn decode(&self) -> v1::SyncResponse {
        v1::SyncResponse::decode(self.0.slice(PREFIX_BYTES..)).unwrap()
    }
}

/// Encodes a message.
pub(crate) fn encode(message: v1::sync_response::Message) -> Frame {
    let message = v1::SyncResponse { message: Some(message) };
    let bytes = message.encoded_len();
    let mut wire = BytesMut::with_capacity(PREFIX_BYTES + bytes);
    wire.put_u8(0);
    // Messages are cut at a fraction of this.
    wire.put_u32(bytes as u32);
    message.encode_raw(&mut wire);
    Frame(wire.freeze())
}

#[cfg(test)]
mod tests {
    use balancer_proto::v1::sync_response::Message as Down;

    use super::*;

    #[test]
    fn a_message_follows_its_length() {
        let frame = encode(Down::Welcome(v1::Welcome { version: "1".into(), heartbeat_ms: 300 }));
        let message = frame.decode();
        let wire = frame.into_wire();
        assert_eq!(wire[..PREFIX_BYTES], [0, 0, 0, 0, message.encoded_len() as u8]);
        assert_eq!(wire[PREFIX_BYTES..], message.encode_to_vec());
    }
}
