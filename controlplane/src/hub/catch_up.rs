//! Steps for data planes whose revision the ring has forgotten, as after a restart of the control plane. All data planes
//! come back at once then, mostly from one revision: one question to the store and one encoding serve them all.

use std::{
    collections::BTreeSet,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{
    FutureExt,
    future::{Shared, WeakShared},
};

use super::{Held, Image, Step, frames::delta};
use crate::store::{Store, StoreError};

/// More clients than this cost more as a change than as part of everything, which is sent without being kept in memory.
const MAX_TOUCHED: u32 = 100_000;

/// A step to be; `None`: everything has to be sent. Soon ready, whatever becomes of the database.
pub(crate) type CatchUp = Shared<Search>;

type Search = Pin<Box<dyn Future<Output = Option<Arc<Step>>> + Send>>;

/// Those that somebody waits for or sends.
#[derive(Default)]
pub(super) struct CatchUps(Mutex<Vec<Entry>>);

struct Entry {
    from: Held,
    to: Held,
    step: WeakShared<Search>,
}

impl CatchUps {
    /// The step from what is held to the image.
    pub(super) fn step(&self, store: &Store, from: &Held, image: Arc<Image>) -> CatchUp {
        // A poisoned list is whole: an entry is pushed or it is not.
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let to = image.held();
        let running = entries.iter().find(|entry| entry.from == *from && entry.to == to);
        if let Some(step) = running.and_then(|entry| entry.step.upgrade()) {
            return step;
        }
        let step = find(store.clone(), from.clone(), image).boxed().shared();
        entries.retain(|entry| entry.step.upgrade().is_some());
        entries.extend(step.downgrade().map(|step| Entry { from: from.clone(), to, step }));
        step
    }
}

/// Who changed comes from the store, but the values come from the image, so that the step ends exactly there.
async fn find(store: Store, from: Held, image: Arc<Image>) -> Option<Arc<Step>> {
    let to = image.held();
    if from.store_id != to.store_id || from.revision > to.revision {
        return None;
    }
    let touched = if from.revision == to.revision {
        (from.fingerprint == to.fingerprint).then(BTreeSet::new)?
    } else {
        touched(&store, from.revision, to.revision).await?
    };
    let config = from.config_tag != to.config_tag;
    let frames = delta(from.revision, &image, &touched, config, config);
    Some(Arc::new(Step { from, to, frames }))
}

async fn touched(store: &Store, since: u64, through: u64) -> Option<BTreeSet<Box<str>>> {
    let answer: Result<_, StoreError> = store.touched_since(since, MAX_TOUCHED).await;
    let found = answer.inspect_err(|error| tracing::debug!(%error, since, "cannot tell what changed")).ok()??;
    let complete = found.revision >= through;
    complete.then(|| found.client_ids.into_iter().map(Into::into).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{ClientId, Limit},
        hub::{Fingerprint, Hub},
        store::DatabaseConfig,
    };

    async fn store(directory: &tempfile::TempDir) -> Store {
        let url = format!("sqlite://{}", directory.path().join("b.db").display());
        Store::open(&DatabaseConfig::parse(&url).unwrap()).await.unwrap()
    }

    async fn set(store: &Store, id: &str) {
        let limit = Limit::new(1.0, 1.0).unwrap();
        store.set_limit(&ClientId::new(id).unwrap(), limit).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn all_who_come_back_together_share_one_step() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory).await;
        set(&store, "a").await;
        let held = Hub::new(store.load().await.unwrap()).image().held();
        set(&store, "b").await;
        let hub = Hub::new(store.load().await.unwrap());
        let (first, second) = (hub.catch_up(&store, &held), hub.catch_up(&store, &held));
        let (first, second) = tokio::join!(first, second);
        let (first, second) = (first.unwrap(), second.unwrap());
        assert!(Arc::ptr_eq(&first, &second) && first.to == hub.image().held() && first.frames.len() == 1);
        let other = Held { config_tag: 1, ..held.clone() };
        assert!(!Arc::ptr_eq(&first, &hub.catch_up(&store, &other).await.unwrap()));
        assert_eq!(hub.catch_ups.0.lock().unwrap().len(), 1, "what nobody waits for is forgotten");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_built_upon_gets_everything() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory).await;
        set(&store, "a").await;
        let hub = Hub::new(store.load().await.unwrap());
        let now = hub.image().held();
        for held in [
            Held { store_id: "other".into(), ..now.clone() },
            Held { revision: now.revision + 1, ..now.clone() },
            Held { fingerprint: Fingerprint::from_value(1), ..now.clone() },
        ] {
            assert!(hub.catch_up(&store, &held).await.is_none(), "{held:?}");
        }
    }
}
