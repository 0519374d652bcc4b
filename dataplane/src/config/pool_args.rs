//! Flags that say what backends may be asked to do, and when one is avoided.

use std::time::Duration;

use super::{
    ConfigError,
    check::{choice, number},
};
use crate::pool::{OutlierRules, PoolRules, ServerErrors};

/// How backends are chosen and avoided.
#[derive(Clone, Debug, clap::Args)]
pub struct PoolArgs {
    /// Failures in a row (no connection, no answer in time, reset, not HTTP) that eject a backend; 0: never
    #[arg(long, env = "BALANCER_OUTLIER_CONSECUTIVE_FAILURES", value_name = "N", default_value = "5")]
    pub outlier_consecutive_failures: String,

    /// Whether answers 500 to 599 are failures: off, rate (for the success rate only) or always (in a row too)
    #[arg(long, env = "BALANCER_OUTLIER_5XX", value_name = "off|rate|always", default_value = "rate")]
    pub outlier_5xx: String,

    /// Percentage of successes below which a backend is ejected if the others do better; 0: never
    #[arg(long, env = "BALANCER_OUTLIER_MIN_SUCCESS_PERCENT", value_name = "PERCENT", default_value = "50")]
    pub outlier_min_success_percent: String,

    /// Seconds that the success rate is taken over, 1 to 300
    #[arg(long, env = "BALANCER_OUTLIER_WINDOW_SECS", value_name = "SECONDS", default_value = "10")]
    pub outlier_window_secs: String,

    /// Requests in that time below which the success rate of a backend says nothing
    #[arg(long, env = "BALANCER_OUTLIER_MIN_REQUESTS", value_name = "N", default_value = "20")]
    pub outlier_min_requests: String,

    /// Milliseconds of a backend's first ejection; each further one lasts twice as long
    #[arg(long, env = "BALANCER_OUTLIER_EJECTION_MS", value_name = "MS", default_value = "1000")]
    pub outlier_ejection_ms: String,

    /// Milliseconds of the longest ejection
    #[arg(long, env = "BALANCER_OUTLIER_MAX_EJECTION_MS", value_name = "MS", default_value = "30000")]
    pub outlier_max_ejection_ms: String,

    /// Percentage of the backends that may be ejected at once, not counting those that refuse connections
    #[arg(long, env = "BALANCER_OUTLIER_MAX_EJECTED_PERCENT", value_name = "PERCENT", default_value = "50")]
    pub outlier_max_ejected_percent: String,

    /// With less than this percentage of the backends left, ejected ones that accept connections are used; 0: never
    #[arg(long, env = "BALANCER_OUTLIER_PANIC_PERCENT", value_name = "PERCENT", default_value = "50")]
    pub outlier_panic_percent: String,

    /// Milliseconds over which a backend that is new or comes back gets its full share of requests; 0: at once
    #[arg(long, env = "BALANCER_SLOW_START_MS", value_name = "MS", default_value = "0")]
    pub slow_start_ms: String,

    /// Requests, and tunnels, in flight to one backend; more wait in a queue; 0: any number
    #[arg(long, env = "BALANCER_MAX_IN_FLIGHT", value_name = "N", default_value = "4096")]
    pub max_in_flight: String,

    /// Milliseconds a request waits for a backend below --max-in-flight before it is answered 503
    #[arg(long, env = "BALANCER_QUEUE_TIMEOUT_MS", value_name = "MS", default_value = "1000")]
    pub queue_timeout_ms: String,
}

const MAX_MS: u64 = 86_400_000;
const NS_PER_MS: u64 = 1_000_000;

impl PoolArgs {
    pub(super) fn rules(&self) -> Result<PoolRules, ConfigError> {
        Ok(PoolRules {
            outlier: self.outlier_rules()?,
            slow_start_ns: number("slow-start-ms", &self.slow_start_ms, 0, MAX_MS)? * NS_PER_MS,
            max_in_flight: number("max-in-flight", &self.max_in_flight, 0, u32::MAX)?,
        })
    }

    pub(super) fn queue_timeout(&self) -> Result<Duration, ConfigError> {
        number("queue-timeout-ms", &self.queue_timeout_ms, 0, MAX_MS).map(Duration::from_millis)
    }

    fn outlier_rules(&self) -> Result<OutlierRules, ConfigError> {
        let percent = |flag, text: &String| number(flag, text, 0, 100);
        let ns = |flag, text: &String| number(flag, text, 1, MAX_MS).map(|ms| ms * NS_PER_MS);
        Ok(OutlierRules {
            consecutive_failures: number(
                "outlier-consecutive-failures",
                &self.outlier_consecutive_failures,
                0,
                u32::MAX,
            )?,
            server_errors: server_errors(&self.outlier_5xx)?,
            min_success_percent: percent("outlier-min-success-percent", &self.outlier_min_success_percent)?,
            window_secs: number("outlier-window-secs", &self.outlier_window_secs, 1, 300)?,
            min_requests: number("outlier-min-requests", &self.outlier_min_requests, 1, u64::MAX)?,
            first_ejection_ns: ns("outlier-ejection-ms", &self.outlier_ejection_ms)?,
            longest_ejection_ns: ns("outlier-max-ejection-ms", &self.outlier_max_ejection_ms)?,
            max_ejected_percent: percent("outlier-max-ejected-percent", &self.outlier_max_ejected_percent)?,
            panic_percent: percent("outlier-panic-percent", &self.outlier_panic_percent)?,
        })
    }
}

fn server_errors(text: &str) -> Result<ServerErrors, ConfigError> {
    let choices = [("off", ServerErrors::Ignored), ("rate", ServerErrors::Rate), ("always", ServerErrors::Always)];
    choice("outlier-5xx", text, &choices)
}
