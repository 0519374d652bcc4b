//! Which thread serves a connection.

use std::{
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::admission::Seat;

/// A connection is handed over only when the thread with the fewest has this many fewer: below that, waking another
/// thread costs more than the imbalance.
const TOLERANCE: usize = 1;

/// The connections of every thread, and a way to hand one over.
pub(super) struct Threads(Vec<Thread>);

struct Thread {
    connections: AtomicUsize,
    inbox: UnboundedSender<Handed>,
}

/// A connection handed to a thread; counted there already.
pub(super) struct Handed {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) place: Place,
}

/// What a connection takes up while its socket is open.
pub(super) struct Place {
    pub(super) counted: Counted,
    pub(super) seat: Seat,
}

/// Counts a connection as its thread's while it lives.
pub(super) struct Counted {
    threads: Arc<Threads>,
    index: usize,
}

impl Threads {
    /// `count` threads and the receiving end of each one's inbox.
    pub(super) fn new(count: usize) -> (Arc<Self>, Vec<UnboundedReceiver<Handed>>) {
        let (threads, inboxes) = (0..count)
            .map(|_| {
                let (inbox, received) = unbounded_channel();
                (Thread { connections: AtomicUsize::new(0), inbox }, received)
            })
            .unzip();
        (Arc::new(Self(threads)), inboxes)
    }

    /// Chooses a thread for a connection that thread `index` accepted, and counts it there.
    pub(super) fn place(self: &Arc<Self>, index: usize) -> Counted {
        let load = |i: usize| self.0[i].connections.load(Relaxed);
        let fewest = (0..self.0.len()).min_by_key(|i| load(*i)).unwrap_or(index);
        let index = if load(index) > load(fewest) + TOLERANCE { fewest } else { index };
        self.0[index].connections.fetch_add(1, Relaxed);
        Counted { threads: self.clone(), index }
    }

    /// Sends a connection to the thread that [`place`](Self::place) chose. Comes back if that one takes no more.
    pub(super) fn hand_over(&self, handed: Handed) -> Result<(), Box<Handed>> {
        let index = handed.place.counted.index;
        self.0[index].inbox.send(handed).map_err(|refused| Box::new(refused.0))
    }
}

impl Counted {
    /// The thread it counts for.
    pub(super) fn index(&self) -> usize {
        self.index
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.threads.0[self.index].connections.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_connections_until_another_has_clearly_fewer() {
        let (threads, _inboxes) = Threads::new(2);
        let placed: Vec<_> = (0..6).map(|_| threads.place(0)).collect();
        assert_eq!(placed.iter().map(Counted::index).collect::<Vec<_>>(), [0, 0, 1, 0, 1, 0]);
        drop(placed);
        assert_eq!(threads.place(1).index(), 1);
    }
}
