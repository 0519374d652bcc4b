//! The task: takes commands, and keeps a ledger while this control plane is the authority.

use std::{future, sync::Arc};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{Command, kept::Kept, memory::Written};
use crate::{
    authority::{Authority, Standing},
    metrics::Metrics,
    store::Store,
};

/// Commands that are processed before anybody but their senders is answered.
const BATCH: usize = 256;

/// See the module.
pub(super) struct Desk {
    commands: mpsc::Receiver<Command>,
    standing: watch::Receiver<Standing>,
    kept: Option<Kept>,
    store: Store,
    metrics: Arc<Metrics>,
}

impl Desk {
    pub(super) fn new(
        commands: mpsc::Receiver<Command>,
        authority: &Authority,
        store: Store,
        metrics: Arc<Metrics>,
    ) -> Self {
        let mut standing = authority.standing();
        standing.mark_changed();
        Self { commands, standing, kept: None, store, metrics }
    }

    /// Ends when nobody can send commands any more.
    pub(super) async fn serve(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let wake_at = self.kept.as_ref().map(Kept::wake_at);
            tokio::select! {
                biased;
                changed = self.standing.changed() => match changed {
                    Ok(()) => self.adopt(),
                    Err(_) => return,
                },
                written = written(&mut self.kept) => self.with(|kept| kept.written(&written)),
                count = self.commands.recv_many(&mut batch, BATCH) => if count == 0 {
                    return;
                },
                () = wake(wake_at) => {}
            }
            if self.kept.as_ref().is_some_and(|kept| !kept.lasts()) {
                self.close();
            }
            batch.drain(..).for_each(|command| self.obey(command));
            let metrics = self.metrics.clone();
            self.with(|kept| kept.work(&metrics));
        }
    }

    /// A new term has its own ledger.
    fn adopt(&mut self) {
        self.close();
        if let Standing::Here(term) = &*self.standing.borrow_and_update() {
            self.kept = Some(Kept::new(term.clone(), self.store.clone()));
        }
    }

    fn close(&mut self) {
        if let Some(kept) = self.kept.take() {
            kept.close();
        }
        self.metrics.no_ledger();
    }

    /// Without a ledger a command is dropped, and with it what would have carried its answer.
    fn obey(&mut self, command: Command) {
        self.with(|kept| match command {
            Command::Join(applicant) => kept.join(applicant),
            Command::Receive { ticket, request } => kept.receive(ticket, request),
            Command::Gone { ticket } => kept.gone(ticket),
            // Who asked may have given up.
            Command::Show { key, answer } => _ = answer.send(kept.picture(key)),
        });
    }

    fn with(&mut self, act: impl FnOnce(&mut Kept)) {
        if let Some(kept) = &mut self.kept {
            act(kept);
        }
    }
}

async fn written(kept: &mut Option<Kept>) -> Written {
    match kept {
        Some(kept) => kept.write().await,
        None => future::pending().await,
    }
}

async fn wake(at: Option<std::time::Instant>) {
    match at {
        Some(at) => sleep_until(Instant::from_std(at)).await,
        None => future::pending().await,
    }
}
