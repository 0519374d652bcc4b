//! `limits import` against a control plane that fails on cue.

// The lint lets #[test] functions off by itself, but not what they call.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    net::SocketAddr,
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use balancer_proto::v1::{
    CreateLimitRequest, CreateLimitResponse, DeleteLimitRequest, DeleteLimitResponse, GetLimitRequest,
    GetLimitResponse, ImportLimitsRequest, ImportLimitsResponse, ListLimitsRequest, ListLimitsResponse,
    SetLimitRequest, SetLimitResponse, UpdateLimitRequest, UpdateLimitResponse,
    limit_service_server::{LimitService, LimitServiceServer},
};
use tokio::{net::TcpListener, process::Command, sync::mpsc};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Result, Status, Streaming, transport::Server};

/// Stores some batches, then fails.
#[derive(Clone)]
struct Failing {
    /// Batches to accept.
    batches: u64,
    stored: Arc<AtomicU64>,
}

#[tonic::async_trait]
impl LimitService for Failing {
    type ImportLimitsStream = ReceiverStream<Result<ImportLimitsResponse>>;

    async fn import_limits(
        &self,
        request: Request<Streaming<ImportLimitsRequest>>,
    ) -> Result<Response<Self::ImportLimitsStream>> {
        if request.metadata().get("authorization").is_none_or(|token| token != "Bearer hush") {
            return Err(Status::unauthenticated("token"));
        }
        let (send, receive) = mpsc::channel(1);
        tokio::spawn(self.clone().import(request.into_inner(), send));
        Ok(Response::new(ReceiverStream::new(receive)))
    }

    async fn create_limit(&self, _: Request<CreateLimitRequest>) -> Result<Response<CreateLimitResponse>> {
        Err(Status::unimplemented(""))
    }

    async fn get_limit(&self, _: Request<GetLimitRequest>) -> Result<Response<GetLimitResponse>> {
        Err(Status::unimplemented(""))
    }

    async fn update_limit(&self, _: Request<UpdateLimitRequest>) -> Result<Response<UpdateLimitResponse>> {
        Err(Status::unimplemented(""))
    }

    async fn set_limit(&self, _: Request<SetLimitRequest>) -> Result<Response<SetLimitResponse>> {
        Err(Status::unimplemented(""))
    }

    async fn delete_limit(&self, _: Request<DeleteLimitRequest>) -> Result<Response<DeleteLimitResponse>> {
        Err(Status::unimplemented(""))
    }

    async fn list_limits(&self, _: Request<ListLimitsRequest>) -> Result<Response<ListLimitsResponse>> {
        Err(Status::unimplemented(""))
    }
}

impl Failing {
    async fn import(
        self,
        mut batches: Streaming<ImportLimitsRequest>,
        answers: mpsc::Sender<Result<ImportLimitsResponse>>,
    ) {
        for revision in 1..=self.batches {
            let Some(batch) = batches.message().await.unwrap() else { return };
            let stored = batch.limits.len() as u64;
            self.stored.fetch_add(stored, SeqCst);
            answers.send(Ok(ImportLimitsResponse { stored, revision })).await.unwrap();
        }
        if batches.message().await.unwrap().is_some() {
            answers.send(Err(Status::unavailable("the database is gone"))).await.unwrap();
        }
    }
}

async fn serve(batches: u64) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stored) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
    let service = LimitServiceServer::new(Failing { batches, stored: stored.clone() });
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)));
    (address, stored)
}

/// Imports ten limits, which stand in lines 2 to 11, in batches of 3.
async fn import(control_plane: SocketAddr, args: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("limits.csv");
    let lines: String = (0..10).map(|i| format!("client-{i},1,0\n")).collect();
    fs::write(&file, format!("client_id,capacity,rate_per_sec\n{lines}")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_balancerctl"));
    command.args(["limits", "import", "--batch-size", "3", "--endpoint", &control_plane.to_string()]).arg(&file);
    command.env("BALANCER_TOKEN", "hush").args(args).output().await.unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn an_import_stores_the_whole_file() {
    let (control_plane, stored) = serve(10).await;
    let output = import(control_plane, &[]).await;
    assert_eq!(text(&output.stdout), "10 limits stored\n", "{}", text(&output.stderr));
    assert_eq!(stored.load(SeqCst), 10);
}

#[tokio::test]
async fn an_import_that_fails_says_how_to_go_on_and_goes_on() {
    let (control_plane, stored) = serve(2).await;
    let output = import(control_plane, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "error: the control plane cannot do this now: the database is gone: try again later: \
         6 of 10 limits stored (through line 7); run again with --from-line 8\n"
    );
    let output = import(control_plane, &["--from-line", "8", "-o", "json"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(stored.load(SeqCst), 10);
}

#[tokio::test]
async fn an_import_that_fails_at_once_has_stored_nothing() {
    let (control_plane, _) = serve(0).await;
    let output = import(control_plane, &[]).await;
    assert!(text(&output.stderr).ends_with("none of 10 limits stored; run again\n"), "{}", text(&output.stderr));
    let output = import(control_plane, &["--token", "wrong"]).await;
    assert_eq!(
        text(&output.stderr),
        "error: the control plane refuses this token: check --token or BALANCER_TOKEN: none of 10 limits stored; run again\n"
    );
}
