//! Everything, in messages of bounded size. Those who ask together, as after a restored backup, share what is encoded.

use std::{
    collections::VecDeque,
    ops::Bound,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use balancer_proto::v1;

use super::{
    Frame, Image, encode,
    frames::{Room, header},
};
use crate::convert;

/// Chunks kept for those that come a little later; a stream further behind has them encoded again. With chunks of 64 KiB
/// this bounds what a whole configuration on its way takes, however many limits and streams there are.
const KEPT: usize = 32;

/// The full step to one image, kept for as long as somebody sends it.
struct Full {
    image: Arc<Image>,
    newest: Mutex<VecDeque<Chunk>>,
}

#[derive(Clone)]
struct Chunk {
    number: usize,
    frame: Frame,
    /// client_id at its end; `None`: nothing follows.
    end: Option<Arc<str>>,
}

impl Full {
    fn new(image: Arc<Image>) -> Self {
        Self { image, newest: Mutex::default() }
    }

    /// Encodes while it holds the lock: who else waits mostly waits for the same chunk.
    fn chunk(&self, number: usize, after: Option<&str>) -> Chunk {
        // A poisoned list is whole: a chunk is pushed or it is not.
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = newest.iter().find(|chunk| chunk.number == number) {
            return known.clone();
        }
        let chunk = self.encode(number, after);
        newest.push_back(chunk.clone());
        if newest.len() > KEPT {
            newest.pop_front();
        }
        chunk
    }

    fn encode(&self, number: usize, after: Option<&str>) -> Chunk {
        let (upserted_limits, last_chunk) = self.limits(after);
        let end = upserted_limits.last().filter(|_| !last_chunk).map(|limit| limit.client_id.as_str().into());
        let first = number == 0;
        let update = v1::Update {
            full: true,
            upserted_limits,
            last_chunk,
            pool: first.then(|| convert::pool(&self.image.backends)),
            settings: first.then(|| convert::settings(&self.image.settings)),
            ..header(&self.image, last_chunk)
        };
        Chunk { number, frame: encode(v1::sync_response::Message::Update(update)), end }
    }

    /// As many as fit into a chunk, and whether nothing follows.
    fn limits(&self, after: Option<&str>) -> (Vec<v1::Limit>, bool) {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut limits, mut room) = (Vec::new(), Room::default());
        for (id, limit) in self.image.limits.range::<_, str>((start, Bound::Unbounded)) {
            if !room.take(id) {
                return (limits, false);
            }
            limits.push(convert::limit(id, *limit));
        }
        (limits, true)
    }
}

/// One stream's way through everything, one message at a time.
pub(crate) struct FullFrames {
    full: Arc<Full>,
    number: usize,
    after: Option<Arc<str>>,
    done: bool,
}

impl Iterator for FullFrames {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        if self.done {
            return None;
        }
        let chunk = self.full.chunk(self.number, self.after.as_deref());
        self.number += 1;
        self.done = chunk.end.is_none();
        self.after = chunk.end;
        Some(chunk.frame)
    }
}

/// The full step that somebody sends.
#[derive(Default)]
pub(super) struct Fulls(Mutex<Weak<Full>>);

impl Fulls {
    /// Everything in the image, from the first message.
    pub(super) fn frames(&self, image: Arc<Image>) -> FullFrames {
        FullFrames { full: self.full(image), number: 0, after: None, done: false }
    }

    fn full(&self, image: Arc<Image>) -> Arc<Full> {
        // A poisoned pointer is whole.
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = sent.upgrade().filter(|full| Arc::ptr_eq(&full.image, &image));
        same.unwrap_or_else(|| {
            let full = Arc::new(Full::new(image));
            *sent = Arc::downgrade(&full);
            full
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{ClientId, Limit},
        store::Loaded,
    };

    fn image(limits: u32) -> Arc<Image> {
        let limit = |n| (ClientId::new(&format!("c{n}")).unwrap(), Limit::new(1.0, 1.0).unwrap());
        let (limits, backends) = ((0..limits).map(limit).collect(), Vec::new());
        let loaded = Loaded { store_id: "s".into(), revision: 1, mark: 0, limits, backends, settings: None };
        Arc::new(Image::new(loaded, 0))
    }

    fn wire(frames: impl IntoIterator<Item = Frame>) -> Vec<bytes::Bytes> {
        frames.into_iter().map(Frame::into_wire).collect()
    }

    #[test]
    fn who_sends_everything_together_sends_the_same_bytes() {
        let (fulls, image) = (Fulls::default(), image(10_000));
        let (first, second) = (fulls.frames(image.clone()), fulls.frames(image.clone()));
        let (first, second) = (wire(first), wire(second));
        assert!(first.len() > 2 && first.len() <= KEPT);
        assert!(first.iter().zip(&second).all(|(one, other)| one.as_ptr() == other.as_ptr()));
        assert_eq!(first, wire(fulls.frames(image)), "and afterwards the same again");
        assert!(fulls.0.lock().unwrap().upgrade().is_none(), "what nobody sends is forgotten");
    }

    #[test]
    fn who_is_far_behind_gets_what_the_others_got() {
        let (fulls, image) = (Fulls::default(), image(100_000));
        let (late, before) = (fulls.frames(image.clone()), wire(fulls.frames(image)));
        assert!(before.len() > KEPT);
        assert_eq!(wire(late), before);
    }
}
