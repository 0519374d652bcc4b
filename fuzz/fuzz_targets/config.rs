//! The configuration file: whatever it says, it is read or refused in a sentence.

#![no_main]

use std::{cell::OnceCell, fs, path::PathBuf};

use controlplane::config::{self, Args};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

thread_local! {
    static DIR: OnceCell<TempDir> = const { OnceCell::new() };
}

fn path() -> PathBuf {
    DIR.with(|dir| dir.get_or_init(|| tempfile::tempdir().expect("a directory")).path().join("config.yaml"))
}

fuzz_target!(|text: &[u8]| {
    let path = path();
    fs::write(&path, text).expect("it can be written");
    if let Err(error) = config::load(&Args { config: Some(path), ..Args::default() }) {
        assert!(!error.to_string().is_empty());
    }
});
