//! What a data plane holds, told by numbers.

use std::sync::Arc;

use balancer_proto::v1;

use super::Fingerprint;

/// Names a configuration well enough to know what is missing from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Database that it comes from.
    pub(crate) store_id: Arc<str>,
    pub(crate) revision: u64,
    /// Of all limits.
    pub(crate) fingerprint: Fingerprint,
    /// Of pool and settings; 0: not known.
    pub(crate) config_tag: u64,
}

impl Held {
    /// What a data plane says it holds.
    pub(crate) fn of(hello: &v1::Hello) -> Self {
        Self {
            store_id: hello.store_id.as_str().into(),
            revision: hello.revision,
            fingerprint: Fingerprint::from_value(hello.fingerprint),
            config_tag: hello.config_tag,
        }
    }
}
