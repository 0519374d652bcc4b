//! What a port answers, which changes once: when the control plane has its database.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;

/// The current answer of a port. Connections that stand see the change; requests under way do not.
#[derive(Clone)]
pub(crate) struct Front(Arc<ArcSwap<Router>>);

impl Front {
    /// Answers with `app`, at first.
    pub(crate) fn new(app: Router) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(app)))
    }

    /// Answers with `app` from now on.
    pub(crate) fn replace(&self, app: Router) {
        self.0.store(Arc::new(app));
    }

    pub(super) fn current(&self) -> Router {
        Router::clone(&self.0.load())
    }
}
