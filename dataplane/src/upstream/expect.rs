//! A body that waits until the backend asks for it (`Expect: 100-continue`, RFC 9110 section 10.1.1).
//!
//! The client's 100 follows by itself: hyper sends it when the client's body is first read.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use http::{Request, StatusCode};

use super::RequestBody;
use crate::server::Deadline;

/// How long a backend is waited for that may never say 100; RFC 9110 asks not to wait for ever.
const PATIENCE: Duration = Duration::from_secs(1);

/// What keeps a body back.
pub(super) struct Held {
    asked: Arc<Asked>,
    until: Arc<Deadline>,
}

/// Whether the backend has asked for the body.
#[derive(Default)]
struct Asked {
    yes: AtomicBool,
    waiter: AtomicWaker,
}

/// Keeps the body of a request back until the backend says 100, but not for ever. `until` is a deadline of its own.
pub(crate) fn hold_until_asked(request: &mut Request<RequestBody>, until: Arc<Deadline>) {
    let asked = Arc::new(Asked::default());
    let held = Held { asked: asked.clone(), until };
    if request.body_mut().hold(held) {
        hyper::ext::on_informational(request, move |answer| {
            if answer.status() == StatusCode::CONTINUE {
                asked.yes.store(true, Relaxed);
                asked.waiter.wake();
            }
        });
    }
}

impl Held {
    /// Ready when the body may be sent.
    pub(super) fn poll_asked(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.asked.waiter.register(cx.waker());
        if self.asked.yes.load(Relaxed) {
            return Poll::Ready(());
        }
        if !self.until.is_set() {
            self.until.set(PATIENCE);
        }
        self.until.poll_passed(cx)
    }
}
