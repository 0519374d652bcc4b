//! `backend_list`.

use super::{
    ConfigError,
    field::{Field, Section},
    read::MAX_INTERVAL_SEC,
    tree::Value,
};
use crate::domain::{BackendSpec, BackendUrl, HealthCheck, WEIGHTS};

/// Reads the list; a URL that occurs twice is an error.
pub(super) fn read(list: Option<Field>) -> Result<Vec<BackendSpec>, ConfigError> {
    let mut backends: Vec<BackendSpec> = Vec::new();
    for field in list.map_or(Ok(Vec::new()), Field::list)? {
        let place = field.fault("");
        let backend = backend(field)?;
        if let Some(first) = backends.iter().position(|b| b.url == backend.url) {
            let url = backend.url.as_str();
            let problem = format!("expected each backend once, but {url} is also backend_list[{first}]");
            return Err(ConfigError { problem, ..place });
        }
        backends.push(backend);
    }
    Ok(backends)
}

fn backend(field: Field) -> Result<BackendSpec, ConfigError> {
    // From a flag a backend is its URL alone.
    if matches!(field.node.value, Value::Text(_)) {
        return Ok(BackendSpec { url: url(&field)?, weight: 1, health_check: HealthCheck::default() });
    }
    let missing = field.fault("expected a backend_url such as http://127.0.0.1:8081, got none");
    let mut section = field.section()?;
    let url = section.take("backend_url").ok_or(missing).and_then(|f| url(&f))?;
    let weight = section.take("weight").map_or(Ok(1), |f| f.whole(WEIGHTS))?;
    let mut config = section.section("config")?;
    let health_check = health(config.section("health")?)?;
    config.finish()?;
    section.finish()?;
    Ok(BackendSpec { url, weight, health_check })
}

fn url(field: &Field) -> Result<BackendUrl, ConfigError> {
    BackendUrl::new(field.text()?).map_err(|invalid| field.fault(invalid.expected))
}

fn health(mut section: Section) -> Result<HealthCheck, ConfigError> {
    let d = HealthCheck::default();
    let (expected_status_min, expected_status_max) =
        section.take("expected_status").map_or(Ok((d.expected_status_min, d.expected_status_max)), |f| statuses(&f))?;
    let check = HealthCheck {
        method: section.take("method").map_or(Ok(d.method), |f| method(&f))?,
        path: section.take("url").map_or(Ok(d.path), |f| path(&f))?,
        interval_ms: section.take("interval_sec").map(|f| millis(&f)).transpose()?,
        timeout_ms: section.take("timeout_sec").map_or(Ok(d.timeout_ms), |f| millis(&f))?,
        rise: section.take("rise").map_or(Ok(d.rise), |f| f.whole(1..=1000))?,
        fall: section.take("fall").map_or(Ok(d.fall), |f| f.whole(1..=1000))?,
        expected_status_min,
        expected_status_max,
    };
    section.finish()?;
    Ok(check)
}

fn method(field: &Field) -> Result<String, ConfigError> {
    let text = field.text()?;
    HealthCheck::check_method(text).map_err(|invalid| field.fault(invalid.expected))?;
    Ok(text.to_owned())
}

fn path(field: &Field) -> Result<String, ConfigError> {
    let text = field.text()?;
    HealthCheck::check_path(text).map_err(|invalid| field.fault(invalid.expected))?;
    Ok(text.to_owned())
}

fn millis(field: &Field) -> Result<u32, ConfigError> {
    Ok((field.number(0.001..=MAX_INTERVAL_SEC, " seconds")? * 1000.0).round() as u32)
}

/// `200-399`, or one code as text or number.
fn statuses(field: &Field) -> Result<(u16, u16), ConfigError> {
    let text = match &field.node.value {
        Value::Text(text) => text.clone(),
        Value::Number(code) => code.to_string(),
        _ => String::new(),
    };
    let (low, high) = text.split_once('-').unwrap_or((&text, &text));
    match (low.trim().parse(), high.trim().parse()) {
        (Ok(low), Ok(high)) if (100..=high).contains(&low) && high <= 599 => Ok((low, high)),
        _ => Err(field.fault(format!("expected a range of status codes such as 200-399, got {text:?}"))),
    }
}
