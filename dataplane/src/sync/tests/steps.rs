//! Steps and chunks, without a network.

use std::{collections::BTreeMap, sync::Arc};

use balancer_proto::v1 as wire;
use proptest::{prelude::*, sample::Index};

use crate::{
    client::client_key,
    clock,
    fixtures::{STORE, backend, change, full, limit, plane, pool, settings},
    limit::Limit,
    limiter::LimitKind,
    pool::{Ask, Health, PoolRules},
    shared::Shared,
    sync::{
        Holder,
        assembler::{Assembler, Outcome},
    },
};

/// What a session does with an update, and its answer: the revision acknowledged, or why not; `None`: more chunks.
fn feed(holder: &mut Holder, assembler: &mut Assembler, chunk: wire::Update) -> Option<Result<u64, String>> {
    let base = holder.base();
    match assembler.receive(chunk, base.as_deref()) {
        Outcome::Nothing => None,
        Outcome::Complete(step) => {
            let revision = step.revision;
            Some(holder.apply(*step).map(|()| revision).map_err(|refusal| refusal.to_string()))
        }
        Outcome::Refused(_, refusal) => {
            holder.refused();
            Some(Err(refusal.to_string()))
        }
    }
}

fn apply(holder: &mut Holder, step: wire::Update) -> Result<u64, String> {
    feed(holder, &mut Assembler::default(), step).expect("a whole step is answered")
}

fn limits(shared: &Shared) -> BTreeMap<String, (f64, f64)> {
    let snapshot = shared.snapshot.load_full().expect("a snapshot");
    snapshot.limits.iter().map(|(id, limit)| (id.to_owned(), (limit.capacity(), limit.rate_per_sec()))).collect()
}

/// `step` is refused for `reason`, and what was served before is served still.
fn refused(before: &[wire::Update], step: wire::Update, reason: &str) {
    let (mut holder, shared) = plane();
    for step in before {
        apply(&mut holder, step.clone()).unwrap();
    }
    let served = shared.snapshot.load_full();
    let told = apply(&mut holder, step).unwrap_err();
    assert!(told.contains(reason), "{told}");
    match (served, shared.snapshot.load_full()) {
        (Some(before), Some(after)) => assert!(Arc::ptr_eq(&before, &after)),
        (before, after) => assert!(before.is_none() && after.is_none()),
    }
}

#[test]
fn a_step_that_does_not_fit_is_refused_and_changes_nothing() {
    let a = [limit("a", 5.0, 1.0)];
    let base = [full(3, &a)];
    refused(&[], change(3, 4, &[], &a), "nothing is held");
    refused(&base, change(2, 4, &[], &a), "revision 2");
    refused(&base, change(4, 5, &[], &a), "revision 4");
    refused(&base, change(3, 2, &[], &a), "back to 2");
    refused(&base, wire::Update { store_id: "other".into(), ..change(3, 4, &[], &a) }, "\"other\"");
    refused(&base, wire::Update { fingerprint: 1, ..change(3, 4, &[], &a) }, "fingerprint");
    refused(&base, wire::Update { fingerprint: 1, ..full(4, &a) }, "fingerprint");
    refused(&base, change(3, 4, &[limit("b", 0.0, 1.0)], &a), "\"b\"");
    refused(&base, wire::Update { pool: None, ..full(4, &a) }, "lacks the pool");
    refused(&base, wire::Update { settings: None, ..full(4, &a) }, "lacks the settings");
    refused(&base, wire::Update { store_id: String::new(), ..full(4, &a) }, "store_id");
    let twice = wire::Pool { backends: vec![backend(1, "http://a:1"), backend(1, "http://b:1")] };
    refused(&base, wire::Update { pool: Some(twice), ..full(4, &a) }, "twice");
}

