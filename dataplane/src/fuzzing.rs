//! What the targets in `fuzz/` reach and nobody else; exists with the feature `fuzzing` only.

use prometheus_client::registry::Registry;
use tokio::sync::watch;

pub use crate::upstream::h2_fuzzing as backend_http2;
use crate::{shared::Shared, state_file, sync::Holder};

/// Restores a saved snapshot with this content into an empty data plane, its checksum made to fit.
///
/// # Errors
/// Why it is refused.
pub fn restore(content: &[u8]) -> Result<(), String> {
    let shared = Shared::new(64, &mut Registry::default());
    state_file::restore_content(content, &mut Holder::new(shared, watch::channel(None).0))
}
