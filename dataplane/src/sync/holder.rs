//! Holds the last good configuration: the only writer of the shared snapshot.

use std::sync::Arc;

use balancer_proto::{lease_key, v1 as wire};
use tokio::sync::watch;

use super::{
    health::HealthBook,
    step::{Change, Step},
};
use crate::{
    backend_tls::BackendTls,
    client::client_key,
    clock,
    convert::{BackendSpec, Refusal, Settings},
    lease::{NewLimit, message::LeaseClient},
    limit::Limit,
    pool::{Backend, Health, Pool},
    shared::Shared,
    snapshot::Snapshot,
};

/// Owns what is needed to make the next snapshot out of the current one.
pub(crate) struct Holder {
    shared: Arc<Shared>,
    health: HealthBook,
    /// Told of every applied step, so that it is saved.
    saves: watch::Sender<Option<Arc<Snapshot>>>,
    /// Replaced as a whole and perhaps still read by a request. Freeing a million limits takes a while: that must
    /// happen on this thread, not on the one whose request read it last.
    retired: Vec<Arc<Snapshot>>,
    /// Whether what is held may be built upon. Not after a refusal: then only everything helps.
    trusted: bool,
}

impl Holder {
    pub(crate) fn new(shared: Arc<Shared>, saves: watch::Sender<Option<Arc<Snapshot>>>) -> Self {
        Self { shared, health: HealthBook::default(), saves, retired: Vec::new(), trusted: true }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What is served now.
    pub(super) fn current(&self) -> Option<Arc<Snapshot>> {
        self.shared.snapshot.load_full()
    }

    /// What the next step may build upon.
    pub(super) fn base(&self) -> Option<Arc<Snapshot>> {
        self.current().filter(|_| self.trusted)
    }

    /// Serves the step from now on, and has it saved.
    pub(super) fn apply(&mut self, step: Step) -> Result<(), Refusal> {
        self.install(step)?;
        self.saves.send_replace(self.current());
        Ok(())
    }

    /// Serves the step from now on.
    pub(crate) fn install(&mut self, mut step: Step) -> Result<(), Refusal> {
        let before = self.current();
        let (full, mut changed) = (step.full, std::mem::take(&mut step.changed));
        let after = Arc::new(self.successor(step, before.as_deref())?);
        if let Some(before) = before {
            if full {
                changed = differing(&before, &after);
            }
            // Before the swap: what was gathered so far was gathered at the old rate.
            retune(&self.shared, &before, &after, &changed);
        }
        self.swap(after, full);
        self.trusted = true;
        Ok(())
    }

    fn successor(&self, step: Step, before: Option<&Snapshot>) -> Result<Snapshot, Refusal> {
        let pool_before = before.map(|before| &before.pool);
        let settings = match (step.settings, before) {
            (Some(new), before) => Settings { backend_tls: kept(new.backend_tls, before), ..new },
            (None, Some(old)) => settings_of(old),
            (None, None) => return Err(Refusal("there are no settings".into())),
        };
        let backends = match (&step.backends, pool_before) {
            (Some(specs), _) => specs.iter().map(|spec| self.backend(spec, pool_before)).collect(),
            (None, Some(pool)) => pool.backends().to_vec(),
            (None, None) => return Err(Refusal("there is no pool".into())),
        };
        Ok(Snapshot {
            store_id: step.store_id,
            revision: step.revision,
            config_tag: step.config_tag,
            limits: step.limits,
            default_limit: settings.default_limit,
            limit_scope: settings.limit_scope,
            client_rules: settings.client_rules,
            backend_tls: settings.backend_tls,
            pool: Pool::new(settings.strategy, backends, pool_before),
            applied_at: clock::now(),
        })
    }

    /// The backend with what is known of it: its state if it was there before, its health if it was told.
    fn backend(&self, spec: &BackendSpec, before: Option<&Pool>) -> Arc<Backend> {
        let same = |backend: &&Arc<Backend>| {
            (backend.id, backend.scheme, &backend.authority) == (spec.id, spec.scheme, &spec.authority)
        };
        let known = before.and_then(|pool| pool.backends().iter().find(same));
        let state = known.map(|backend| Arc::clone(&backend.state)).unwrap_or_default();
        // Where there was nothing before, all begin together, and none need be spared.
        if before.is_some() && known.is_none_or(|backend| backend.draining && !spec.draining) {
            state.warm_up(clock::now());
        }
        Arc::new(Backend {
            id: spec.id,
            scheme: spec.scheme,
            authority: spec.authority.clone(),
            weight: spec.weight,
            draining: spec.draining,
            health: self.health.of(spec.id),
            state,
        })
    }

    /// Takes in what the control plane says of the backends' health.
    pub(super) fn heard_health(&mut self, update: &wire::HealthUpdate) {
        self.health.heard(update);
        self.apply_health();
    }

    /// The step that came does not fit; what is served stays.
    pub(super) fn refused(&mut self) {
        self.trusted = false;
    }

    /// The stream is gone, and with it what it said of health.
    pub(super) fn lost(&mut self) {
        self.health.forget();
        self.apply_health();
        // Last: who sees it may rely on the rest.
        self.shared.metrics.sync.lost();
    }

    fn apply_health(&mut self) {
        let Some(before) = self.current() else { return };
        let changed = |backend: &Arc<Backend>| backend.health != self.health.of(backend.id);
        if !before.pool.backends().iter().any(changed) {
            return;
        }
        let backends = before.pool.backends().iter().map(|backend| self.checked(backend)).collect();
        let pool = Pool::new(before.pool.strategy(), backends, Some(&before.pool));
        self.swap(Arc::new(Snapshot { pool, ..Snapshot::clone(&before) }), false);
    }

    fn checked(&self, backend: &Arc<Backend>) -> Arc<Backend> {
        let health = self.health.of(backend.id);
        if backend.health == health {
            return Arc::clone(backend);
        }
        tracing::info!(backend = %backend.authority, from = ?backend.health, to = ?health, "backend health");
        if backend.health == Health::Unhealthy {
            backend.state.warm_up(clock::now());
        }
        Arc::new(Backend {
            id: backend.id,
            scheme: backend.scheme,
            authority: backend.authority.clone(),
            weight: backend.weight,
            draining: backend.draining,
            health,
            state: Arc::clone(&backend.state),
        })
    }

    fn swap(&mut self, after: Arc<Snapshot>, full: bool) {
        self.shared.leases.set_scope(after.limit_scope);
        let before = self.shared.snapshot.swap(Some(after));
        // A snapshot replaced by a change shares almost everything with its successor and frees little.
        self.retired.extend(before.filter(|_| full));
        self.collect();
    }

    /// Frees what no request reads any more.
    pub(super) fn collect(&mut self) {
        self.retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
    }
}

fn settings_of(snapshot: &Snapshot) -> Settings {
    Settings {
        default_limit: snapshot.default_limit,
        strategy: snapshot.pool.strategy(),
        client_rules: snapshot.client_rules.clone(),
        backend_tls: snapshot.backend_tls.clone(),
        limit_scope: snapshot.limit_scope,
    }
}

/// With the same authorities, the sessions that were begun can still be resumed.
fn kept(new: BackendTls, before: Option<&Snapshot>) -> BackendTls {
    let old = before.map(|snapshot| &snapshot.backend_tls).filter(|old| old.ca_pem() == new.ca_pem());
    old.cloned().unwrap_or(new)
}

/// Limits that are new or have other numbers.
fn differing(before: &Snapshot, after: &Snapshot) -> Vec<Change> {
    let change = |(id, limit): (&str, Limit)| {
        let old = before.limits.get(id);
        (old != Some(limit)).then(|| Change { client_id: id.to_owned(), before: old, after: limit })
    };
    after.limits.iter().filter_map(change).collect()
}

/// Settles the buckets whose limit changes, and tells whoever shares them. Their tokens stay; nobody is refilled by a
/// pushed configuration.
fn retune(shared: &Shared, before: &Snapshot, after: &Snapshot, changed: &[Change]) {
    let (buckets, revision, now) = (&shared.buckets, after.revision, clock::now());
    for change in changed {
        buckets.retune(client_key(&change.client_id), change.before.as_ref(), &change.after, now);
    }
    if !changed.is_empty() {
        let client = |change: &Change| {
            let key = lease_key::of_client(&change.client_id);
            LeaseClient { key, limit: change.after, revision }
        };
        shared.leases.retuned(NewLimit::Own(changed.iter().map(client).collect()));
    }
    if before.default_limit != after.default_limit {
        buckets.retune_default(before.default_limit.as_ref(), after.default_limit.as_ref(), now);
        after.default_limit.into_iter().for_each(|limit| shared.leases.retuned(NewLimit::Default { limit, revision }));
    }
}
