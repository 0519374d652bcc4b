//! One of the programs, and how it is to be started.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::Process;

/// A program with its arguments and environment; can be started many times.
#[derive(Clone, Debug)]
pub struct Program {
    name: String,
    args: Vec<OsString>,
    env: Vec<(String, OsString)>,
    dir: Option<PathBuf>,
    tmpfs: Option<(PathBuf, u64)>,
    descriptors: Option<u32>,
}

impl Program {
    /// A program of this workspace, by name.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), args: Vec::new(), env: Vec::new(), dir: None, tmpfs: None, descriptors: None }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable. Of the test's own, no `BALANCER_*` or `PG_*` is passed on.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets the working directory.
    pub fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Gives the process a file system of its own with room for `bytes`, at `dir`. Nobody else sees it.
    ///
    /// # Errors
    /// Where neither root nor user namespaces are to be had.
    pub fn on_small_disk(mut self, dir: &Path, bytes: u64) -> Result<Self> {
        let possible = Command::new("unshare").args(unshare_flags()).arg("true").output();
        ensure!(possible.is_ok_and(|o| o.status.success()), "unshare(1) cannot make a mount namespace here");
        self.tmpfs = Some((dir.into(), bytes));
        Ok(self)
    }

    /// Lets the process open so many files and sockets at most.
    pub fn with_descriptors(mut self, count: u32) -> Self {
        self.descriptors = Some(count);
        self
    }

    /// Starts it with JSON logs.
    ///
    /// # Errors
    /// When the program has not been built.
    pub fn start(&self) -> Result<Process> {
        let mut command = self.command()?;
        command.args(["--log-format", "json"]);
        Process::start(&self.name, command)
    }

    /// Starts it as it is; for programs that end by themselves.
    ///
    /// # Errors
    /// When the program has not been built.
    pub fn command(&self) -> Result<Command> {
        let path = path_of(&self.name)?;
        let mut command = match (&self.tmpfs, self.descriptors) {
            (Some((dir, bytes)), _) => on_tmpfs(&path, dir, *bytes),
            (None, Some(count)) => with_descriptors(&path, count),
            (None, None) => Command::new(path),
        };
        let ours = |name: &OsString| {
            let name = name.to_string_lossy();
            name.starts_with("BALANCER_") || name.starts_with("PG_") || name == "RUST_LOG"
        };
        for (name, _) in env::vars_os().filter(|(name, _)| ours(name)) {
            command.env_remove(name);
        }
        command.args(&self.args).envs(self.env.iter().map(|(n, v)| (n, v))).stdin(Stdio::null());
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        Ok(command)
    }
}

/// Test executables lie in `target/PROFILE/deps`, programs in `target/PROFILE`.
fn path_of(name: &str) -> Result<PathBuf> {
    let test = env::current_exe().context("the test does not know where it is")?;
    let path = test.parent().and_then(Path::parent).context("the test lies in no directory")?.join(name);
    ensure!(path.exists(), "{} is not there: run `cargo build --workspace` first", path.display());
    Ok(path)
}

/// The shell replaces itself by the program, so the process id stays.
fn on_tmpfs(path: &Path, dir: &Path, bytes: u64) -> Command {
    let mut command = Command::new("unshare");
    let script = r#"mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && exec "$@""#;
    command.args(unshare_flags()).args(["sh", "-c", script, "sh", &bytes.to_string()]).arg(dir).arg(path);
    command
}

/// The shell replaces itself by the program, so the process id stays.
fn with_descriptors(path: &Path, count: u32) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n "$1" && shift && exec "$@""#, "sh", &count.to_string()]).arg(path);
    command
}

/// Root needs no user namespace; everybody else becomes root in one.
fn unshare_flags() -> &'static [&'static str] {
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.starts_with(b"0\n"));
    if root { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] }
}
