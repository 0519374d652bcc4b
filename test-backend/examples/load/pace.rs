//! When requests are due.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

/// The moments at which requests are due; ends with the load.
pub(crate) type Due = mpsc::UnboundedReceiver<Instant>;

/// Intervals are exponential, the same in every run: clients that know nothing of each other. A thread of its own,
/// because the runtime's timers know milliseconds only.
pub(crate) fn start(begun: Instant, rate: f64, length: Duration) -> Due {
    let (send, due) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let (mut state, mut at) = (0x2545_f491_4f6c_dd1d, Duration::ZERO);
        while at < length {
            std::thread::sleep(at.saturating_sub(begun.elapsed()));
            if send.send(begun + at).is_err() {
                return;
            }
            at += Duration::from_secs_f64(-uniform(&mut state).ln() / rate);
        }
    });
    due
}

/// In (0, 1]. Xorshift (Marsaglia, 2003).
fn uniform(state: &mut u64) -> f64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    ((*state >> 11) as f64 + 1.0) / (1u64 << 53) as f64
}
