//! What the data plane says, in order.

use balancer_proto::v1::{SyncRequest, sync_request::Message};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::connect::Lost;

/// Far more than a control plane that reads leaves waiting.
const CAPACITY: usize = 64;

/// The sending half of a stream. It never waits: a control plane that does not read is as good as gone.
#[derive(Debug)]
pub(super) struct Outbox(mpsc::Sender<SyncRequest>);

impl Outbox {
    pub(super) fn new() -> (Self, ReceiverStream<SyncRequest>) {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        (Self(sender), ReceiverStream::new(receiver))
    }

    pub(super) fn send(&self, message: Message) -> Result<(), Lost> {
        self.0.try_send(SyncRequest { message: Some(message) }).map_err(|_| Lost::NotReading)
    }
}
