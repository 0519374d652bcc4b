//! The gRPC services.

use balancer_proto::v1::{
    AddBackendRequest, AdminState, BackendSource, CreateLimitRequest, DeleteLimitRequest, GetLimitRequest,
    GetStatusRequest, HealthCheck, ImportLimitsRequest, Limit, ListBackendsRequest, ListLimitsRequest,
    RemoveBackendRequest, SetLimitRequest, UpdateBackendRequest, UpdateLimitRequest, WatchStatusRequest,
    backend_service_client::BackendServiceClient, limit_service_client::LimitServiceClient, remove_backend_request,
    status_service_client::StatusServiceClient, update_backend_request,
};
use tonic::{Code, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::harness::{Running, within};

fn limit(client_id: &str, capacity: f64, rate_per_sec: f64) -> Option<Limit> {
    Some(Limit { client_id: client_id.into(), capacity: Some(capacity), rate_per_sec: Some(rate_per_sec) })
}

fn is(error: Status, code: Code, beginning: &str) {
    assert_eq!(error.code(), code, "{error}");
    assert!(error.message().starts_with(beginning), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_live() {
    let running = Running::start("").await;
    let mut client = LimitServiceClient::new(running.channel());
    let first = client.create_limit(CreateLimitRequest { limit: limit("a", 1.0, 0.0) }).await.unwrap().into_inner();
    let again = client.create_limit(CreateLimitRequest { limit: limit("a", 1.0, 0.0) }).await.unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists);
    let partial = Some(Limit { client_id: "a".into(), capacity: Some(3.0), rate_per_sec: None });
    let updated = client.update_limit(UpdateLimitRequest { limit: partial }).await.unwrap().into_inner();
    assert_eq!(updated.limit, limit("a", 3.0, 0.0));
    assert_eq!(updated.revision, first.revision + 1);
    let got = client.get_limit(GetLimitRequest { client_id: "a".into() }).await.unwrap().into_inner();
    assert_eq!((got.limit, got.revision), (limit("a", 3.0, 0.0), updated.revision));
    let set = client.set_limit(SetLimitRequest { limit: limit("b", 1.0, 1.0) }).await.unwrap().into_inner();
    assert!(set.created);
    client.delete_limit(DeleteLimitRequest { client_id: "b".into() }).await.unwrap();
    let gone = client.get_limit(GetLimitRequest { client_id: "b".into() }).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    drop(client);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_refuse_by_field() {
    let running = Running::start("").await;
    let mut client = LimitServiceClient::new(running.channel());
    let unset = Some(Limit { client_id: "a".into(), capacity: Some(1.0), rate_per_sec: None });
    for (limit, field) in [
        (None, "limit: "),
        (limit("", 1.0, 1.0), "client_id: "),
        (limit("a\n", 1.0, 1.0), "client_id: "),
        (limit("a", 0.0, 1.0), "capacity: "),
        (limit("a", f64::NAN, 1.0), "capacity: "),
        (limit("a", 1.0, f64::INFINITY), "rate_per_sec: "),
        (unset, "rate_per_sec: is required"),
    ] {
        let refused = client.set_limit(SetLimitRequest { limit }).await.unwrap_err();
        is(refused, Code::InvalidArgument, field);
    }
    let nothing = Some(Limit { client_id: "a".into(), ..Limit::default() });
    is(client.update_limit(UpdateLimitRequest { limit: nothing }).await.unwrap_err(), Code::InvalidArgument, "limit: ");
    drop(client);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_imported_and_listed_by_pages() {
    let running = Running::start("").await;
    let mut client = LimitServiceClient::new(running.channel());
    let batch = |range: std::ops::Range<u32>| ImportLimitsRequest {
        limits: range.filter_map(|i| limit(&format!("c{i:05}"), 1.0, f64::from(i))).collect(),
    };
    let batches = tokio_stream::iter([batch(0..5000), batch(5000..5010)]);
    let mut answers = client.import_limits(batches).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().stored, 5000);
    assert_eq!(answers.message().await.unwrap().unwrap().stored, 10);
    assert!(answers.message().await.unwrap().is_none());
    let (mut token, mut seen) = (String::new(), Vec::new());
    loop {
        let request = ListLimitsRequest { prefix: "c0".into(), page_size: 2000, page_token: token };
        let page = client.list_limits(request).await.unwrap().into_inner();
        seen.extend(page.limits.into_iter().map(|l| l.client_id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen.len(), 5010);
    assert!(seen.is_sorted());
    drop(client);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn import_ends_at_the_first_bad_batch_and_keeps_what_was_answered() {
    let running = Running::start("").await;
    let mut client = LimitServiceClient::new(running.channel());
    let batch =
        |ids: &[&str]| ImportLimitsRequest { limits: ids.iter().filter_map(|id| limit(id, 1.0, 1.0)).collect() };
    let batches = tokio_stream::iter([batch(&["a"]), batch(&["b", "c", "b"]), batch(&["d"])]);
    let mut answers = client.import_limits(batches).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().stored, 1);
    let refused = answers.message().await.unwrap_err();
    assert!(refused.message().ends_with("(limits[2])"), "{refused}");
    is(refused, Code::InvalidArgument, "client_id: ");
    let listed = client.list_limits(ListLimitsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.limits, [limit("a", 1.0, 1.0).unwrap()]);
    let empty = client.import_limits(tokio_stream::iter([batch(&[])])).await.unwrap().into_inner().message().await;
    is(empty.unwrap_err(), Code::InvalidArgument, "limits: ");
    drop(client);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backends_live() {
    let running = Running::start("backend_list: [{ backend_url: http://127.0.0.1:1 }]").await;
    let mut client = BackendServiceClient::new(running.channel());
    let add = AddBackendRequest { url: "http://127.0.0.1:2".into(), ..Default::default() };
    let added = client.add_backend(add.clone()).await.unwrap().into_inner().backend.unwrap();
    assert_eq!((added.weight, added.source(), added.admin_state()), (1, BackendSource::Api, AdminState::Active));
    assert_eq!(client.add_backend(add).await.unwrap_err().code(), Code::AlreadyExists);
    let selector = Some(update_backend_request::Selector::Url("http://127.0.0.1:2".into()));
    let drain = UpdateBackendRequest { selector, weight: Some(7), admin_state: AdminState::Draining.into() };
    let drained = client.update_backend(drain).await.unwrap().into_inner().backend.unwrap();
    assert_eq!((drained.weight, drained.admin_state()), (7, AdminState::Draining));
    let listed = client.list_backends(ListBackendsRequest {}).await.unwrap().into_inner().backends;
    let urls: Vec<_> = listed.iter().map(|b| b.backend.as_ref().unwrap().url.as_str()).collect();
    assert_eq!(urls, ["http://127.0.0.1:1", "http://127.0.0.1:2"]);
    let remove = |id| RemoveBackendRequest { selector: Some(remove_backend_request::Selector::Id(id)) };
    client.remove_backend(remove(added.id)).await.unwrap();
    assert_eq!(client.remove_backend(remove(added.id)).await.unwrap_err().code(), Code::NotFound);
    let in_file = listed[0].backend.as_ref().unwrap().id;
    assert_eq!(client.remove_backend(remove(in_file)).await.unwrap_err().code(), Code::FailedPrecondition);
    drop(client);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backends_refuse_by_field() {
    let running = Running::start("").await;
    let mut client = BackendServiceClient::new(running.channel());
    let url = || "http://127.0.0.1:2".to_owned();
    let check = |health_check| AddBackendRequest { url: url(), weight: 0, health_check: Some(health_check) };
    for (request, field) in [
        (AddBackendRequest { url: "ftp://a".into(), ..Default::default() }, "url: "),
        (AddBackendRequest { url: url(), weight: 1001, health_check: None }, "weight: "),
        (check(HealthCheck { path: "health".into(), ..Default::default() }), "path: "),
        (check(HealthCheck { method: "G T".into(), ..Default::default() }), "method: "),
        (check(HealthCheck { interval_ms: 1, ..Default::default() }), "interval_ms: "),
        (check(HealthCheck { expected_status_min: 99, ..Default::default() }), "expected_status_min: "),
        (check(HealthCheck { expected_status_max: 100, ..Default::default() }), "expected_status_max: "),
    ] {
        is(client.add_backend(request).await.unwrap_err(), Code::InvalidArgument, field);
    }
    is(client.update_backend(UpdateBackendRequest::default()).await.unwrap_err(), Code::InvalidArgument, "selector: ");
    let selector = Some(update_backend_request::Selector::Id(1));
    let nothing = UpdateBackendRequest { selector, ..Default::default() };
    is(client.update_backend(nothing).await.unwrap_err(), Code::InvalidArgument, "weight: ");
    drop(client);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_is_one_picture_or_many() {
    let running = Running::start("").await;
    let mut client = StatusServiceClient::new(running.channel());
    let status = client.get_status(GetStatusRequest {}).await.unwrap().into_inner().status.unwrap();
    assert_eq!((status.database.as_str(), status.database_available, status.revision), ("sqlite", true, 1));
    assert!(!status.store_id.is_empty() && !status.version.is_empty());
    let too_often = client.watch_status(WatchStatusRequest { interval_ms: 1 }).await.unwrap_err();
    is(too_often, Code::InvalidArgument, "interval_ms: ");
    let mut pictures = client.watch_status(WatchStatusRequest { interval_ms: 100 }).await.unwrap().into_inner();
    for _ in 0..2 {
        assert!(within(pictures.message()).await.unwrap().unwrap().status.is_some());
    }
    running.ask_to_stop();
    assert!(within(pictures.message()).await.unwrap().is_none(), "a stream ends with the server");
    drop(client);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_reflection_and_unknown_methods() {
    let running = Running::start("").await;
    let mut health = HealthClient::new(running.channel());
    let answer = health.check(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
    assert_eq!(answer.status, 1, "SERVING");
    let mut reflection =
        tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient::new(running.channel());
    let list = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(tonic_reflection::pb::v1::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let mut answers = reflection.server_reflection_info(tokio_stream::iter([list])).await.unwrap().into_inner();
    let text = format!("{:?}", answers.message().await.unwrap().unwrap());
    for service in ["LimitService", "BackendService", "StatusService", "DataPlaneService"] {
        assert!(text.contains(&format!("balancer.v1.{service}")), "{text}");
    }
    drop((health, reflection, answers));
    running.stop().await;
}
