//! Data planes that follow a control plane and say when they heard of what.

use std::time::{Duration, Instant};

use balancer_proto::v1::{
    Ack, Heartbeat, Hello, SyncRequest, Update, data_plane_service_client::DataPlaneServiceClient,
    sync_request::Message as Up, sync_response::Message as Down,
};
use prost::Message;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::program::ControlPlane;

/// A data plane is at a revision.
struct Told {
    revision: u64,
    at: Instant,
    /// Of the configuration it took to come there.
    bytes: usize,
}

/// Each on a connection of its own.
pub(crate) struct Fleet {
    replicas: Vec<JoinHandle<Hello>>,
    told: mpsc::UnboundedReceiver<Told>,
    leave: CancellationToken,
}

impl Fleet {
    /// All have everything when this returns.
    pub(crate) async fn connect(control_plane: &ControlPlane, count: usize) -> Self {
        let hello = |number| Hello { replica_id: format!("r{number}-of-{count}"), ..Hello::default() };
        let mut fleet = Self::of(control_plane, (0..count).map(hello)).await;
        fleet.next_of_each().await;
        // What it took to send everything has been given back by then, as far as it is.
        tokio::time::sleep(Duration::from_secs(2)).await;
        fleet
    }

    async fn of(control_plane: &ControlPlane, hellos: impl Iterator<Item = Hello>) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let leave = CancellationToken::new();
        let mut replicas = Vec::new();
        let channels = hellos.map(|hello| async { (hello, control_plane.channel().await) });
        for (hello, channel) in futures_util::future::join_all(channels).await {
            replicas.push(tokio::spawn(follow(channel, hello, tell.clone(), leave.clone())));
        }
        Self { replicas, told, leave }
    }

    /// When each came to the revision.
    pub(crate) async fn reached(&mut self, revision: u64) -> Vec<Instant> {
        let all = self.next_of_each().await;
        assert!(all.iter().all(|told| told.revision == revision));
        all.iter().map(|told| told.at).collect()
    }

    /// All go, and come back at once with what they have: until the last has heard of health, and what was sent to them of
    /// configuration.
    pub(crate) async fn all_reconnect(mut self, control_plane: &ControlPlane) -> (Duration, usize) {
        self.leave.cancel();
        let mut held = Vec::new();
        for replica in std::mem::take(&mut self.replicas) {
            held.push(replica.await.unwrap());
        }
        let begun = Instant::now();
        let mut fleet = Self::of(control_plane, held.into_iter()).await;
        let back = fleet.next_of_each().await.iter().map(|told| told.at).max().unwrap() - begun;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut bytes = 0;
        while let Ok(told) = fleet.told.try_recv() {
            bytes += told.bytes;
        }
        (back, bytes)
    }

    async fn next_of_each(&mut self) -> Vec<Told> {
        let mut all = Vec::new();
        while all.len() < self.replicas.len() {
            all.push(self.told.recv().await.unwrap());
        }
        all
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.leave.cancel();
    }
}

/// A data plane's life on one stream; returns what it has at the end.
async fn follow(
    channel: Channel,
    mut hello: Hello,
    tell: mpsc::UnboundedSender<Told>,
    leave: CancellationToken,
) -> Hello {
    let (up, requests) = mpsc::channel(16);
    let say = async |message| up.send(SyncRequest { message: Some(message) }).await.unwrap();
    say(Up::Hello(hello.clone())).await;
    let stream = DataPlaneServiceClient::new(channel).sync(ReceiverStream::new(requests)).await;
    let mut down = stream.unwrap().into_inner();
    let mut bytes = 0;
    while let Some(message) = leave.run_until_cancelled(down.message()).await {
        match message.unwrap().expect("the stream ended").message {
            Some(Down::Heartbeat(_)) => say(Up::Heartbeat(Heartbeat {})).await,
            // Nothing more is due to one that had everything.
            Some(Down::Health(health)) if health.full && hello.revision > 0 => {
                let _ = tell.send(Told { revision: hello.revision, at: Instant::now(), bytes: 0 });
            }
            Some(Down::Update(update)) => {
                bytes += update.encoded_len();
                if update.last_chunk {
                    hello = at_the_end_of(&update, hello);
                    let _ = tell.send(Told { revision: update.revision, at: Instant::now(), bytes });
                    bytes = 0;
                    say(Up::Ack(Ack { revision: update.revision })).await;
                }
            }
            _ => {}
        }
    }
    hello
}

fn at_the_end_of(update: &Update, hello: Hello) -> Hello {
    Hello {
        store_id: update.store_id.clone(),
        revision: update.revision,
        fingerprint: update.fingerprint,
        config_tag: update.config_tag,
        ..hello
    }
}