#[test]
fn after_a_refusal_only_everything_helps() {
    let (mut holder, shared) = plane();
    let a = [limit("a", 5.0, 1.0)];
    apply(&mut holder, full(1, &a)).unwrap();
    apply(&mut holder, wire::Update { fingerprint: 1, ..change(1, 2, &[], &a) }).unwrap_err();
    assert!(holder.base().is_none());
    apply(&mut holder, change(1, 2, &[], &a)).unwrap_err();
    assert_eq!(apply(&mut holder, full(3, &a)), Ok(3));
    assert_eq!(apply(&mut holder, change(3, 4, &[], &a)), Ok(4));
    assert_eq!(shared.snapshot.load_full().unwrap().revision, 4);
}

#[test]
fn nothing_is_served_before_the_last_chunk() {
    let (mut holder, shared) = plane();
    let mut assembler = Assembler::default();
    let all = [limit("a", 5.0, 1.0), limit("b", 6.0, 1.0)];
    let first = wire::Update { last_chunk: false, upserted_limits: vec![all[0].clone()], ..full(1, &all) };
    let last = wire::Update { pool: None, settings: None, upserted_limits: vec![all[1].clone()], ..full(1, &all) };
    assert_eq!(feed(&mut holder, &mut assembler, first), None);
    assert!(shared.snapshot.load().is_none());
    assert_eq!(feed(&mut holder, &mut assembler, last), Some(Ok(1)));
    assert_eq!(limits(&shared).len(), 2);
}

#[test]
fn a_step_is_refused_once_however_many_chunks_follow() {
    let (mut holder, _) = plane();
    let mut assembler = Assembler::default();
    let a = [limit("a", 5.0, 1.0)];
    let chunk = |last_chunk| wire::Update { last_chunk, upserted_limits: vec![limit("", 1.0, 1.0)], ..full(1, &a) };
    assert!(feed(&mut holder, &mut assembler, chunk(false)).unwrap().is_err());
    assert_eq!(feed(&mut holder, &mut assembler, chunk(false)), None);
    assert_eq!(feed(&mut holder, &mut assembler, chunk(true)), None);
    assert_eq!(feed(&mut holder, &mut assembler, full(2, &a)), Some(Ok(2)));
}

#[test]
fn a_step_cut_off_by_another_is_refused() {
    let (mut holder, shared) = plane();
    let mut assembler = Assembler::default();
    let a = [limit("a", 5.0, 1.0)];
    assert_eq!(feed(&mut holder, &mut assembler, wire::Update { last_chunk: false, ..full(1, &a) }), None);
    let told = feed(&mut holder, &mut assembler, full(2, &a)).unwrap().unwrap_err();
    assert!(told.contains("in the middle of revision 1"), "{told}");
    assert!(shared.snapshot.load().is_none());
    assert_eq!(feed(&mut holder, &mut assembler, full(3, &a)), Some(Ok(3)));
}

#[test]
fn a_changed_limit_keeps_its_tokens() {
    let (mut holder, shared) = plane();
    apply(&mut holder, full(1, &[limit("a", 5.0, 0.0)])).unwrap();
    let (key, old) = (client_key("a"), Limit::new(5.0, 0.0).unwrap());
    (0..5).for_each(|_| assert!(shared.buckets.take(key, &old, LimitKind::Client, clock::now()).admitted));
    let wider = [limit("a", 50.0, 0.0)];
    for step in [change(1, 2, &wider, &wider), full(3, &wider), full(4, &[]), full(5, &wider)] {
        apply(&mut holder, step).unwrap();
        let new = Limit::new(50.0, 0.0).unwrap();
        assert!(!shared.buckets.take(key, &new, LimitKind::Client, clock::now()).admitted);
    }
}

