use std::{
    fs,
    sync::{Arc, OnceLock},
};

use balancer_proto::v1 as wire;
use proptest::{prelude::*, sample::Index};
use tempfile::TempDir;

use super::*;
use crate::{
    fixtures::{STORE, backend, full, limit, plane, pool, settings},
    sync::{Seal, Staging},
};

fn authority() -> &'static str {
    static PEM: OnceLock<String> = OnceLock::new();
    PEM.get_or_init(|| {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::default().self_signed(&key).unwrap().pem()
    })
}

/// A snapshot with this many limits.
fn snapshot(limits: usize) -> Arc<Snapshot> {
    let limits: Vec<_> = (0..limits).map(|n| limit(&format!("client-{n}"), 1.0 + n as f64, 0.1)).collect();
    let (mut holder, shared) = plane();
    let settings = wire::Settings { backend_tls: Some(wire::BackendTls { ca_pem: authority().into() }), ..settings() };
    let pool = wire::Pool { backends: [pool().backends, vec![backend(3, "https://localhost:8083")]].concat() };
    let update = wire::Update { settings: Some(settings), pool: Some(pool), config_tag: 77, ..full(42, &limits) };
    holder.install(step(update)).unwrap();
    shared.snapshot.load_full().unwrap()
}

fn step(update: wire::Update) -> Step {
    let seal = Seal::of(&update).unwrap();
    let mut staging = Staging::begin(&update, None).unwrap();
    staging.add(update).unwrap();
    staging.finish(seal).unwrap()
}

fn saved(limits: usize) -> (TempDir, StateDir, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let directory = StateDir::open(folder.path()).unwrap();
    directory.save(&snapshot(limits)).unwrap();
    let bytes = fs::read(folder.path().join(FILE)).unwrap();
    (folder, directory, bytes)
}

#[test]
fn what_was_saved_is_served_again() {
    // Also with a last chunk that is exactly full, and one limit more.
    for limits in [0, 1, 4095, 4096, 4097, 9000] {
        let (_folder, directory, _) = saved(limits);
        let (mut holder, shared) = plane();
        directory.restore(&mut holder);
        let (found, expected) = (shared.snapshot.load_full().unwrap(), snapshot(limits));
        assert_eq!((found.store_id.as_str(), found.revision, found.limits.len()), (STORE, 42, limits));
        assert_eq!(found.limits.fingerprint(), expected.limits.fingerprint());
        assert_eq!(found.config_tag, 77);
        assert_eq!((found.default_limit, found.pool.strategy()), (expected.default_limit, expected.pool.strategy()));
        assert_eq!(format!("{:?}", found.client_rules.trusted_proxies), "[10.0.0.0/8]");
        assert_eq!(found.pool.backends()[1].url(), "http://127.0.0.1:8082");
        assert_eq!(found.pool.backends()[2].url(), "https://localhost:8083");
        assert_eq!(found.backend_tls.ca_pem(), authority());
    }
}

#[test]
fn no_file_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let directory = StateDir::open(folder.path()).unwrap();
    assert!(directory.load().unwrap().is_none());
}

#[test]
fn a_directory_serves_one_data_plane() {
    let folder = tempfile::tempdir().unwrap();
    let first = StateDir::open(folder.path()).unwrap();
    let error = StateDir::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("in use by another data plane") && error.contains("--state-dir"), "{error}");
    drop(first);
    StateDir::open(folder.path()).unwrap();
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = StateDir::open(&file.join("below")).unwrap_err().to_string();
    assert!(error.contains("below") && error.contains("--state-dir"), "{error}");
}

#[test]
fn each_kind_of_damage_has_its_name() {
    let (folder, directory, good) = saved(3);
    let path = folder.path().join(FILE);
    let told = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        directory.load().err().expect("an error").to_string()
    };
    assert!(told(b"#!/bin/sh\necho this is something else\n").contains("not a snapshot"));
    assert!(told(b"").contains("not a snapshot"));
    assert!(told(&good[..good.len() - 1]).contains("cut off"));
    let mut version = good.clone();
    version[8] = 9;
    assert!(told(&version).contains("format version 9"));
    let mut content = good.clone();
    content[40] ^= 1;
    assert!(told(&content).contains("checksum"));
}

#[test]
fn a_save_that_fails_keeps_the_old_file() {
    let (folder, directory, good) = saved(3);
    // A directory in the way of the temporary file: it cannot be created.
    fs::create_dir(folder.path().join("snapshot.bin.new")).unwrap();
    assert!(directory.save(&snapshot(5)).is_err());
    assert_eq!(fs::read(folder.path().join(FILE)).unwrap(), good);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_snapshot_is_saved_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let directory = StateDir::open(folder.path()).unwrap();
    let (saves, latest) = tokio::sync::watch::channel(None);
    let (_, shared) = plane();
    let saver = tokio::spawn(keep_saved(directory, Arc::clone(&shared), latest));
    for limits in [1, 2, 3] {
        saves.send_replace(Some(snapshot(limits)));
        tokio::task::yield_now().await;
    }
    drop(saves);
    saver.await.unwrap();
    let step = StateDir::open(folder.path()).unwrap().load().unwrap().unwrap();
    assert_eq!(step.limits.len(), 3);
    assert!(shared.metrics.state_file.saves_total() >= 1);
}

#[test]
fn every_single_changed_byte_and_every_cut_is_refused() {
    let (folder, directory, good) = saved(2);
    let path = folder.path().join(FILE);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&path, &bad).unwrap();
        assert!(directory.load().is_err(), "byte {at} changed");
        fs::write(&path, &good[..at]).unwrap();
        assert!(directory.load().is_err(), "cut at {at}");
    }
}

proptest! {
    #[test]
    fn damage_is_refused(at: Index, other in 1..=255u8, cut: bool) {
        let (folder, directory, good) = saved(20);
        let at = at.index(good.len());
        let mut bad = good.clone();
        if cut { bad.truncate(at) } else { bad[at] ^= other };
        fs::write(folder.path().join(FILE), bad).unwrap();
        prop_assert!(directory.load().is_err());
    }

    #[test]
    fn garbage_behind_a_right_checksum_does_no_harm(content in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDir::open(folder.path()).unwrap();
        let mut bytes = b"BALSNAP\n\x01\0\0\0".to_vec();
        bytes.extend(crc32fast::hash(&content).to_le_bytes());
        bytes.extend((content.len() as u64).to_le_bytes());
        bytes.extend(content);
        fs::write(folder.path().join(FILE), bytes).unwrap();
        prop_assert!(directory.load().is_err());
    }
}

#[test]
fn what_is_saved_can_be_read_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = tempfile::tempdir().unwrap();
    let (directory, file) = (scratch.path().join("state"), scratch.path().join("state/file"));
    drop(StateDir::open(&directory).unwrap());
    std::fs::write(&file, "left by an older version").unwrap();
    drop(create_private(&file).unwrap());
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&file)), (0o700, 0o600));
}
