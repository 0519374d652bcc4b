//! What a process says on stderr.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use serde_json::Value;

/// The lines of one process, collected as they come.
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Log {
    /// Reads `from` to its end in a thread.
    pub(crate) fn collect(from: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        let reader = thread::spawn(move || {
            for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
                lock(&kept).push(String::from_utf8_lossy(&line).into_owned());
            }
        });
        Self { lines, reader: Some(reader) }
    }

    /// The lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        lock(&self.lines).clone()
    }

    /// Waits for the end; to be called when the process is gone.
    pub(crate) fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            // It panics only if pushing to a vector does; then lines are missing and the story notices.
            let _ = reader.join();
        }
    }

    /// The address that the line `listening` gives for `listener`.
    pub(crate) fn listening(&self, listener: &str) -> Option<SocketAddr> {
        let lines = self.lines();
        let events = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut said = events.filter(|e| field(e, "message") == "listening" && field(e, "listener") == listener);
        said.find_map(|event| field(&event, "address").parse().ok())
    }

    /// Lines that no healthy process writes: a panic, or level ERROR.
    pub(crate) fn alarms(&self) -> Vec<String> {
        let alarming = |line: &String| line.contains("panicked") || level(line) == "ERROR";
        self.lines().into_iter().filter(alarming).collect()
    }

    /// The last `count` lines as one text.
    pub(crate) fn tail(&self, count: usize) -> String {
        let lines = self.lines();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

fn lock(lines: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A field of an event; `tracing`'s JSON keeps them one level down.
fn field<'a>(event: &'a Value, name: &str) -> &'a str {
    event.get("fields").unwrap_or(event).get(name).and_then(Value::as_str).unwrap_or_default()
}

fn level(line: &str) -> String {
    let event: Value = serde_json::from_str(line).unwrap_or_default();
    event["level"].as_str().unwrap_or_default().to_uppercase()
}
