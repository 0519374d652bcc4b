//! What came back.

use std::{io, time::Duration};

#[derive(Default)]
pub(crate) struct Tally {
    latencies: Vec<Duration>,
    /// Answered with 4xx: over the limit.
    refused: usize,
    /// Answered with 5xx, or not at all.
    failures: usize,
}

impl Tally {
    /// An answer's status, and how long it took from when the request was due.
    pub(crate) fn add(&mut self, answer: io::Result<u16>, latency: Duration) {
        match answer {
            Ok(500..) | Err(_) => self.failures += 1,
            Ok(status) => {
                self.refused += usize::from(status >= 400);
                self.latencies.push(latency);
            }
        }
    }

    pub(crate) fn sum(parts: Vec<Self>) -> Self {
        let mut sum = Self::default();
        for part in parts {
            sum.latencies.extend(part.latencies);
            sum.refused += part.refused;
            sum.failures += part.failures;
        }
        sum.latencies.sort_unstable();
        sum
    }

    /// One line of JSON.
    pub(crate) fn report(&self, secs: f64) -> String {
        serde_json::json!({
            "requests": self.latencies.len(),
            "rps": self.latencies.len() as f64 / secs,
            "p50_ms": self.quantile_ms(0.5),
            "p99_ms": self.quantile_ms(0.99),
            "p999_ms": self.quantile_ms(0.999),
            "refused": self.refused,
            "failures": self.failures,
        })
        .to_string()
    }

    fn quantile_ms(&self, part: f64) -> Option<f64> {
        let last = self.latencies.len().checked_sub(1)?;
        Some(self.latencies[(last as f64 * part).round() as usize].as_secs_f64() * 1e3)
    }
}
