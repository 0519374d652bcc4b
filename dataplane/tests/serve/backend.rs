//! Backends that do exactly what a test says, on plain threads.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

/// What a backend saw: how many connections, and the head and body of each request.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) connections: AtomicUsize,
    pub(crate) requests: Mutex<Vec<String>>,
}

/// Starts a backend that hands each request to `answer`, which writes what it likes and says whether the connection
/// stays open.
pub(crate) fn start(answer: impl Fn(&str, &mut TcpStream) -> bool + Send + Sync + 'static) -> (SocketAddr, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, seen, answer) = (listener.local_addr().unwrap(), Arc::new(Seen::default()), Arc::new(answer));
    let noted = seen.clone();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            noted.connections.fetch_add(1, SeqCst);
            let (noted, answer) = (noted.clone(), answer.clone());
            thread::spawn(move || serve(stream, &noted, &*answer));
        }
    });
    (address, seen)
}

/// Answers `200` with `ok` to everything and keeps connections open.
pub(crate) fn ok(_: &str, stream: &mut TcpStream) -> bool {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_ok()
}

/// An address where nobody listens.
pub(crate) fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn serve(stream: TcpStream, seen: &Seen, answer: &dyn Fn(&str, &mut TcpStream) -> bool) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        seen.requests.lock().unwrap().push(request.clone());
        if !answer(&request, reader.get_mut()) {
            return;
        }
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let start = request.len();
        if reader.read_line(&mut request).ok()? == 0 {
            return None;
        }
        match request[start..].trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
            _ if request[start..] == *"\r\n" => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.push_str(&String::from_utf8_lossy(&body));
    Some(request)
}
