//! The program as a process of its own.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, ChildStderr, Command, Stdio},
};

/// The program without a control plane: every request is answered, with 503. Killed when dropped.
pub(crate) struct Program {
    pub(crate) child: Child,
    log: BufReader<ChildStderr>,
}

impl Program {
    /// Runs the shell's `before`, then the program on two threads with these flags besides.
    pub(crate) fn start(before: &str, flags: &str) -> Self {
        let line = format!(
            "{before}; exec {} --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --state-dir none \
             --control-plane http://127.0.0.1:9 --threads 2 --log-format json {flags}",
            env!("CARGO_BIN_EXE_dataplane")
        );
        let mut command = Command::new("sh");
        command.args(["-c", &line]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// Waits for a log line with all of these.
    pub(crate) fn logged(&mut self, parts: &[&str]) -> String {
        let mut line = String::new();
        while self.log.read_line(&mut line).unwrap() > 0 {
            if parts.iter().all(|part| line.contains(part)) {
                return line;
            }
            line.clear();
        }
        panic!("the program ended without saying {parts:?}");
    }

    pub(crate) fn proxy(&mut self) -> SocketAddr {
        let line = self.logged(&["listening", "\"proxy\""]);
        line.split("\"address\":\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
    }

    /// Memory in use, bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        kib.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Sockets that each of its threads waits for, fewest first.
    pub(crate) fn sockets_per_thread(&self) -> Vec<usize> {
        let files = fs::read_dir(format!("/proc/{}/fdinfo", self.child.id())).unwrap();
        let waits = files.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok());
        let mut counts: Vec<_> = waits.map(|text| text.matches("tfd:").count()).filter(|count| *count > 0).collect();
        counts.sort_unstable();
        counts
    }

    /// Processor time used so far, in hundredths of a second.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let after_name = stat.rsplit(')').next().unwrap();
        after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
