//! A shell that outlives this process by a moment and cleans up if it could not do so itself.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::path_text;

/// Waits for its standard input to end, which it does when this process does, however that happens. Then it kills the
/// postmaster (its children follow) and removes the directory given as $1.
const SCRIPT: &str = r#"cat >/dev/null
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && kill -9 "$pid" 2>/dev/null
rm -rf "$1" || { sleep 1; rm -rf "$1"; }"#;

/// The shell, while it watches.
pub(crate) struct Guard(Child);

impl Guard {
    /// Begins to watch over a cluster's directory.
    pub(crate) fn watch(directory: &Path) -> Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "guard", path_text(directory)?]).current_dir("/");
        let shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // A group of its own: Ctrl-C at the terminal is for the tests.
        std::os::unix::process::CommandExt::process_group(shell, 0);
        Ok(Self(shell.spawn().context("sh")?))
    }

    /// The cluster is gone; there is nothing left to watch.
    pub(crate) fn dismiss(&mut self) {
        // Both fail only if the shell is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
