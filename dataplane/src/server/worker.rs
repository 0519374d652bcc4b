//! A proxy thread.

use std::{
    cell::{Cell, RefCell},
    io,
    net::TcpListener,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::{
    runtime::{Builder, LocalOptions},
    sync::mpsc::UnboundedReceiver,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Announcers, ServeOptions, accept,
    admission::Admission,
    balance_threads::{Handed, Threads},
    complaints::Complaints,
    timers::{TICK, Timers},
    tls::Certificates,
};
use crate::{
    backend_tls::BackendTls,
    buffers::Buffers,
    clock::{self, Nanos},
    http1::{Head, HttpDate},
    pipes::Pipes,
    pool::Scheme,
    proxy::{self, ProxyOptions, RetryBudget},
    shared::Shared,
    snapshot::Snapshot,
    upstream::{Http2Pool, IdlePool, Upstream},
};

/// On shutdown an idle connection stays open this long: a request that is on its way gets an answer, which says that
/// it was the last.
const CLOSING_NOTICE: Duration = Duration::from_millis(500);

/// Room for heads that is kept for later, and the largest head whose room is.
const MAX_SPARE_HEADS: usize = 64;
const MAX_SPARE_HEAD_BYTES: usize = 4 * 1024;

/// What a thread is started with.
pub(super) struct WorkerOptions {
    pub(super) index: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) budget: Arc<RetryBudget>,
    pub(super) threads: Arc<Threads>,
    pub(super) admission: Arc<Admission>,
    pub(super) serve: ServeOptions,
    /// Most pipes.
    pub(super) pipes: usize,
    pub(super) shutdown: CancellationToken,
}

/// A thread's handle on the current snapshot: requests count its uses here, not on a counter that all threads would
/// fight over.
#[allow(clippy::redundant_allocation, reason = "the outer count is cheap because it is not shared")]
pub(crate) type LocalSnapshot = Rc<Arc<Snapshot>>;

/// What the connections of one thread share. Nothing in it is ever borrowed across an await.
pub(crate) struct Worker {
    pub(super) index: usize,
    pub(super) threads: Arc<Threads>,
    pub(super) admission: Arc<Admission>,
    pub(super) shutdown: CancellationToken,
    /// What all threads share.
    pub(crate) shared: Arc<Shared>,
    /// Time-outs and switches of the request path.
    pub(crate) options: ProxyOptions,
    /// Retries left, for all threads together.
    pub(crate) budget: Arc<RetryBudget>,
    /// With these the port speaks TLS only.
    pub(super) tls: Option<Certificates>,
    /// With these, connections begin with a PROXY protocol header.
    pub(super) announcers: Option<Announcers>,
    /// Of connections whose PROXY protocol header is missing or not theirs to send.
    pub(super) unannounced: Complaints,
    /// Time-outs of this thread's connections.
    pub(crate) timers: Arc<Timers>,
    /// Memory to read into and write from.
    pub(crate) buffers: Buffers,
    /// What bodies pass through without being read.
    pub(crate) pipes: Rc<Pipes>,
    #[allow(clippy::vec_box, reason = "they are moved in and out as they are")]
    heads: RefCell<Vec<Box<Head>>>,
    date: Cell<HttpDate>,
    /// Clients have had time to take notice of the shutdown.
    noticed: Cell<bool>,
    snapshot: RefCell<Option<LocalSnapshot>>,
    idle: RefCell<IdlePool>,
    /// Connections to backends that requests share.
    pub(crate) http2: Rc<Http2Pool>,
    /// By whom idle connections were verified.
    backend_tls: RefCell<Option<BackendTls>>,
    random: Cell<u64>,
    tasks: TaskTracker,
}

impl WorkerOptions {
    /// Runs the thread until shutdown and the end of all its connections, or of the grace time.
    pub(super) fn run(self, listener: TcpListener, inbox: UnboundedReceiver<Handed>) -> io::Result<()> {
        let grace = self.serve.grace;
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let worker = Rc::new(Worker::new(self));
            let sweeper = tokio::task::spawn_local(sweep_every_second(worker.clone()));
            let ticker = tokio::task::spawn_local(tick(worker.clone()));
            let notifier = tokio::task::spawn_local(notify(worker.clone()));
            accept::accept(&worker, listener, inbox).await;
            worker.tasks.close();
            if timeout(grace, worker.tasks.wait()).await.is_err() {
                tracing::warn!(connections = worker.tasks.len(), "grace time is over; cutting connections");
            }
            sweeper.abort();
            ticker.abort();
            notifier.abort();
            Ok(())
        })
    }
}

