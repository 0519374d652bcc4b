//! One run of the server.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::JoinHandle;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::binaries::Binaries;
use crate::path_text;

/// What the server logs when it answers.
const READY: &str = "database system is ready to accept connections";

/// A running server.
pub(crate) struct Server {
    postmaster: Child,
    /// Reads the log, which all processes of the server hold open: it ends when the last of them has.
    log: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts it and waits until it says that it is ready.
    pub(crate) fn start(binaries: &Binaries, data: &Path, port: u16) -> Result<Self> {
        let data = path_text(data)?;
        let mut command = binaries.command("postgres");
        command.args(["-D", data, "-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        // The socket lives beside the data, inside the temporary directory.
        command.args(["-c", &format!("unix_socket_directories={data}"), "-c", "log_min_messages=log"]);
        let mut postmaster = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("postgres")?;
        let log = postmaster.stderr.take().context("postgres has no stderr")?;
        let mut server = Self { postmaster, log: None };
        server.log = Some(wait_until_ready(log)?);
        Ok(server)
    }

    /// SIGKILL to the postmaster and all its children, which are stopped first so that none acts in between.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.kill_all()
    }

    /// A fast shutdown: connections are broken, transactions rolled back, everything is on disk.
    pub(crate) fn stop(mut self) -> Result<()> {
        signal("INT", &[self.postmaster.id()])?;
        self.wait()
    }

    /// SIGSTOP to all processes: connections stay open and nothing answers.
    pub(crate) fn pause(&self) -> Result<()> {
        self.stop_all().map(drop)
    }

    /// Goes on after [`Server::pause`].
    pub(crate) fn resume(&self) -> Result<()> {
        let postmaster = self.postmaster.id();
        let mut all = children_of(postmaster);
        all.push(postmaster);
        signal("CONT", &all)
    }

    fn kill_all(&mut self) -> Result<()> {
        signal("KILL", &self.stop_all()?)?;
        self.wait()
    }

    /// Stops all processes and answers which they are.
    fn stop_all(&self) -> Result<Vec<u32>> {
        let postmaster = self.postmaster.id();
        // Stopped, it forks no more.
        signal("STOP", &[postmaster])?;
        let mut all = children_of(postmaster);
        signal("STOP", &all)?;
        all.push(postmaster);
        Ok(all)
    }

    /// Until all processes have ended: a new server would find the shared memory of an old one in use.
    fn wait(&mut self) -> Result<()> {
        self.postmaster.wait()?;
        if let Some(log) = self.log.take() {
            log.join().map_err(|_| anyhow::anyhow!("the reader of the log panicked"))?;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.postmaster.try_wait() {
            // Nobody is left to tell.
            let _ = self.kill_all();
        }
    }
}

/// A port that is free now, below the range the kernel gives to outgoing connections.
pub(crate) fn free_port() -> Result<u16> {
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.subsec_nanos();
    let start = (clock / 1000 + std::process::id() * 977) % 12_000;
    let mut ports = (0..12_000).map(|step| 20_000 + ((start + step) % 12_000) as u16);
    ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).context("no port is free")
}

/// Reads the log until the server is ready, and then on: it would block on a full pipe.
fn wait_until_ready(log: ChildStderr) -> Result<JoinHandle<()>> {
    let mut said = String::new();
    let mut lines = BufReader::new(log).lines();
    for line in lines.by_ref() {
        let line = line?;
        if line.contains(READY) {
            return Ok(std::thread::spawn(move || lines.for_each(drop)));
        }
        said.push_str(&line);
        said.push('\n');
    }
    bail!("postgres ended before it was ready: {said}")
}

fn signal(name: &str, pids: &[u32]) -> Result<()> {
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    // A process that is gone already is no fault.
    Command::new("sh").arg("-c").arg(format!("kill -{name} {} 2>/dev/null; true", pids.join(" "))).status()?;
    Ok(())
}

/// Children by the fourth field of /proc/PID/stat; the second is in parentheses and may hold anything.
fn children_of(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let child = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields = stat.rsplit_once(')')?.1;
        (fields.split_whitespace().nth(1)?.parse() == Ok(parent)).then_some(pid)
    };
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(child).collect()
}
