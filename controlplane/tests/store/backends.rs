//! Backends, settings, and the configuration file against both.

use controlplane::domain::{
    AdminState, BackendCa, BackendChange, BackendKey, BackendSpec, BackendUrl, DefaultLimit, HealthCheck, LimitScope,
    Settings, Source, Strategy,
};
use controlplane::store::{Reconciled, StoreError};

use rcgen::{CertificateParams, KeyPair};

use crate::fixture::{Fixture, backend, on_both, settings};

on_both!(
    add_update_remove,
    ids_are_never_used_again,
    the_file_wins_over_its_own_backends,
    the_file_adopts_a_backend_of_the_api,
    reconcile_changes_nothing_twice,
    the_scheme_is_part_of_who_a_backend_is,
    settings_come_back_as_given,
);

async fn add_update_remove(fixture: Fixture) {
    let store = fixture.open().await;
    let mut spec = backend(8081);
    spec.weight = 7;
    spec.health_check = HealthCheck { interval_ms: Some(250), method: "HEAD".into(), ..HealthCheck::default() };
    let (added, first) = store.add_backend(&spec, Source::Api).await.unwrap();
    assert_eq!((&added.spec, added.admin_state, added.source), (&spec, AdminState::Active, Source::Api));
    assert_eq!(store.list_backends().await.unwrap(), std::slice::from_ref(&added));
    assert!(matches!(store.add_backend(&spec, Source::Api).await, Err(StoreError::AlreadyExists(_))));

    let key = BackendKey::Url(spec.url.clone());
    let change = BackendChange { weight: None, admin_state: Some(AdminState::Draining) };
    let (changed, revision) = store.update_backend(&key, &change).await.unwrap();
    assert_eq!((changed.admin_state, changed.spec.weight, revision), (AdminState::Draining, 7, first + 1));
    assert_eq!(store.update_backend(&key, &change).await.unwrap(), (changed, revision));
    let bad = BackendChange { weight: Some(0), admin_state: None };
    assert!(matches!(store.update_backend(&key, &bad).await, Err(StoreError::Invalid(e)) if e.field == "weight"));

    assert_eq!(store.remove_backend(&BackendKey::Id(added.id)).await.unwrap(), revision + 1);
    assert!(matches!(store.remove_backend(&key).await, Err(StoreError::NotFound(_))));
    assert!(matches!(store.update_backend(&key, &change).await, Err(StoreError::NotFound(_))));
}

async fn ids_are_never_used_again(fixture: Fixture) {
    let store = fixture.open().await;
    let (first, _) = store.add_backend(&backend(1), Source::Api).await.unwrap();
    store.remove_backend(&BackendKey::Id(first.id)).await.unwrap();
    let (second, _) = store.add_backend(&backend(1), Source::Api).await.unwrap();
    assert!(second.id > first.id);
}

async fn the_file_wins_over_its_own_backends(fixture: Fixture) {
    let store = fixture.open().await;
    store.add_backend(&backend(9), Source::Api).await.unwrap();
    let done = store.reconcile(&[backend(1), backend(2)], &settings()).await.unwrap();
    assert_eq!((done.added, done.changed, done.removed, done.settings_changed), (2, 0, 0, true));

    let key = BackendKey::Url(backend(1).url);
    assert!(matches!(store.remove_backend(&key).await, Err(StoreError::BackendInFile(url)) if url.ends_with(":1")));
    let drain = BackendChange { weight: Some(3), admin_state: Some(AdminState::Draining) };
    store.update_backend(&key, &drain).await.unwrap();

    let done = store.reconcile(&[backend(1), backend(3)], &settings()).await.unwrap();
    assert_eq!((done.added, done.changed, done.removed, done.settings_changed), (1, 1, 1, false));
    let kept = store.list_backends().await.unwrap();
    let ports: Vec<_> = kept.iter().map(|b| b.spec.url.authority().to_owned()).collect();
    assert_eq!(ports, ["127.0.0.1:9", "127.0.0.1:1", "127.0.0.1:3"]);
    assert_eq!((kept[1].spec.weight, kept[1].admin_state), (1, AdminState::Draining));

    let twice = store.reconcile(&[backend(1), backend(1)], &settings()).await;
    assert!(matches!(twice, Err(StoreError::Invalid(e)) if e.field == "backend_list"));
}

async fn the_file_adopts_a_backend_of_the_api(fixture: Fixture) {
    let store = fixture.open().await;
    let (added, _) = store.add_backend(&backend(1), Source::Api).await.unwrap();
    let done = store.reconcile(&[backend(1)], &settings()).await.unwrap();
    assert_eq!((done.added, done.changed, done.removed), (0, 1, 0));
    let adopted = store.list_backends().await.unwrap();
    assert_eq!((adopted[0].id, adopted[0].source), (added.id, Source::File));
}

async fn the_scheme_is_part_of_who_a_backend_is(fixture: Fixture) {
    let store = fixture.open().await;
    let specs = ["http", "https", "h2c"].map(|scheme| BackendSpec {
        url: BackendUrl::new(&format!("{scheme}://example.com:8443")).unwrap(),
        ..backend(1)
    });
    let done = store.reconcile(&specs, &settings()).await.unwrap();
    assert_eq!((done.added, done.changed, done.removed), (3, 0, 0));
    let kept = store.list_backends().await.unwrap();
    assert_eq!(kept.iter().map(|b| &b.spec.url).collect::<Vec<_>>(), specs.iter().map(|s| &s.url).collect::<Vec<_>>());
    let done = store.reconcile(&specs[1..2], &settings()).await.unwrap();
    assert_eq!((done.added, done.changed, done.removed), (0, 0, 2));
}

async fn reconcile_changes_nothing_twice(fixture: Fixture) {
    let store = fixture.open().await;
    let first = store.reconcile(&[backend(1)], &settings()).await.unwrap();
    let second = store.reconcile(&[backend(1)], &settings()).await.unwrap();
    assert_eq!(second, Reconciled { revision: first.revision, ..Reconciled::default() });
}

fn authority() -> String {
    CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

async fn settings_come_back_as_given(fixture: Fixture) {
    let store = fixture.open().await;
    assert_eq!(store.load().await.unwrap().settings, None);
    let mut other = Settings { default_limit: DefaultLimit::Unlimited, strategy: Strategy::P2c, ..settings() };
    other.client.header = None;
    other.limit_scope = LimitScope::Local;
    other.backend_ca = Some(BackendCa::new(&authority()).unwrap());
    other.client.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
    for given in [settings(), other] {
        let done = store.reconcile(&[], &given).await.unwrap();
        assert!(done.settings_changed);
        assert_eq!(store.load().await.unwrap().settings, Some(given.clone()));
        let changes = store.changes_since(done.revision - 1, None).await.unwrap().unwrap();
        assert_eq!((changes.settings, changes.backends), (Some(given), None));
    }
}