#[test]
fn state_of_a_backend_outlives_its_snapshots_and_health_comes_and_goes() {
    let (mut holder, shared) = plane();
    let told = |full, backend_id, health: wire::Health| wire::HealthUpdate {
        full,
        backends: vec![wire::BackendHealth { backend_id, health: health.into() }],
    };
    let health = || {
        let snapshot = shared.snapshot.load_full().unwrap();
        snapshot.pool.backends().iter().map(|backend| backend.health).collect::<Vec<_>>()
    };
    holder.heard_health(&told(true, 1, wire::Health::Unhealthy));
    apply(&mut holder, full(1, &[])).unwrap();
    assert_eq!(health(), [Health::Unhealthy, Health::Unknown]);
    let before = shared.snapshot.load_full().unwrap();
    let in_flight = before.pool.backends()[1].state.begin();

    holder.heard_health(&told(false, 2, wire::Health::Healthy));
    assert_eq!(health(), [Health::Unhealthy, Health::Healthy]);
    apply(&mut holder, full(2, &[])).unwrap();
    assert_eq!(health(), [Health::Unhealthy, Health::Healthy]);
    holder.heard_health(&told(true, 1, wire::Health::Healthy));
    assert_eq!(health(), [Health::Healthy, Health::Unknown]);
    holder.lost();
    assert_eq!(health(), [Health::Unknown, Health::Unknown]);

    let after = shared.snapshot.load_full().unwrap();
    assert_eq!((after.revision, after.pool.backends()[1].state.in_flight()), (2, 1));
    drop(in_flight);
}

#[test]
fn a_backend_that_is_added_or_becomes_healthy_starts_slowly_and_the_first_ones_do_not() {
    let (mut holder, shared) = plane();
    let rules = PoolRules { slow_start_ns: 3_600_000_000_000, ..PoolRules::default() };
    let share = |id| {
        let snapshot = shared.snapshot.load_full().unwrap();
        let chosen = |random| {
            let ask = Ask { client: 0, random, now: clock::now(), tried: &[], rules: &rules };
            snapshot.pool.pick(&ask).unwrap().id
        };
        (0..1000).filter(|random| chosen(*random) == id).count()
    };
    apply(&mut holder, full(1, &[])).unwrap();
    assert_eq!([1, 2].map(share), [500, 500]);
    let mut more = pool();
    more.backends.push(backend(3, "http://127.0.0.1:8083"));
    apply(&mut holder, wire::Update { pool: Some(more), ..change(1, 2, &[], &[]) }).unwrap();
    assert!(share(3) < 100 && share(1) > 400);
    let told = |health: wire::Health| wire::HealthUpdate {
        full: false,
        backends: vec![wire::BackendHealth { backend_id: 1, health: health.into() }],
    };
    holder.heard_health(&told(wire::Health::Unhealthy));
    holder.heard_health(&told(wire::Health::Healthy));
    assert!(share(1) < 100 && share(2) > 700);
}

#[test]
fn settings_change_alone() {
    let (mut holder, shared) = plane();
    apply(&mut holder, full(1, &[limit("a", 5.0, 1.0)])).unwrap();
    let unlimited = Some(wire::settings::DefaultLimit::Unlimited(wire::Unlimited {}));
    let new = wire::Settings { default_limit: unlimited, strategy: wire::Strategy::P2c.into(), ..settings() };
    let step = wire::Update { settings: Some(new), ..change(1, 2, &[], &[limit("a", 5.0, 1.0)]) };
    apply(&mut holder, step).unwrap();
    let after = shared.snapshot.load_full().unwrap();
    assert!(after.default_limit.is_none() && after.pool.backends().len() == 2 && after.limits.len() == 1);
    assert_eq!((after.pool.strategy(), after.store_id.as_str()), (crate::pool::Strategy::P2c, STORE));
}

#[derive(Clone, Debug)]
enum Edit {
    Set(u8, u8),
    Delete(u8),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![(0..20u8, 1..9u8).prop_map(|(id, capacity)| Edit::Set(id, capacity)), (0..20u8).prop_map(Edit::Delete)]
}

