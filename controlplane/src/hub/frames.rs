//! Steps as encoded messages of bounded size.

use std::{collections::BTreeSet, ops::Bound, sync::Arc};

use balancer_proto::v1;
use bytes::Bytes;
use prost::Message;

use super::Image;
use crate::convert;

/// Most limits in one message.
const MAX_LIMITS: usize = 5_000;
/// Bytes of limits after which a message is full.
const MAX_BYTES: usize = 512 * 1024;
/// What a limit costs on the wire beside its client_id, at most.
const LIMIT_OVERHEAD_BYTES: usize = 26;

/// One encoded `SyncResponse`; cloning shares the bytes.
pub(crate) type Frame = Bytes;

/// Encodes a message that is not part of a step.
pub(crate) fn encode(message: v1::sync_response::Message) -> Frame {
    v1::SyncResponse { message: Some(message) }.encode_to_vec().into()
}

/// Everything, one message at a time, so that memory stays bounded however many limits there are.
pub(crate) struct FullFrames {
    image: Arc<Image>,
    sent: Option<Box<str>>,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    First,
    Further,
    Done,
}

impl FullFrames {
    pub(crate) fn new(image: Arc<Image>) -> Self {
        Self { image, sent: None, state: State::First }
    }

    fn chunk(&mut self) -> (Vec<v1::Limit>, bool) {
        let start = self.sent.take().map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.image.limits.range((start, Bound::Unbounded)).peekable();
        let (mut limits, mut room) = (Vec::new(), Room::default());
        while let Some((id, _)) = rest.peek() {
            if !room.take(id) {
                self.sent = limits.last().map(|l: &v1::Limit| l.client_id.as_str().into());
                return (limits, false);
            }
            if let Some((id, limit)) = rest.next() {
                limits.push(convert::limit(id, *limit));
            }
        }
        (limits, true)
    }
}

impl Iterator for FullFrames {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        if self.state == State::Done {
            return None;
        }
        let first = self.state == State::First;
        let (upserted_limits, last_chunk) = self.chunk();
        self.state = if last_chunk { State::Done } else { State::Further };
        let update = v1::Update {
            full: true,
            upserted_limits,
            last_chunk,
            pool: first.then(|| convert::pool(&self.image.backends)),
            settings: first.then(|| convert::settings(&self.image.settings)),
            ..header(&self.image, last_chunk)
        };
        Some(encode(v1::sync_response::Message::Update(update)))
    }
}

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

fn header(image: &Image, last: bool) -> v1::Update {
    let (fingerprint, config_tag) = if last { (image.fingerprint.value(), image.config_tag) } else { (0, 0) };
    let (store_id, revision) = (image.store_id.to_string(), image.revision);
    v1::Update { store_id, revision, fingerprint, config_tag, ..Default::default() }
}

/// What still fits into a message.
#[derive(Default)]
struct Room {
    limits: usize,
    bytes: usize,
}

impl Room {
    fn take(&mut self, id: &str) -> bool {
        if self.limits >= MAX_LIMITS || self.bytes >= MAX_BYTES {
            return false;
        }
        self.limits += 1;
        self.bytes += id.len() + LIMIT_OVERHEAD_BYTES;
        true
    }
}
