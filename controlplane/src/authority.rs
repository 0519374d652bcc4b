//! Which control plane of a database is the authority: the one that keeps the ledger of tokens.
//!
//! With SQLite it is always this one. With PostgreSQL it is who has a lock (see the store's candidates): who has it asks
//! twice a second whether it still has, and stops at once when there is no answer in time; who has it not tries as often.

mod term;

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Interval, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

pub(crate) use self::term::Term;
use crate::{
    clock,
    store::{Candidate, Store, StoreError},
};

/// Time between two tries to become the authority, and between two questions whether it still is.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long the first try is waited for.
const SETTLED_WITHIN: Duration = Duration::from_secs(1);
/// How long a try may take.
const TRY_WITHIN: Duration = Duration::from_millis(1_500);

/// Who is the authority, as far as this control plane knows.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    /// This one, for a term.
    Here(Arc<Term>),
    /// Another one, at this URL; empty: it is not known where, or there is none.
    Elsewhere(Arc<str>),
}

/// Keeps the standing.
pub(crate) struct Authority {
    standing: watch::Sender<Standing>,
    /// The first try to become the authority has ended.
    tried: watch::Sender<bool>,
    /// URL of this control plane; empty: not known.
    address: String,
}

impl Authority {
    /// A control plane that others reach at `address`; it is not the authority yet.
    pub(crate) fn new(address: Option<String>) -> Self {
        let standing = watch::Sender::new(Standing::Elsewhere("".into()));
        Self { standing, tried: watch::Sender::new(false), address: address.unwrap_or_default() }
    }

    /// Wakes whenever the standing changes.
    pub(crate) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Ends when it is known who is the authority, or that it takes longer: data planes that come at once are to find it.
    pub(crate) async fn settled(&self) {
        let mut tried = self.tried.subscribe();
        let _ = timeout(SETTLED_WITHIN, tried.wait_for(|tried| *tried)).await;
    }

    /// URL of the authority; empty: not known.
    pub(crate) fn whereabouts(&self) -> Arc<str> {
        match &*self.standing.borrow() {
            Standing::Here(_) => self.address.as_str().into(),
            Standing::Elsewhere(address) => address.clone(),
        }
    }

    /// Whether it is this control plane.
    pub(crate) fn is_here(&self) -> bool {
        matches!(&*self.standing.borrow(), Standing::Here(term) if term.lasts())
    }

    /// Is a candidate until the authority, and then the authority until that ends.
    async fn serve(&self, store: &Store, ticks: &mut Interval) -> Result<Infallible, StoreError> {
        let mut candidate = store.candidate().await?;
        while let Some(other) = in_time(candidate.try_take()).await? {
            self.point_to(other);
            ticks.tick().await;
        }
        let epoch = store.begin_epoch(&self.address).await?;
        // Another may have taken over while the epoch was begun.
        let until = confirm(&candidate, clock::since_boot() + TRY_WITHIN).await?;
        let term = Arc::new(Term::new(epoch, until));
        tracing::info!(epoch = term.epoch, "this control plane is the authority for limits of all data planes");
        if self.address.is_empty() && until.is_some() {
            tracing::warn!("other control planes cannot tell data planes where this one is: set admin.advertise");
        }
        self.standing.send_replace(Standing::Here(term.clone()));
        self.tried.send_replace(true);
        loop {
            tokio::select! {
                error = candidate.lost() => return Err(error),
                _ = ticks.tick() => {}
            }
            let Some(until) = term.until() else { std::future::pending().await };
            let extended =
                confirm(&candidate, until).await?.is_none_or(|until| term.extend(until, clock::since_boot()));
            if !extended {
                return Err(StoreError::Unavailable("the answer came too late".into()));
            }
        }
    }

    /// What another wrote there long ago may be the address of this one.
    fn point_to(&self, address: String) {
        self.tried.send_replace(true);
        let address = if address == self.address { String::new() } else { address };
        self.standing.send_if_modified(|standing| {
            let known = matches!(standing, Standing::Elsewhere(known) if **known == *address);
            if !known {
                tracing::info!(address, "another control plane is the authority for limits of all data planes");
                *standing = Standing::Elsewhere(address.into());
            }
            !known
        });
    }

    fn resign(&self, error: &StoreError) {
        self.tried.send_replace(true);
        self.standing.send_if_modified(|standing| {
            match standing {
                Standing::Here(term) => {
                    term.end();
                    tracing::warn!(epoch = term.epoch, %error, "this control plane is not the authority any more");
                }
                Standing::Elsewhere(address) if address.is_empty() => {
                    tracing::debug!(%error, "not the authority");
                    return false;
                }
                Standing::Elsewhere(_) => tracing::debug!(%error, "not the authority"),
            }
            *standing = Standing::Elsewhere("".into());
            true
        });
    }
}

/// Is a candidate or the authority until `shutdown`.
pub(crate) async fn run(authority: Arc<Authority>, store: Store, shutdown: CancellationToken) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut serve = async || {
        loop {
            ticks.tick().await;
            let Err(error) = authority.serve(&store, &mut ticks).await;
            authority.resign(&error);
        }
    };
    shutdown.run_until_cancelled(serve()).await;
}

/// Asks, until `deadline`, whether the candidate is the authority, and answers until when it may count on that. Both times are
/// since boot.
async fn confirm(candidate: &Candidate, deadline: Duration) -> Result<Option<Duration>, StoreError> {
    let asked = clock::since_boot();
    match timeout(deadline.saturating_sub(asked), candidate.confirm()).await {
        Ok(confirmed) => confirmed?,
        Err(_) => return Err(StoreError::Unavailable("no answer in time".into())),
    }
    Ok(candidate.lasts().map(|lasts| asked + lasts))
}

async fn in_time<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let late = |_| StoreError::Unavailable("no answer in time".into());
    timeout(TRY_WITHIN, answer).await.map_err(late)?
}
