//! Waiting for what can be observed, with a deadline. No story sleeps.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Longest wait for anything; a machine that is busy building still makes it.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until there is something, at most for [`DEADLINE`].
///
/// # Errors
/// When there was nothing until then; the message says what was waited for.
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    until_within(DEADLINE, what, look).await
}

/// As [`until`], with a deadline of its own.
///
/// # Errors
/// As [`until`].
pub async fn until_within<T>(limit: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        // A look that hangs must not outlive the deadline.
        if let Ok(Some(found)) = tokio::time::timeout(limit, look()).await {
            return Ok(found);
        }
        if start.elapsed() >= limit {
            bail!("waited {limit:?} in vain: {what}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks until `condition` holds; says how long it took.
///
/// # Errors
/// As [`until`].
pub async fn until_true(what: &str, mut condition: impl AsyncFnMut() -> bool) -> Result<Duration> {
    let start = Instant::now();
    until(what, async || condition().await.then_some(())).await?;
    Ok(start.elapsed())
}

/// Bounds a future that should end by itself.
///
/// # Errors
/// When it does not end within [`DEADLINE`].
pub async fn bounded<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(DEADLINE, future).await.with_context(|| format!("no end within {DEADLINE:?}: {what}"))
}
