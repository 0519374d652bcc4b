//! SIGHUP: the configuration is read again.

use std::time::Duration;

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};

use crate::config::{self, Args, Config, ConfigError};

/// A file that is not read within this time is one that nobody writes to (a FIFO), or on a file system that hangs.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// Reads the configuration again at every SIGHUP. A bad one changes nothing: it is logged and not passed on. Of several
/// that nobody takes, the newest stays.
///
/// # Errors
/// When the system does not let us hear the signal.
pub fn on_hangup(args: Args) -> std::io::Result<mpsc::Receiver<Config>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let (send, receive) = mpsc::channel(1);
    let mut reader = Reader { args, within: READ_WITHIN, stuck: None };
    tokio::spawn(async move {
        let mut newest = None;
        loop {
            tokio::select! {
                heard = hangup.recv() => match heard {
                    Some(()) => newest = reader.read().await.or(newest),
                    None => return,
                },
                permit = send.reserve(), if newest.is_some() => match (permit, newest.take()) {
                    (Ok(permit), Some(config)) => permit.send(config),
                    // Nobody listens any more.
                    _ => return,
                },
            }
        }
    });
    Ok(receive)
}

/// Reads where it may block, but is not waited for.
struct Reader {
    args: Args,
    within: Duration,
    /// A read that did not end in time. Its thread cannot be ended, so there is no other one beside it.
    stuck: Option<JoinHandle<Result<Config, ConfigError>>>,
}

impl Reader {
    /// What is configured now; `None`: it cannot be used, which is logged.
    async fn read(&mut self) -> Option<Config> {
        let refused = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "SIGHUP: the configuration stays as it was");
            None
        };
        if self.stuck.as_ref().is_some_and(|stuck| !stuck.is_finished()) {
            return refused(
                &"the file is still being read for the SIGHUP before; is it a pipe, or its file system gone?",
            );
        }
        let args = self.args.clone();
        let mut reading = spawn_blocking(move || config::load(&args));
        match timeout(self.within, &mut reading).await {
            Ok(Ok(Ok(config))) => Some(config),
            Ok(Ok(Err(error))) => refused(&error),
            Ok(Err(error)) => refused(&error),
            Err(_) => {
                self.stuck = Some(reading);
                refused(&format!("the file could not be read within {} s; is it a pipe?", self.within.as_secs()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write, process::Command};

    use super::*;

    #[tokio::test]
    async fn a_file_that_does_not_end_is_given_up_and_the_next_one_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.yaml");
        assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
        let args = Args { config: Some(file.clone()), ..Args::default() };
        let mut reader = Reader { args, within: Duration::from_millis(50), stuck: None };
        assert!(reader.read().await.is_none());
        assert!(reader.read().await.is_none(), "the first read is still under way");
        // Ends the read that is stuck: an empty file.
        OpenOptions::new().write(true).open(&file).unwrap().write_all(b"").unwrap();
        while !reader.stuck.as_ref().unwrap().is_finished() {
            tokio::task::yield_now().await;
        }
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, "strategy: p2c").unwrap();
        reader.within = READ_WITHIN;
        assert!(reader.read().await.is_some());
    }
}
