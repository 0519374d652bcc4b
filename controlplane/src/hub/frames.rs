//! Changes as encoded messages of bounded size.

use std::{collections::BTreeSet, sync::Arc};

use balancer_proto::v1;

use super::{Frame, Image, encode};
use crate::convert;

/// Bytes of limits after which a message is full. Of each stream, a few messages may be on their way at once.
const MAX_BYTES: usize = 64 * 1024;
/// What a limit costs on the wire beside its client_id, at most.
const LIMIT_OVERHEAD_BYTES: usize = 26;

/// The step from `before` to `after`, when `touched` holds every client_id whose limit may differ.
pub(super) fn delta_frames(before: &Image, after: &Image, touched: &BTreeSet<Box<str>>) -> Vec<Frame> {
    let pool = !Arc::ptr_eq(&before.backends, &after.backends);
    let settings = !Arc::ptr_eq(&before.settings, &after.settings);
    delta(before.revision, after, touched, pool, settings)
}

/// As [`delta_frames`], for a starting point that is known by its revision alone.
pub(super) fn delta(base: u64, after: &Image, touched: &BTreeSet<Box<str>>, pool: bool, settings: bool) -> Vec<Frame> {
    let mut updates = chunks(base, after, touched);
    if let Some(first) = updates.first_mut() {
        first.pool = pool.then(|| convert::pool(&after.backends));
        first.settings = settings.then(|| convert::settings(&after.settings));
    }
    if let Some(last) = updates.last_mut() {
        last.last_chunk = true;
        last.fingerprint = after.fingerprint.value();
        last.config_tag = after.config_tag;
    }
    updates.into_iter().map(|update| encode(v1::sync_response::Message::Update(update))).collect()
}

fn chunks(base: u64, after: &Image, touched: &BTreeSet<Box<str>>) -> Vec<v1::Update> {
    let empty = || v1::Update { base_revision: base, ..header(after, false) };
    let (mut done, mut open, mut room) = (Vec::new(), empty(), Room::default());
    for id in touched {
        if !room.take(id) {
            done.push(std::mem::replace(&mut open, empty()));
            room = Room::default();
            room.take(id);
        }
        match after.limits.get(id) {
            Some(limit) => open.upserted_limits.push(convert::limit(id, *limit)),
            None => open.deleted_limits.push(id.to_string()),
        }
    }
    done.push(open);
    done
}

pub(super) fn header(image: &Image, last: bool) -> v1::Update {
    let (fingerprint, config_tag) = if last { (image.fingerprint.value(), image.config_tag) } else { (0, 0) };
    let (store_id, revision) = (image.store_id.to_string(), image.revision);
    v1::Update { store_id, revision, fingerprint, config_tag, ..Default::default() }
}

/// What still fits into a message.
#[derive(Default)]
pub(super) struct Room {
    bytes: usize,
}

impl Room {
    /// Whether there is room for this client's limit; takes it.
    pub(super) fn take(&mut self, id: &str) -> bool {
        if self.bytes >= MAX_BYTES {
            return false;
        }
        self.bytes += id.len() + LIMIT_OVERHEAD_BYTES;
        true
    }
}
