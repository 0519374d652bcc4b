//! Time-outs that cost a request nothing: a deadline is a number that is stored, and one task per thread looks at all
//! of them every [`TICK`]. A runtime's timer would be registered and removed for each wait of each request.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::AtomicWaker;

use crate::clock::{self, Nanos};

/// How late a time-out may come.
pub(crate) const TICK: Duration = Duration::from_millis(100);

const NEVER: u64 = u64::MAX;

/// The deadlines of one thread.
pub(crate) struct Timers {
    /// The time of the last tick; precise enough to set a deadline by.
    now: AtomicU64,
    deadlines: Mutex<Vec<Weak<Deadline>>>,
}

/// A moment by which somebody wants to be woken.
pub(crate) struct Deadline {
    timers: Arc<Timers>,
    at: AtomicU64,
    passed: AtomicBool,
    waiter: AtomicWaker,
}

impl Timers {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { now: AtomicU64::new(clock::now().0), deadlines: Mutex::default() })
    }

    /// The time of the last tick.
    pub(crate) fn now(&self) -> Nanos {
        Nanos(self.now.load(Relaxed))
    }

    /// A deadline that is not set.
    pub(crate) fn deadline(self: &Arc<Self>) -> Arc<Deadline> {
        let deadline = Arc::new(Deadline {
            timers: self.clone(),
            at: AtomicU64::new(NEVER),
            passed: AtomicBool::new(false),
            waiter: AtomicWaker::new(),
        });
        self.lock().push(Arc::downgrade(&deadline));
        deadline
    }

    /// Wakes those whose deadline has passed. Called every [`TICK`].
    pub(crate) fn tick(&self, now: Nanos) {
        self.now.store(now.0, Relaxed);
        self.lock().retain(|deadline| {
            let Some(deadline) = deadline.upgrade() else { return false };
            if deadline.at.load(Relaxed) <= now.0 {
                deadline.at.store(NEVER, Relaxed);
                deadline.passed.store(true, Relaxed);
                deadline.waiter.wake();
            }
            true
        });
    }

    /// Wakes whoever waits, to look around.
    pub(crate) fn wake_all(&self) {
        self.lock().iter().filter_map(Weak::upgrade).for_each(|deadline| deadline.waiter.wake());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Deadline>>> {
        // Used by one thread; a list of weak pointers is never half changed.
        self.deadlines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deadline {
    /// Sets it to `after` from now, and forgets an earlier one.
    pub(crate) fn set(&self, after: Duration) {
        // A tick more: `now` may be that old.
        let after = u64::try_from((after + TICK).as_nanos()).unwrap_or(NEVER);
        self.passed.store(false, Relaxed);
        self.at.store(self.timers.now.load(Relaxed).saturating_add(after), Relaxed);
    }

    /// Nobody waits any more.
    pub(crate) fn clear(&self) {
        self.at.store(NEVER, Relaxed);
        self.passed.store(false, Relaxed);
    }

    /// Whether it is set, or has passed.
    pub(crate) fn is_set(&self) -> bool {
        self.at.load(Relaxed) != NEVER || self.passed.load(Relaxed)
    }

    /// Ready once it has passed.
    pub(crate) fn poll_passed(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.passed.load(Relaxed) {
            return Poll::Ready(());
        }
        self.waiter.register(cx.waker());
        Poll::Pending
    }

    /// Waits until it has passed.
    pub(crate) async fn passed(&self) {
        poll_fn(|cx| self.poll_passed(cx)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn a_deadline_passes_once_and_can_be_set_again() {
        let timers = Timers::new();
        let deadline = timers.deadline();
        let mut cx = Context::from_waker(Waker::noop());
        let start = Nanos(timers.now.load(Relaxed));
        let after = |ms: u64| start.plus(ms * 1_000_000);
        deadline.set(Duration::from_millis(500));
        timers.tick(after(500));
        assert!(deadline.poll_passed(&mut cx).is_pending());
        timers.tick(after(700));
        assert!(deadline.poll_passed(&mut cx).is_ready());
        deadline.clear();
        timers.tick(after(5000));
        assert!(deadline.poll_passed(&mut cx).is_pending());
        assert!(!deadline.is_set());
    }

    #[test]
    fn dropped_deadlines_are_forgotten() {
        let timers = Timers::new();
        drop(timers.deadline());
        timers.tick(clock::now());
        assert!(timers.lock().is_empty());
    }
}