/// A step with these edits, later ones winning, and the model brought up to date.
fn step(model: &mut BTreeMap<String, wire::Limit>, base: u64, edits: &[Edit]) -> wire::Update {
    let mut touched = BTreeMap::new();
    for edit in edits {
        match edit {
            Edit::Set(id, capacity) => {
                let limit = limit(&id.to_string(), f64::from(*capacity), 1.0);
                model.insert(id.to_string(), limit.clone());
                touched.insert(id.to_string(), Some(limit));
            }
            Edit::Delete(id) => {
                model.remove(&id.to_string());
                touched.insert(id.to_string(), None);
            }
        }
    }
    let after: Vec<_> = model.values().cloned().collect();
    let upserted: Vec<_> = touched.values().flatten().cloned().collect();
    let deleted_limits = touched.into_iter().filter(|(_, limit)| limit.is_none()).map(|(id, _)| id).collect();
    wire::Update { deleted_limits, ..change(base, base + 1, &upserted, &after) }
}

/// The step in chunks of at most `size` limits.
fn chunks(step: &wire::Update, size: usize) -> Vec<wire::Update> {
    let (pool, settings) = (step.pool.clone(), step.settings.clone());
    let bare = wire::Update {
        upserted_limits: vec![],
        deleted_limits: vec![],
        pool: None,
        settings: None,
        last_chunk: false,
        ..step.clone()
    };
    let mut chunks = vec![wire::Update { pool, settings, ..bare.clone() }];
    let upserted = step.upserted_limits.chunks(size);
    chunks.extend(upserted.map(|limits| wire::Update { upserted_limits: limits.to_vec(), ..bare.clone() }));
    let deleted = step.deleted_limits.chunks(size);
    chunks.extend(deleted.map(|ids| wire::Update { deleted_limits: ids.to_vec(), ..bare.clone() }));
    chunks.last_mut().expect("at least one").last_chunk = true;
    chunks
}

proptest! {
    #[test]
    fn changes_lead_where_everything_at_once_leads(
        steps in prop::collection::vec(prop::collection::vec(edit(), 0..12), 1..12),
        size in 1..6usize,
    ) {
        let (mut holder, shared) = plane();
        let (mut model, mut assembler) = (BTreeMap::new(), Assembler::default());
        apply(&mut holder, full(0, &[])).unwrap();
        for (base, edits) in steps.iter().enumerate() {
            let answers: Vec<_> = chunks(&step(&mut model, base as u64, edits), size)
                .into_iter()
                .filter_map(|chunk| feed(&mut holder, &mut assembler, chunk))
                .collect();
            prop_assert_eq!(answers, [Ok(base as u64 + 1)]);
        }
        let (mut other, whole) = plane();
        apply(&mut other, full(9, &model.into_values().collect::<Vec<_>>())).unwrap();
        prop_assert_eq!(limits(&shared), limits(&whole));
    }

    #[test]
    fn a_lost_or_doubled_chunk_or_step_is_never_served(
        edits in prop::collection::vec((0..20u8, 1..9u8), 1..20),
        which: Index,
        doubled: bool,
    ) {
        let (mut holder, shared) = plane();
        apply(&mut holder, full(0, &[])).unwrap();
        let (mut model, mut assembler) = (BTreeMap::new(), Assembler::default());
        let edits: Vec<_> = edits.into_iter().map(|(id, capacity)| Edit::Set(id, capacity)).collect();
        let mut sent = chunks(&step(&mut model, 0, &edits), 2);
        // Without the first, empty, chunk: losing that one loses nothing.
        sent.remove(0);
        let at = which.index(sent.len());
        let chunk = sent.remove(at);
        if doubled {
            sent.insert(at, chunk.clone());
            sent.insert(at, chunk);
        }
        for chunk in sent {
            feed(&mut holder, &mut assembler, chunk);
        }
        let expected: BTreeMap<_, _> =
            model.into_iter().map(|(id, limit)| (id, (limit.capacity(), limit.rate_per_sec()))).collect();
        let served = limits(&shared);
        prop_assert!(served.is_empty() || served == expected);
    }
}
