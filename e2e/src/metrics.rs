//! A plane's metrics page.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Result, ensure};

use crate::http;

/// The values of one scrape.
#[derive(Clone, Debug)]
pub struct Metrics(BTreeMap<String, f64>);

/// Reads `/metrics`.
///
/// # Errors
/// When it is not OpenMetrics, or the token is not accepted.
pub async fn scrape(admin: SocketAddr, token: Option<&str>) -> Result<Metrics> {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|value| ("authorization", value.as_str())).collect();
    let answer = http::send(admin, "GET", "/metrics", &headers, "").await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    ensure!(answer.header("content-type").starts_with("application/openmetrics-text"), "{:?}", answer.headers);
    let text = answer.text();
    ensure!(text.ends_with("# EOF\n"), "cut off: {text}");
    let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    Ok(Metrics(samples.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()))
}

impl Metrics {
    /// The sample with exactly this name and these labels, e.g. `balancer_up{a="b"}`.
    pub fn get(&self, sample: &str) -> Option<f64> {
        self.0.get(sample).copied()
    }

    /// The sum of all samples of a name whose labels contain `label`.
    pub fn sum(&self, name: &str, label: &str) -> f64 {
        let of_name = |sample: &&String| sample.split('{').next() == Some(name) && sample.contains(label);
        self.0.iter().filter(|(sample, _)| of_name(sample)).map(|(_, value)| value).sum()
    }

    /// Names of all samples, with labels.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
