//! The ports: which there are, and what they answer before and after the database is there.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    Companion, Listeners, Token,
    config::AdminConfig,
    metrics::Metrics,
    plane::Plane,
    server::{self, Front, Handshake, Patience, Port, Seats},
    waiting::Waiting,
};

/// All ways in.
pub(crate) struct Entrance {
    /// Those that are not served yet.
    ports: Vec<Port>,
    admin: Front,
    token: Option<Token>,
    internal: Option<(Front, Token)>,
    registry: Arc<Registry>,
    companion: Option<Companion>,
}

impl Entrance {
    /// Ports that answer that the database is waited for.
    pub(crate) fn new(
        listeners: Listeners,
        config: &AdminConfig,
        registry: Registry,
        metrics: &Arc<Metrics>,
        waiting: &Arc<Waiting>,
    ) -> Self {
        let registry = Arc::new(registry);
        let front = |token| Front::new(server::waiting_app(waiting.clone(), registry.clone(), token, metrics.clone()));
        let Listeners { admin: listener, internal, companion } = listeners;
        let (admin, token) = (front(config.token.clone()), config.token.clone());
        let tls = config.tls.clone().map(|tls| Handshake { tls, metrics: metrics.clone() });
        let seats = Some(Seats::new(config.max_connections, metrics.clone()));
        let patience = Patience::default();
        let mut ports = vec![Port { name: "admin", listener, tls, seats, patience, front: admin.clone() }];
        let internal = internal.map(|internal| {
            let (token, listener) = (internal.token().clone(), internal.listener);
            let front = front(Some(token.clone()));
            // Whoever floods the admin port does not part the planes.
            ports.push(Port { name: "internal", listener, tls: None, seats: None, patience, front: front.clone() });
            (front, token)
        });
        Self { ports, admin, token, internal, registry, companion }
    }

    /// Serves the ports that are not served yet.
    pub(crate) fn serve(&mut self, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
        for port in self.ports.drain(..) {
            tasks.spawn(server::serve(port, shutdown.clone()));
        }
    }

    /// Answers from now on with what `plane` knows.
    pub(crate) fn open(&self, plane: &Plane) {
        let (registry, companion) = (self.registry.clone(), self.companion.clone());
        self.admin.replace(server::app(plane.clone(), registry, companion, self.token.clone()));
        if let Some((front, token)) = &self.internal {
            front.replace(server::internal_app(plane.clone(), token.clone()));
        }
    }
}
