//! What a data plane has been told of the backends' health.

use std::collections::BTreeMap;

use balancer_proto::v1::{self, sync_response::Message};

use crate::{
    convert,
    health::Health,
    hub::{Frame, encode},
};

/// Health by backend id, as last sent.
#[derive(Default)]
pub(super) struct Told(BTreeMap<u64, Health>);

impl Told {
    /// The message that brings the data plane up to date; `None` if it is. A backend that is not checked any more is
    /// unknown from then on.
    pub(super) fn news(&mut self, now: &BTreeMap<u64, Health>, full: bool) -> Option<Frame> {
        let gone = self.0.keys().filter(|id| !now.contains_key(id)).map(|id| (*id, Health::Unknown));
        let news = now.iter().filter(|(id, health)| self.0.get(id) != Some(health)).map(|(id, h)| (*id, *h));
        let entry = |(backend_id, health)| v1::BackendHealth { backend_id, health: convert::health(health).into() };
        let backends: Vec<_> = gone.chain(news).map(entry).collect();
        self.0.clone_from(now);
        (full || !backends.is_empty()).then(|| encode(Message::Health(v1::HealthUpdate { full, backends })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(frame: Option<Frame>) -> Vec<(u64, v1::Health)> {
        match frame.unwrap().decode().message {
            Some(Message::Health(update)) => update.backends.iter().map(|b| (b.backend_id, b.health())).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_news_is_told() {
        let mut so_far = Told::default();
        let one = BTreeMap::from([(1, Health::Healthy), (2, Health::Healthy)]);
        assert_eq!(told(so_far.news(&one, true)).len(), 2);
        assert!(so_far.news(&one, false).is_none());
        let other = BTreeMap::from([(1, Health::Unhealthy)]);
        assert_eq!(told(so_far.news(&other, false)), [(2, v1::Health::Unknown), (1, v1::Health::Unhealthy)]);
    }
}
