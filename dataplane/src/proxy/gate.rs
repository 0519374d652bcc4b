//! Whether a request's client has a token for it.

use std::{pin::pin, sync::Arc};

use tokio::time::{Instant, timeout_at};

use super::Proxy;
use crate::{
    client::Client,
    clock::{self, Nanos},
    leasing::SharedClient,
    limit::{Limit, LimitScope},
    limiter::{Decision, Need},
    snapshot::Snapshot,
};

impl Proxy {
    /// Takes a token of the client's bucket. Waits only where the ledger must be asked first, and not for long.
    pub(super) async fn decide(
        &self,
        snapshot: &Arc<Snapshot>,
        client: &Client,
        limit: Limit,
        started: Nanos,
    ) -> Decision {
        let shared = &self.worker.shared;
        if snapshot.limit_scope == LimitScope::Local {
            return shared.buckets.take(client.key, &limit, client.kind, started);
        }
        if !shared.leases.is_settled() {
            // It has just started. Boxed for the same reason as below.
            Box::pin(shared.leases.await_settled()).await;
        }
        let client = SharedClient {
            bucket: client.key,
            kind: client.kind,
            limit,
            lease_key: client.lease_key(),
            revision: snapshot.revision,
        };
        let taken = shared.leases.take(&shared.buckets, &client, started);
        if taken.decision.admitted || taken.need == Need::Nothing {
            return taken.decision;
        }
        // Boxed: few wait, and those who do not should not carry the room for it.
        let decision = Box::pin(self.await_tokens(&client)).await;
        shared.metrics.lease.waited(clock::now().since(started));
        decision
    }

    /// Decides when the ledger has answered, or by the standing share if it does not in time.
    async fn await_tokens(&self, client: &SharedClient) -> Decision {
        let (buckets, leases) = (&self.worker.shared.buckets, &self.worker.shared.leases);
        let deadline = Instant::now() + self.worker.options.lease_wait;
        loop {
            let mut news = pin!(leases.news_of(client));
            // Before the look: an answer that comes after it is heard.
            news.as_mut().enable();
            let taken = leases.take(buckets, client, clock::now());
            if taken.decision.admitted || taken.need == Need::Nothing {
                return taken.decision;
            }
            if timeout_at(deadline, news).await.is_err() {
                buckets.give_up(client.bucket, client.kind);
                return leases.take(buckets, client, clock::now()).decision;
            }
        }
    }
}
