//! Out of file descriptors: the program goes on, without spinning, and recovers.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, ChildStderr, Command, Stdio},
    time::Duration,
};

use crate::plane::Client;

/// The program under a limit on open files; killed when dropped.
struct Program {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Program {
    fn start(max_files: u32) -> Self {
        let line = format!(
            "ulimit -n {max_files}; exec {} --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --state-dir none \
             --control-plane http://127.0.0.1:9 --threads 2 --max-connections 1000 --log-format json",
            env!("CARGO_BIN_EXE_dataplane")
        );
        let mut command = Command::new("sh");
        command.args(["-c", &line]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// Waits for a log line with all of these.
    fn logged(&mut self, parts: &[&str]) -> String {
        let mut line = String::new();
        while self.log.read_line(&mut line).unwrap() > 0 {
            if parts.iter().all(|part| line.contains(part)) {
                return line;
            }
            line.clear();
        }
        panic!("the program ended without saying {parts:?}");
    }

    fn proxy(&mut self) -> SocketAddr {
        let line = self.logged(&["listening", "\"proxy\""]);
        line.split("\"address\":\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
    }

    /// Processor time used so far, in hundredths of a second.
    fn cpu_ticks(&self) -> u64 {
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

#[test]
fn it_neither_spins_nor_ends_and_recovers() {
    let mut program = Program::start(64);
    let proxy = program.proxy();
    // Without a control plane every request is answered, with 503.
    let mut early = Client::connect(proxy);
    assert_eq!(early.get("/").status, 503);
    let clients: Vec<_> = (0..100).map(|_| Client::connect(proxy)).collect();
    program.logged(&["cannot accept connections"]);
    assert_eq!(early.get("/").status, 503, "who is connected is served");
    let before = program.cpu_ticks();
    std::thread::sleep(Duration::from_secs(1));
    let used = program.cpu_ticks() - before;
    assert!(used < 25, "{used} hundredths of a second of processor time while there was nothing to do");
    drop((early, clients));
    assert_eq!(Client::connect(proxy).get("/").status, 503, "it recovers");
    assert!(program.child.try_wait().unwrap().is_none());
}
