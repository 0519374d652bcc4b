//! One check: what its answer, or the want of one, says of the backend.

use std::{io, time::Duration};

use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::ask::{Fault, ask};
use crate::domain::{BackendSpec, HealthCheck};

/// What one check found.
pub(super) struct Outcome {
    pub(super) success: bool,
    /// One sentence for people.
    pub(super) reason: String,
}

/// Asks the backend once, within its time-out. `Err`: the check could not be made, which says nothing of the backend.
pub(super) async fn check(backend: &BackendSpec, tls: &TlsConnector) -> io::Result<Outcome> {
    let rule = &backend.health_check;
    let start = Instant::now();
    let answer = timeout(Duration::from_millis(rule.timeout_ms.into()), ask(backend, tls)).await;
    let took_ms = start.elapsed().as_millis();
    Ok(match answer {
        Ok(Ok(status)) => judge_status(rule, status, took_ms),
        Ok(Err(Fault::Backend(reason))) => Outcome { success: false, reason },
        Ok(Err(Fault::Ours(error))) => return Err(error),
        Err(_) => Outcome { success: false, reason: format!("timeout after {} ms", rule.timeout_ms) },
    })
}

fn judge_status(rule: &HealthCheck, status: u16, took_ms: u128) -> Outcome {
    let (low, high) = (rule.expected_status_min, rule.expected_status_max);
    if (low..=high).contains(&status) {
        return Outcome { success: true, reason: format!("{status} in {took_ms} ms") };
    }
    Outcome { success: false, reason: format!("status {status}, expected {low}-{high}") }
}
