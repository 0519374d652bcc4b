//! How a control plane grows with its data planes: 1, 10 and 1,000 streams (or as many as the arguments say), simulated in
//! this process, to one real control plane with 10,000 limits on SQLite. Prints a table. `CONTROLPLANE` names another build
//! of the program, to compare two of them.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

#[path = "replicas/fleet.rs"]
mod fleet;
#[path = "replicas/program.rs"]
mod program;

use std::time::{Duration, Instant};

use balancer_proto::v1::{Limit, SetLimitRequest, limit_service_client::LimitServiceClient};
use tonic::transport::Channel;

use crate::{fleet::Fleet, program::ControlPlane};

const FLEETS: &[usize] = &[1, 10, 1_000];
const LIMITS: usize = 10_000;
const CHANGES: usize = 200;

#[tokio::main]
async fn main() {
    println!(
        "| replicas | a change reaches one: median | p99 | the last one: median | worst | KiB per stream | all back at once | bytes of configuration sent then |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let asked: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    for replicas in if asked.is_empty() { FLEETS } else { &asked } {
        measure(*replicas).await;
    }
}

async fn measure(replicas: usize) {
    let control_plane = ControlPlane::start().await;
    let mut limits = LimitServiceClient::new(control_plane.channel().await);
    program::import(&mut limits, LIMITS).await;
    // One stream that comes and goes first: what the first one costs is not what each one costs.
    let first = Fleet::connect(&control_plane, 1).await;
    let before = control_plane.memory_kib();
    let mut fleet = Fleet::connect(&control_plane, replicas).await;
    let kib = control_plane.memory_kib().saturating_sub(before) as f64 / replicas as f64;
    drop(first);
    let (mut each, mut last) = (Vec::new(), Vec::new());
    for number in 0..CHANGES {
        let begun = Instant::now();
        let revision = change(&mut limits, number).await;
        let reached = fleet.reached(revision).await;
        each.extend(reached.iter().map(|at| at.saturating_duration_since(begun)));
        last.extend(reached.iter().map(|at| at.saturating_duration_since(begun)).max());
    }
    let (back, bytes) = fleet.all_reconnect(&control_plane).await;
    println!(
        "| {replicas} | {:.1} ms | {:.1} ms | {:.1} ms | {:.1} ms | {kib:.0} | {:.0} ms | {bytes} |",
        quantile(&mut each, 0.5),
        quantile(&mut each, 0.99),
        quantile(&mut last, 0.5),
        quantile(&mut last, 1.0),
        back.as_secs_f64() * 1e3,
    );
}

/// Sets one limit of those that there are; returns the revision of that.
async fn change(limits: &mut LimitServiceClient<Channel>, number: usize) -> u64 {
    let limit =
        Limit { client_id: format!("client-{number}"), capacity: Some(20.0 + number as f64), rate_per_sec: Some(1.0) };
    limits.set_limit(SetLimitRequest { limit: Some(limit) }).await.unwrap().into_inner().revision
}

fn quantile(times: &mut [Duration], part: f64) -> f64 {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * part).round() as usize].as_secs_f64() * 1e3
}
