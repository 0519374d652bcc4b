//! A load generator for benchmarks: requests at a fixed rate, whatever the answers do, and how long each took from the
//! moment it was due. So a proxy that stalls cannot make the load wait with it (coordinated omission).
//!
//! With `--hold`, connections instead that make one request each and stay.

#![allow(clippy::unwrap_used, reason = "a failing benchmark ends with what went wrong")]

use std::{
    io::Read,
    rc::Rc,
    time::{Duration, Instant},
};

use clap::Parser;
use tokio::{
    sync::Mutex,
    task::{JoinHandle, LocalSet},
};

use crate::{
    client::{Client, Target},
    pace::Due,
    tally::Tally,
};

mod client;
mod pace;
mod tally;

#[derive(Parser)]
struct Args {
    /// Of the proxy, on 127.0.0.1.
    #[arg(long)]
    port: u16,
    #[arg(long, default_value = "/small")]
    path: String,
    /// Requests per second.
    #[arg(long, default_value_t = 8000.0)]
    rate: f64,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    #[arg(long, default_value_t = 3.0)]
    secs: f64,
    /// Seconds at the beginning that do not count.
    #[arg(long, default_value_t = 0.5)]
    warmup: f64,
    /// Bytes to POST; 0: GET.
    #[arg(long, default_value_t = 0)]
    post: usize,
    /// Values of X-API-Key to take turns with; 0: none is sent.
    #[arg(long, default_value_t = 0)]
    keys: usize,
    /// A connection for each request.
    #[arg(long)]
    new_connections: bool,
    /// Certificate (PEM) to trust: speak TLS, sessions are resumed.
    #[arg(long)]
    tls: Option<std::path::PathBuf>,
    /// Make one request on each connection, print `ready`, and keep them until standard input ends.
    #[arg(long)]
    hold: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args = Args::parse();
    let target = Rc::new(Target::new(&args));
    if args.hold { hold(&target, args.connections).await } else { load(&args, target).await }
}

async fn load(args: &Args, target: Rc<Target>) {
    let begun = Instant::now();
    let (count_from, end) = (args.warmup, args.warmup + args.secs);
    let due = Rc::new(Mutex::new(pace::start(begun, args.rate, Duration::from_secs_f64(end))));
    let local = LocalSet::new();
    let clients: Vec<_> = (0..args.connections)
        .map(|_| local.spawn_local(work(target.clone(), due.clone(), begun + Duration::from_secs_f64(count_from))))
        .collect();
    let tallies = local.run_until(all(clients)).await;
    println!("{}", Tally::sum(tallies).report(args.secs));
}

async fn all(clients: Vec<JoinHandle<Tally>>) -> Vec<Tally> {
    let mut tallies = Vec::new();
    for client in clients {
        tallies.push(client.await.unwrap());
    }
    tallies
}

/// One client: the next request that is due, its answer, again.
async fn work(target: Rc<Target>, due: Rc<Mutex<Due>>, count_from: Instant) -> Tally {
    let (mut client, mut tally) = (Client::new(target), Tally::default());
    loop {
        let next = due.lock().await.recv().await;
        let Some(due_at) = next else { return tally };
        let answer = client.request().await;
        if due_at >= count_from {
            tally.add(answer, due_at.elapsed());
        }
    }
}

async fn hold(target: &Rc<Target>, connections: usize) {
    let mut clients = Vec::new();
    for _ in 0..connections {
        let mut client = Client::new(target.clone());
        client.request().await.unwrap();
        clients.push(client);
    }
    println!("ready");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
