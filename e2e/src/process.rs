//! A running program.

use std::{
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{log::Log, wait};

/// Lines shown of a process when a story fails.
const TAIL_LINES: usize = 40;

/// A process that is killed when it is dropped. It must not have panicked, nor logged an error that was not expected.
pub struct Process {
    name: String,
    child: Child,
    log: Log,
    errors_expected: bool,
}

impl Process {
    /// Starts `command` and collects its stderr; its stdout is thrown away.
    pub(crate) fn start(name: &str, mut command: Command) -> Result<Self> {
        let spawned = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.with_context(|| format!("cannot start {name}"))?;
        let stderr = child.stderr.take().context("stderr is a pipe")?;
        Ok(Self { name: name.into(), child, log: Log::collect(stderr), errors_expected: false })
    }

    /// Waits for the line `listening` of `listener` and returns its address.
    ///
    /// # Errors
    /// When the process ends instead.
    pub async fn listening(&mut self, listener: &str) -> Result<SocketAddr> {
        let what = format!("{} to say where its {listener} listens", self.name);
        let found = wait::until(&what, async || match self.log.listening(listener) {
            Some(address) => Some(Ok(address)),
            None => self.exited().map(Err),
        });
        match found.await? {
            Ok(address) => Ok(address),
            Err(status) => {
                self.log.finish();
                bail!("{} ended ({status}) before it listened:\n{}", self.name, self.log.tail(TAIL_LINES))
            }
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it at once, as a power cut would.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill9(&mut self) -> Result<()> {
        // It may be gone already.
        let _ = self.child.kill();
        self.child.wait().with_context(|| format!("cannot wait for {}", self.name))?;
        self.log.finish();
        Ok(())
    }

    /// Asks it to end.
    ///
    /// # Errors
    /// When there is no such process any more.
    pub fn sigterm(&self) -> Result<()> {
        self.signal("TERM")
    }

    /// Asks it to read its configuration again.
    ///
    /// # Errors
    /// When there is no such process any more.
    pub fn sighup(&self) -> Result<()> {
        self.signal("HUP")
    }

    /// Stops it without ending it, as a machine that swaps would.
    ///
    /// # Errors
    /// When there is no such process any more.
    pub fn freeze(&self) -> Result<()> {
        self.signal("STOP")
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    ///
    /// # Errors
    /// When there is no such process any more.
    pub fn thaw(&self) -> Result<()> {
        self.signal("CONT")
    }

    fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.id())]).status()?;
        ensure!(status.success(), "cannot send SIG{name} to {}", self.name);
        Ok(())
    }

    /// Waits for its end and returns its exit code.
    ///
    /// # Errors
    /// When it goes on, or was ended by a signal.
    pub async fn exit_code(&mut self) -> Result<i32> {
        let what = format!("{} to end", self.name);
        let status = wait::until(&what, async || self.exited()).await?;
        self.log.finish();
        status.code().with_context(|| format!("{} was ended: {status}", self.name))
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// What it has logged.
    pub fn logs(&self) -> Vec<String> {
        self.log.lines()
    }

    /// Waits for a line that contains `text`.
    ///
    /// # Errors
    /// When there is none.
    pub async fn logged(&self, text: &str) -> Result<String> {
        let what = format!("{} to log {text:?}", self.name);
        wait::until(&what, async || self.logs().into_iter().find(|line| line.contains(text))).await
    }

    /// Lets it log errors: the story gives it reason to. Panics stay forbidden.
    pub fn expect_errors(&mut self) {
        self.errors_expected = true;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing can be done about either; the log says what there is to say.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.log.finish();
        println!("--- {} ({}):\n{}", self.name, self.child.id(), self.log.tail(TAIL_LINES));
        let mut alarms = self.log.alarms();
        alarms.retain(|line| !self.errors_expected || line.contains("panicked"));
        if !std::thread::panicking() {
            assert!(alarms.is_empty(), "{} logged what it should not:\n{}", self.name, alarms.join("\n"));
        }
    }
}
