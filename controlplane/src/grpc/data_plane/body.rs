//! The body of a stream's answer: messages that are encoded already, handed on without a copy.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame as Part};
use tokio::sync::mpsc;
use tonic::Status;

use crate::hub::Frame;

/// What a session sends, and at its end the status. However large the messages and however many the streams, what is
/// kept of each is a reference.
pub(super) struct FrameBody {
    frames: mpsc::Receiver<Result<Frame, Status>>,
    is_over: bool,
}

impl FrameBody {
    pub(super) fn new(frames: mpsc::Receiver<Result<Frame, Status>>) -> Self {
        Self { frames, is_over: false }
    }
}

impl Body for FrameBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Part<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let status = match ready!(self.frames.poll_recv(context)) {
            Some(Ok(frame)) => return Poll::Ready(Some(Ok(Part::data(frame.into_wire())))),
            Some(Err(status)) => status,
            None => Status::ok(""),
        };
        self.is_over = true;
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Part::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }
}
