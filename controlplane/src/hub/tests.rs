//! Whatever happens, a data plane that takes in the frames ends where the image is.

use std::collections::BTreeMap;

use balancer_proto::v1::{self, sync_response::Message};
use proptest::prelude::*;

use super::*;
use crate::domain::{
    BackendSpec, BackendUrl, ClientId, ClientRules, DefaultLimit, HealthCheck, Limit, LimitScope, Settings, Strategy,
};

fn id(number: u32) -> ClientId {
    ClientId::new(&format!("c{number}")).unwrap()
}

fn limit(capacity: u32) -> Limit {
    Limit::new(f64::from(capacity) + 1.0, 0.5).unwrap()
}

fn loaded(revision: u64, limits: &BTreeMap<u32, u32>) -> Loaded {
    Loaded {
        store_id: "s".into(),
        revision,
        mark: 0,
        limits: limits.iter().map(|(n, capacity)| (id(*n), limit(*capacity))).collect(),
        backends: Vec::new(),
        settings: Some(settings(Strategy::RoundRobin)),
    }
}

fn settings(strategy: Strategy) -> Settings {
    let client = ClientRules { header: None, trusted_proxies: Vec::new(), ipv6_prefix: 64 };
    let limit_scope = LimitScope::Global;
    Settings { default_limit: DefaultLimit::Unlimited, strategy, client, backend_ca: None, limit_scope }
}

fn none(revision: u64) -> Changes {
    Changes { revision, mark: 0, upserted: Vec::new(), deleted: Vec::new(), backends: None, settings: None }
}

fn updates(frames: impl IntoIterator<Item = Frame>) -> Vec<v1::Update> {
    let update = |frame: Frame| match frame.decode().message {
        Some(Message::Update(update)) => update,
        other => panic!("{other:?}"),
    };
    frames.into_iter().map(update).collect()
}

/// What a data plane does with a step.
fn take_in(held: &mut BTreeMap<String, f64>, step: &[v1::Update]) -> u64 {
    if step[0].full {
        held.clear();
    }
    for update in step {
        held.extend(update.upserted_limits.iter().map(|l| (l.client_id.clone(), l.capacity.unwrap())));
        update.deleted_limits.iter().for_each(|id| _ = held.remove(id));
    }
    let mut fingerprint = Fingerprint::default();
    held.iter().for_each(|(id, capacity)| fingerprint.add(id, *capacity, 0.5));
    assert!(step.iter().rev().skip(1).all(|update| !update.last_chunk));
    let last = step.last().unwrap();
    assert!(last.last_chunk);
    assert_eq!(fingerprint.value(), last.fingerprint);
    last.revision
}

proptest! {
    #[test]
    fn steps_lead_where_everything_leads(changes in prop::collection::vec((0u32..20, prop::option::of(0u32..5)), 1..60)) {
        let mut limits = BTreeMap::new();
        let hub = Hub::new(loaded(0, &limits));
        let (mut revision, mut position, mut held) = (0, hub.image().held(), BTreeMap::new());
        for (n, change) in changes {
            let mut step = none(hub.image().revision + 1);
            match change {
                Some(capacity) => {
                    limits.insert(n, capacity);
                    step.upserted.push((id(n), limit(capacity)));
                }
                None if limits.remove(&n).is_some() => step.deleted.push(id(n)),
                None => continue,
            }
            hub.apply(step);
        }
        while let Some(step) = hub.step_after(&position) {
            revision = take_in(&mut held, &updates(step.frames.clone()));
            position = step.to.clone();
        }
        prop_assert_eq!(revision, hub.image().revision);
        let mut afresh = BTreeMap::new();
        take_in(&mut afresh, &updates(hub.everything(hub.image())));
        prop_assert_eq!(&held, &afresh);
        prop_assert_eq!(hub.image().fingerprint, Image::new(loaded(revision, &limits), 0).fingerprint);
    }
}

#[test]
fn everything_comes_in_chunks_of_bounded_size_and_order() {
    let limits: BTreeMap<_, _> = (0..12_345).map(|n| (n, n)).collect();
    let hub = Hub::new(loaded(7, &limits));
    let frames: Vec<_> = hub.everything(hub.image()).collect();
    assert!(frames.iter().all(|frame| frame.len() < 70_000));
    let step = updates(frames);
    assert_eq!(step.iter().map(|u| u.upserted_limits.len()).sum::<usize>(), 12_345);
    assert!(step.len() < 12_345 / 2_000 + 2, "and no more of them than need be: {}", step.len());
    assert!(step.iter().all(|u| u.full && u.revision == 7 && u.base_revision == 0));
    assert!(step[0].pool.is_some() && step[0].settings.is_some() && step[1].pool.is_none());
    let mut held = BTreeMap::new();
    take_in(&mut held, &step);
    assert_eq!(held.len(), 12_345);
}

#[test]
fn everything_of_nothing_is_one_chunk() {
    let hub = Hub::new(loaded(0, &BTreeMap::new()));
    let step = updates(hub.everything(hub.image()));
    assert!(step.len() == 1 && step[0].full && step[0].last_chunk && step[0].pool.is_some());
}

#[test]
fn a_step_says_only_what_changed() {
    let hub = Hub::new(loaded(1, &BTreeMap::new()));
    let start = hub.image().held();
    hub.apply(Changes { settings: Some(settings(Strategy::P2c)), ..none(2) });
    let backend = crate::domain::Backend {
        id: 1,
        spec: BackendSpec {
            url: BackendUrl::new("http://a:1").unwrap(),
            weight: 1,
            health_check: HealthCheck::default(),
        },
        admin_state: crate::domain::AdminState::Disabled,
        source: crate::domain::Source::Api,
    };
    hub.apply(Changes { backends: Some(vec![backend]), ..none(3) });
    let first = hub.step_after(&start).unwrap();
    let second = updates(hub.step_after(&first.to).unwrap().frames.clone());
    let first = updates(first.frames.clone());
    assert!(first[0].settings.is_some() && first[0].pool.is_none());
    assert!(second[0].settings.is_none());
    assert_ne!(first[0].config_tag, start.config_tag);
    assert!(second[0].pool.as_ref().is_some_and(|pool| pool.backends.is_empty()), "disabled backends are left out");
}

#[test]
fn the_ring_forgets_the_oldest_and_everything_after_a_reload() {
    let hub = Hub::new(loaded(0, &BTreeMap::new()));
    let at = |revision| Held { revision, ..hub.image().held() };
    (1..=1001).for_each(|revision| hub.apply(none(revision)));
    assert!(hub.step_after(&at(0)).is_none(), "forgotten");
    assert_eq!(hub.step_after(&at(1)).unwrap().to.revision, 2);
    let others = [
        Held { fingerprint: Fingerprint::from_value(1), ..at(1) },
        Held { config_tag: 1, ..at(1) },
        Held { store_id: "t".into(), ..at(1) },
    ];
    assert!(others.iter().all(|other| hub.step_after(other).is_none()), "something else at the same revision");
    hub.replace(loaded(2000, &BTreeMap::new()));
    assert!(hub.step_after(&at(1000)).is_none());
}
