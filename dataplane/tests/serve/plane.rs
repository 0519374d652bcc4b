//! A data plane's proxy port over a fixed snapshot.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use dataplane::{
    Shared,
    backend_tls::BackendTls,
    client::ClientRules,
    clock,
    limit::{Limit, LimitScope},
    limits::Limits,
    pool::{Backend, Health, Pool, Scheme, Strategy},
    server::{self, ServeOptions},
    snapshot::Snapshot,
};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

/// Serves until dropped or shut down.
pub(crate) struct Plane {
    pub(crate) address: SocketAddr,
    pub(crate) shared: Arc<Shared>,
    shutdown: CancellationToken,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Plane {
    /// Two threads over `backends`; clients without a limit of their own have `default_limit`.
    pub(crate) fn start(backends: &[SocketAddr], default_limit: Option<Limit>) -> Self {
        Self::start_with(backends, default_limit, ServeOptions::default())
    }

    pub(crate) fn start_with(backends: &[SocketAddr], default_limit: Option<Limit>, options: ServeOptions) -> Self {
        Self::start_over(snapshot(backends, default_limit), options)
    }

    pub(crate) fn start_over(snapshot: Snapshot, options: ServeOptions) -> Self {
        let shared = Shared::new(1000, &mut Registry::default());
        shared.snapshot.store(Some(Arc::new(snapshot)));
        let listeners = server::bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let serving = server::serve(shared.clone(), options, listeners, shutdown.clone());
        let thread = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(serving)
        });
        Self { address, shared, shutdown, thread: Some(thread) }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    pub(crate) fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Waits until all connections are done.
    pub(crate) fn join(mut self) {
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub(crate) fn snapshot(backends: &[SocketAddr], default_limit: Option<Limit>) -> Snapshot {
    let backend = |(id, address): (usize, &SocketAddr)| Backend {
        id: id as u64 + 1,
        scheme: Scheme::Http,
        authority: address.to_string().parse().unwrap(),
        weight: 1,
        draining: false,
        health: Health::Unknown,
        state: Arc::default(),
    };
    let backends = backends.iter().enumerate().map(backend).map(Arc::new).collect();
    Snapshot {
        store_id: "test".into(),
        revision: 1,
        config_tag: 0,
        limits: Limits::default(),
        default_limit,
        limit_scope: LimitScope::Local,
        client_rules: ClientRules { ipv6_prefix: 64, ..ClientRules::default() },
        backend_tls: BackendTls::new("").unwrap(),
        pool: Pool::new(Strategy::RoundRobin, backends, None),
        applied_at: clock::now(),
    }
}

/// A client that writes what it is told and reads one answer at a time.
pub(crate) struct Client(BufReader<TcpStream>);

/// An answer, its head's lines in lower case.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(BufReader::new(stream))
    }

    pub(crate) fn send(&mut self, text: &str) -> &mut Self {
        self.send_bytes(text.as_bytes())
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.get_mut().write_all(bytes).unwrap();
        self
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).answer()
    }

    /// Reads one answer with a Content-Length, or none for a HEAD.
    pub(crate) fn answer(&mut self) -> Answer {
        let status_line = self.line();
        let status =
            status_line.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {status_line:?}")).parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        let length = answer.header("content-length").map_or(0, |l| l.parse().unwrap());
        answer.body.resize(length, 0);
        self.0.read_exact(&mut answer.body).unwrap();
        answer
    }

    /// This many bytes.
    pub(crate) fn exactly(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Everything up to the close of the connection, however it is closed.
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("the connection stays open"),
            // A reset also ends it; what came before counts.
            _ => {}
        }
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Whether the server has closed the connection without another word.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.0.fill_buf().is_ok_and(<[u8]>::is_empty)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}
