//! A data plane's first message.

use std::time::Duration;

use balancer_proto::v1::{self, sync_request::Message as Up};
use tokio::time::timeout;
use tonic::{Status, Streaming};

use super::position::Position;
use crate::hub::{Held, Image};

/// Longest id or version of a data plane, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// Waits for the Hello and checks what of it will stand in logs and metrics.
pub(super) async fn hello(up: &mut Streaming<v1::SyncRequest>, give_up: Duration) -> Result<v1::Hello, Status> {
    let silent = |_| Status::deadline_exceeded("no Hello came");
    let first = timeout(give_up, up.message()).await.map_err(silent)??;
    let Some(Up::Hello(hello)) = first.and_then(|request| request.message) else {
        return Err(Status::invalid_argument("hello: expected as the first message"));
    };
    check_replica_id(&hello.replica_id)?;
    if is_bad(&hello.version) {
        return Err(bad("version"));
    }
    Ok(hello)
}

/// Checks what will stand in logs and metrics.
pub(super) fn check_replica_id(replica_id: &str) -> Result<(), Status> {
    if replica_id.is_empty() || is_bad(replica_id) { Err(bad("replica_id")) } else { Ok(()) }
}

fn is_bad(name: &str) -> bool {
    name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control)
}

fn bad(field: &str) -> Status {
    Status::invalid_argument(format!("{field}: expected 1 to {MAX_NAME_BYTES} bytes of printable text"))
}

/// Where the data plane stands by its own account.
pub(super) fn greet(hello: &v1::Hello, image: &Image) -> Position {
    let held = Held::of(hello);
    match held.store_id == image.store_id {
        false => Position::Nothing,
        true if held.revision > image.revision => Position::Ahead { held, answers: 0 },
        true => Position::At(held),
    }
}
