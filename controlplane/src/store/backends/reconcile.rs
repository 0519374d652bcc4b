//! The configuration file against the database.

use std::collections::{BTreeMap, BTreeSet};

use super::{all, update};
use crate::domain::{AdminState, Backend, BackendSpec, BackendUrl, Invalid, Settings, Source, weight};
use crate::store::history::commit;
use crate::store::records::{BackendRecord, SettingsRecord};
use crate::store::rows::{Operation, Rows, Written};
use crate::store::{Reconciled, StoreError};

pub(super) struct Reconcile {
    pub(super) specs: Vec<BackendSpec>,
    pub(super) settings: Settings,
}

/// What has to be done to the table.
#[derive(Default)]
struct Plan {
    add: Vec<BackendSpec>,
    change: Vec<Backend>,
    remove: Vec<u64>,
}

impl Operation for Reconcile {
    type Answer = Written<Reconciled>;

    async fn run<C: Rows>(self, rows: &mut C) -> Result<Written<Reconciled>, StoreError> {
        let mut meta = rows.lock_meta().await?;
        let plan = plan(self.specs, all(rows).await?)?;
        let settings = rows.settings().await?.map(Settings::try_from).transpose()?;
        let mut done = Reconciled {
            revision: meta.newest(),
            added: plan.add.len(),
            changed: plan.change.len(),
            removed: plan.remove.len(),
            settings_changed: settings.as_ref() != Some(&self.settings),
        };
        let backends_changed = done.added + done.changed + done.removed > 0;
        if !backends_changed && !done.settings_changed {
            return Ok((done, meta.newest()));
        }
        let revision = meta.next_revision();
        if backends_changed {
            meta.backends_revision = revision;
            carry_out(rows, plan, revision).await?;
        }
        if done.settings_changed {
            rows.put_settings(&SettingsRecord::new(&self.settings, revision)).await?;
        }
        commit(rows, &meta).await?;
        done.revision = meta.newest();
        Ok((done, meta.newest()))
    }
}

fn plan(specs: Vec<BackendSpec>, stored: Vec<Backend>) -> Result<Plan, StoreError> {
    let mut stored: BTreeMap<BackendUrl, Backend> = stored.into_iter().map(|b| (b.spec.url.clone(), b)).collect();
    let mut wanted: BTreeSet<BackendUrl> = BTreeSet::new();
    let mut plan = Plan::default();
    for spec in specs {
        weight(spec.weight)?;
        if !wanted.insert(spec.url.clone()) {
            let expected = format!("expected each backend once, got {} twice", spec.url.as_str());
            return Err(Invalid { field: "backend_list", expected }.into());
        }
        match stored.remove(&spec.url) {
            None => plan.add.push(spec),
            Some(old) if old.spec == spec && old.source == Source::File => {}
            Some(old) => plan.change.push(Backend { spec, source: Source::File, ..old }),
        }
    }
    plan.remove = stored.into_values().filter(|b| b.source == Source::File).map(|b| b.id).collect();
    Ok(plan)
}

async fn carry_out<C: Rows>(rows: &mut C, plan: Plan, revision: i64) -> Result<(), StoreError> {
    for spec in &plan.add {
        rows.insert_backend(&BackendRecord::new(spec, AdminState::Active, Source::File, revision)?).await?;
    }
    for backend in &plan.change {
        update(rows, backend, revision).await?;
    }
    for id in plan.remove {
        rows.delete_backend(id.cast_signed()).await?;
    }
    Ok(())
}
