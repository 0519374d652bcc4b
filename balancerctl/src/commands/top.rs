//! `top`: the whole system, live.

use std::{
    collections::VecDeque,
    io::{self, IsTerminal, Write},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use balancer_proto::v1::{WatchStatusRequest, WatchStatusResponse};
use clap::Args;
use tonic::Streaming;

use self::frame::Frame;
use crate::{client::Client, output::Format, signals::interrupted, view::status::StatusView};

mod frame;

/// Rates are averages over this time. Data planes report every 2 s, so a shorter one would show steps.
const WINDOW_MS: u64 = 10_000;

/// Flags of `top`.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Time between two pictures, 100ms to 1m.
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = interval)]
    interval: Duration,
}

fn interval(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(interval) if (100..=60_000).contains(&interval.as_millis()) => Ok(interval),
        Ok(_) => Err("expected 100ms to 1m".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// Draws until Ctrl-C.
pub(crate) async fn run(args: &TopArgs, client: &Client, format: Format) -> Result<()> {
    tokio::select! {
        result = watch(args.interval, client, format) => result,
        result = interrupted() => Ok(result?),
    }
}

async fn watch(interval: Duration, client: &Client, format: Format) -> Result<()> {
    // At most 60000, as parsed.
    let request = WatchStatusRequest { interval_ms: u32::try_from(interval.as_millis())? };
    let mut service = client.status();
    let mut pictures = client.within(Duration::ZERO, service.watch_status(request)).await?.into_inner();
    let mut history = VecDeque::new();
    loop {
        let now = next(interval, client, &mut pictures).await?;
        draw(history.front(), &now, format)?;
        remember(&mut history, now);
    }
}

/// Keeps enough pictures to look [`WINDOW_MS`] back from the next one.
fn remember(history: &mut VecDeque<StatusView>, now: StatusView) {
    let oldest_ms = now.uptime_ms.saturating_sub(WINDOW_MS);
    history.push_back(now);
    while history.get(1).is_some_and(|next| next.uptime_ms <= oldest_ms) {
        history.pop_front();
    }
}

async fn next(
    interval: Duration,
    client: &Client,
    pictures: &mut Streaming<WatchStatusResponse>,
) -> Result<StatusView> {
    match client.within(interval, pictures.message()).await? {
        Some(WatchStatusResponse { status: Some(status) }) => Ok(status.into()),
        Some(_) => bail!("the control plane answered without a status"),
        None => bail!("the control plane has ended the stream: it is shutting down"),
    }
}

/// One picture: in place on a terminal, below the one before elsewhere.
fn draw(before: Option<&StatusView>, now: &StatusView, format: Format) -> Result<()> {
    let mut text = Vec::new();
    match format {
        Format::Json => writeln!(text, "{}", serde_json::to_string(now)?)?,
        Format::Yaml => write!(text, "---\n{}", serde_saphyr::to_string(now)?)?,
        Format::Table => Frame::new(before, now).write(&mut text)?,
    }
    let mut out = io::stdout().lock();
    if format == Format::Table {
        // Home, and clear what is below: less flicker than clearing first. A pipe gets an empty line instead.
        out.write_all(if out.is_terminal() {
            b"\x1b[H\x1b[J"
        } else if before.is_some() {
            b"\n"
        } else {
            b""
        })?;
    }
    out.write_all(&text).context("printing")?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use balancer_proto::v1::Status;

    use super::*;

    #[test]
    fn looks_back_as_far_as_the_window() {
        let mut history = VecDeque::new();
        for uptime_ms in (0..60_000).step_by(1000) {
            remember(&mut history, Status { uptime_ms, ..Status::default() }.into());
        }
        assert_eq!(history.front().unwrap().uptime_ms, 49_000);
        assert_eq!(history.back().unwrap().uptime_ms, 59_000);
    }
}
