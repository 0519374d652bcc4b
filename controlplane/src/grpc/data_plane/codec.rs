//! A codec whose outgoing messages are encoded already.

use balancer_proto::v1::SyncRequest;
use bytes::BufMut;
use tonic::{
    Status,
    codec::{Codec, EncodeBuf, Encoder},
};
use tonic_prost::ProstDecoder;

use crate::hub::Frame;

/// Frames out, `SyncRequest`s in.
pub(super) struct FrameCodec;

/// Copies a frame into the connection's buffer.
pub(super) struct FrameEncoder;

impl Codec for FrameCodec {
    type Encode = Frame;
    type Decode = SyncRequest;
    type Encoder = FrameEncoder;
    type Decoder = ProstDecoder<SyncRequest>;

    fn encoder(&mut self) -> FrameEncoder {
        FrameEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::default()
    }
}

impl Encoder for FrameEncoder {
    type Item = Frame;
    type Error = Status;

    fn encode(&mut self, frame: Frame, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(frame);
        Ok(())
    }
}