impl Worker {
    fn new(options: WorkerOptions) -> Self {
        let WorkerOptions { index, shared, budget, threads, admission, serve, pipes, shutdown } = options;
        let idle = RefCell::new(IdlePool::new(serve.proxy.upstream_idle_max));
        Self {
            index,
            threads,
            admission,
            shutdown,
            shared,
            options: serve.proxy,
            budget,
            tls: serve.tls,
            announcers: serve.announcers,
            unannounced: Complaints::default(),
            timers: Timers::new(),
            buffers: Buffers::default(),
            pipes: Pipes::new(pipes),
            heads: RefCell::default(),
            date: Cell::new(HttpDate::now()),
            noticed: Cell::new(false),
            snapshot: RefCell::default(),
            idle,
            http2: Rc::default(),
            backend_tls: RefCell::default(),
            random: Cell::new(fastrand::u64(..)),
            tasks: TaskTracker::new(),
        }
    }

    /// The current snapshot; `None` before the first.
    pub(crate) fn snapshot(&self) -> Option<LocalSnapshot> {
        let current = self.shared.snapshot.load();
        let current = current.as_ref()?;
        let mut held = self.snapshot.borrow_mut();
        match &*held {
            Some(held) if Arc::ptr_eq(held, current) => Some(held.clone()),
            _ => {
                *held = Some(Rc::new(current.clone()));
                held.clone()
            }
        }
    }

    /// A random number (SplitMix64, Steele et al. 2014): for spreading load, not for secrets.
    pub(crate) fn random(&self) -> u64 {
        self.random.set(self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let z = self.random.get();
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An idle connection to a backend.
    pub(crate) fn take_idle(&self, backend_id: u64) -> Option<Upstream> {
        self.idle.borrow_mut().take(backend_id)
    }

    /// Keeps a connection for the next request.
    pub(crate) fn give_back(&self, backend_id: u64, upstream: Upstream) {
        self.idle.borrow_mut().put(backend_id, upstream, self.timers.now());
    }

    /// Drops all idle connections to a backend.
    pub(crate) fn forget_idle(&self, backend_id: u64) {
        self.idle.borrow_mut().clear(backend_id);
    }

    /// Room for the head of a request.
    pub(crate) fn take_head(&self) -> Box<Head> {
        self.heads.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes it back.
    pub(crate) fn give_back_head(&self, head: Box<Head>) {
        let mut heads = self.heads.borrow_mut();
        if heads.len() < MAX_SPARE_HEADS && head.bytes().len() <= MAX_SPARE_HEAD_BYTES {
            heads.push(head);
        }
    }

    /// What `Date` says now.
    pub(crate) fn date(&self) -> HttpDate {
        self.date.get()
    }

    /// Whether the shutdown has been known for as long as clients get to take notice. Who waits for a
    /// [`Deadline`](super::Deadline) is woken when that changes.
    pub(super) fn is_notice_over(&self) -> bool {
        self.noticed.get()
    }

    /// Waits for the shutdown, and then as long as clients get to take notice.
    pub(super) async fn notice_over(&self) {
        self.shutdown.cancelled().await;
        sleep(CLOSING_NOTICE).await;
    }

    /// Runs a task on this thread; shutdown waits for it.
    pub(crate) fn spawn(self: Rc<Self>, task: impl Future<Output = ()> + 'static) {
        self.tasks.spawn_local(task);
    }

    fn sweep(&self) {
        let now = clock::now();
        self.budget.observe(now, self.shared.metrics.requests.started_total());
        // Also lets go of a snapshot that a thread without requests would hold on to.
        let Some(snapshot) = self.snapshot() else { return };
        if self.index == 0 {
            proxy::review(self, &snapshot.pool, now);
        }
        let idle_ns = u64::try_from(self.options.upstream_idle_timeout.as_nanos()).unwrap_or(u64::MAX);
        let known = |id| snapshot.pool.backends().iter().any(|b| b.id == id);
        let deadline = Nanos(now.0.saturating_sub(idle_ns));
        self.forget_unverified(&snapshot);
        self.idle.borrow_mut().sweep(deadline, known);
        self.http2.sweep(deadline, known);
    }
}

impl Worker {
    /// Backends must be verified anew where others are to be believed from now on.
    fn forget_unverified(&self, snapshot: &Snapshot) {
        let before = self.backend_tls.replace(Some(snapshot.backend_tls.clone()));
        if before.is_some_and(|before| !before.is_same(&snapshot.backend_tls)) {
            let over_tls = snapshot.pool.backends().iter().filter(|backend| backend.scheme == Scheme::Https);
            over_tls.for_each(|backend| self.forget_idle(backend.id));
        }
    }
}

async fn sweep_every_second(worker: Rc<Worker>) {
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        worker.sweep();
    }
}

/// Wakes connections that wait for a request, once they have waited long enough after the shutdown.
async fn notify(worker: Rc<Worker>) {
    worker.notice_over().await;
    worker.noticed.set(true);
    worker.timers.wake_all();
}

async fn tick(worker: Rc<Worker>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        worker.date.set(HttpDate::now());
        worker.timers.tick(clock::now());
    }
}
