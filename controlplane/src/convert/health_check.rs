//! Health checks.

use balancer_proto::v1;

use crate::domain::{HealthCheck, Invalid};

/// A check that a user wants; what is not set takes the default.
pub(super) fn new_health_check(wire: &v1::HealthCheck) -> Result<HealthCheck, Invalid> {
    let d = HealthCheck::default();
    let text = |given: &str, default: String| if given.is_empty() { default } else { given.to_owned() };
    let number = |given: u32, default: u32| if given == 0 { default } else { given };
    let check = HealthCheck {
        method: text(&wire.method, d.method),
        path: text(&wire.path, d.path),
        interval_ms: (wire.interval_ms != 0).then_some(wire.interval_ms),
        timeout_ms: number(wire.timeout_ms, d.timeout_ms),
        rise: number(wire.rise, d.rise),
        fall: number(wire.fall, d.fall),
        expected_status_min: status("expected_status_min", wire.expected_status_min, d.expected_status_min)?,
        expected_status_max: status("expected_status_max", wire.expected_status_max, d.expected_status_max)?,
    };
    HealthCheck::check_method(&check.method)?;
    HealthCheck::check_path(&check.path)?;
    bounded("interval_ms", check.interval_ms.unwrap_or(1000), 10..=86_400_000)?;
    bounded("timeout_ms", check.timeout_ms, 1..=86_400_000)?;
    bounded("rise", check.rise, 1..=1000)?;
    bounded("fall", check.fall, 1..=1000)?;
    let (low, high) = (check.expected_status_min, check.expected_status_max);
    bounded("expected_status_max", high.into(), low.into()..=599)?;
    Ok(check)
}

fn status(field: &'static str, given: u32, default: u16) -> Result<u16, Invalid> {
    if given == 0 {
        return Ok(default);
    }
    bounded(field, given, 100..=599).map(|code| code as u16)
}

fn bounded(field: &'static str, given: u32, range: std::ops::RangeInclusive<u32>) -> Result<u32, Invalid> {
    if range.contains(&given) {
        return Ok(given);
    }
    let expected = format!("expected a whole number from {} to {}, got {given}", range.start(), range.end());
    Err(Invalid { field, expected })
}

/// A check as it travels.
pub(super) fn health_check(check: &HealthCheck) -> v1::HealthCheck {
    v1::HealthCheck {
        method: check.method.clone(),
        path: check.path.clone(),
        interval_ms: check.interval_ms.unwrap_or(0),
        timeout_ms: check.timeout_ms,
        rise: check.rise,
        fall: check.fall,
        expected_status_min: check.expected_status_min.into(),
        expected_status_max: check.expected_status_max.into(),
    }
}
