//! Requests that wait because every backend has as many in flight as it may.

use std::{
    pin::pin,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst},
};

use tokio::sync::Notify;

/// The queue of one data plane. First come, first served; each request that ends wakes one that waits.
///
/// No wake-up is lost: who waits is counted before he looks for room a last time, and who makes room has made it before
/// he looks whether anybody is counted.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: AtomicUsize,
    waited: AtomicU64,
    room: Notify,
}

/// One that is counted as waiting, until it is dropped.
struct Waiting<'a>(&'a Queue);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, SeqCst);
    }
}

impl Queue {
    /// Requests that wait now.
    pub fn waiting(&self) -> usize {
        self.waiting.load(SeqCst)
    }

    /// Requests that had to wait, since the process started.
    pub fn waited_total(&self) -> u64 {
        self.waited.load(Relaxed)
    }

    /// There may be room for one more request: the one that has waited longest tries.
    pub fn made_room(&self) {
        if self.waiting() > 0 {
            self.room.notify_one();
        }
    }

    /// Waits until `attempt` gives something, but not beyond `give_up`.
    pub async fn wait<T>(
        &self,
        mut attempt: impl FnMut() -> Option<T>,
        give_up: impl Future<Output = ()>,
    ) -> Option<T> {
        let (mut give_up, first) = (pin!(give_up), self.waiting.fetch_add(1, SeqCst) == 0);
        let _waiting = Waiting(self);
        self.waited.fetch_add(1, Relaxed);
        let mut woken = false;
        loop {
            let mut room = pin!(self.room.notified());
            room.as_mut().enable();
            // Who comes while others wait takes his place behind them without a try.
            if (first || woken)
                && let Some(found) = attempt()
            {
                if !woken {
                    // There may be more room that nobody was told of, and others that came in between.
                    self.room.notify_one();
                }
                return Some(found);
            }
            tokio::select! {
                biased;
                () = room => woken = true,
                () = give_up.as_mut() => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        sync::{Arc, Mutex},
    };

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn who_waits_longest_is_served_first_and_each_room_serves_one() {
        let (queue, rooms, served) =
            (Arc::new(Queue::default()), Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(vec![])));
        let take = |rooms: &AtomicUsize| rooms.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).ok();
        let tasks: Vec<_> = (0..5)
            .map(|number| {
                let (queue, rooms, served) = (queue.clone(), rooms.clone(), served.clone());
                tokio::spawn(async move {
                    queue.wait(|| take(&rooms), pending()).await.unwrap();
                    served.lock().unwrap().push(number);
                })
            })
            .collect();
        while queue.waiting() < 5 {
            tokio::task::yield_now().await;
        }
        for (left, task) in (0..5).rev().zip(tasks) {
            rooms.fetch_add(1, SeqCst);
            queue.made_room();
            task.await.unwrap();
            assert_eq!(queue.waiting(), left);
        }
        assert_eq!(*served.lock().unwrap(), [0, 1, 2, 3, 4]);
        assert_eq!(queue.waited_total(), 5);
    }

    #[tokio::test]
    async fn who_gives_up_is_not_counted_any_more() {
        let queue = Queue::default();
        assert_eq!(queue.wait(|| None::<()>, ready(())).await, None);
        assert_eq!(queue.waiting(), 0);
        assert_eq!(queue.wait(|| Some(1), pending()).await, Some(1));
    }

    #[tokio::test]
    async fn a_turn_is_passed_on_by_who_leaves_just_then() {
        let (queue, rooms) = (Queue::default(), AtomicUsize::new(0));
        let take = || rooms.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).ok();
        let mut first = Box::pin(queue.wait(take, pending()));
        let mut second = Box::pin(queue.wait(take, pending()));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        rooms.fetch_add(1, SeqCst);
        queue.made_room();
        drop(first);
        assert_eq!(second.await, Some(1));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_wake_up_is_lost_between_threads() {
        let (queue, rooms) = (Arc::new(Queue::default()), Arc::new(AtomicUsize::new(2)));
        let take = |rooms: &AtomicUsize| rooms.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).ok();
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let (queue, rooms) = (queue.clone(), rooms.clone());
                tokio::spawn(async move {
                    for _ in 0..100 {
                        queue.wait(|| take(&rooms), pending()).await.unwrap();
                        tokio::task::yield_now().await;
                        rooms.fetch_add(1, SeqCst);
                        queue.made_room();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!((queue.waiting(), rooms.load(SeqCst)), (0, 2));
    }
}
