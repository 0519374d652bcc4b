//! Names with characters that cannot be seen: refused in every way in; what is there already can be read and deleted.

use std::{path::Path, time::Duration};

use balancer_proto::v1::{
    GetLimitRequest, ImportLimitsRequest, Limit, ListLimitsRequest, SetLimitRequest, UpdateLimitRequest,
    limit_service_client::LimitServiceClient,
};
use controlplane::config;
use diesel::{Connection, SqliteConnection, connection::SimpleConnection};
use tonic::{Code, Status};

use crate::{
    harness::{Running, within},
    raw::{get, json},
    sync::{Replica, set},
};

const NAME: &str = "ali\u{200b}ce";
const SAID: &str = "client_id: expected printable text, got the invisible character \\u{200b}";

fn limit() -> Option<Limit> {
    Some(Limit { client_id: NAME.into(), capacity: Some(1.0), rate_per_sec: Some(1.0) })
}

fn is_refused<T: std::fmt::Debug>(answer: Result<T, Status>) {
    let status = answer.unwrap_err();
    assert!(status.code() == Code::InvalidArgument && status.message().starts_with(SAID), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_way_in_takes_them() {
    let running = Running::start("").await;
    let body = r#"{"client_id":"ali\u200bce","capacity":1,"rate_per_sec":1}"#;
    for (method, path) in [("POST", "/limits/create"), ("PUT", "/limits/update")] {
        let refused = json(running.address, method, path, body).await;
        assert_eq!((refused.status, refused.problem().as_str()), (400, SAID));
    }
    let mut client = LimitServiceClient::new(running.channel());
    is_refused(client.set_limit(SetLimitRequest { limit: limit() }).await);
    is_refused(client.update_limit(UpdateLimitRequest { limit: limit() }).await);
    let batch = ImportLimitsRequest { limits: limit().into_iter().collect() };
    let mut answers = client.import_limits(tokio_stream::once(batch)).await.unwrap().into_inner();
    is_refused(within(answers.message()).await);
    drop((client, answers));
    running.stop().await;
}

/// As an older version has written it.
fn write(database: &Path) {
    let mut connection = SqliteConnection::establish(database.to_str().unwrap()).unwrap();
    let renamed = format!("UPDATE limits SET client_id = '{NAME}' WHERE client_id = 'alice'");
    connection.batch_execute(&renamed).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_read_listed_sent_and_deleted() {
    let running = Running::start("").await;
    set(running.channel(), "alice", 7.0).await;
    let args = running.args.clone();
    let dir = running.stop().await;
    write(&dir.path().join("b.db"));
    let running = Running::start_with(dir, args.clone(), config::load(&args).unwrap()).await;
    let mut replica = Replica::connect(running.channel()).await;
    replica.step().await;
    assert!(replica.limits.contains_key(NAME));
    let target = "client_id=ali%E2%80%8Bce";
    let got = get(running.address, &format!("/limits/get?{target}")).await;
    assert_eq!((got.status, got.json()["client_id"].as_str()), (200, Some(NAME)));
    let mut client = LimitServiceClient::new(running.channel());
    client.get_limit(GetLimitRequest { client_id: NAME.into() }).await.unwrap();
    let page = ListLimitsRequest { page_token: NAME.into(), ..Default::default() };
    assert!(client.list_limits(page).await.unwrap().into_inner().limits.is_empty(), "it is the last one");
    let deleted = json(running.address, "DELETE", &format!("/limits/delete?{target}"), "").await;
    assert_eq!(deleted.status, 204);
    let step = tokio::time::timeout(Duration::from_secs(30), replica.step()).await.unwrap();
    assert!(!step.is_empty() && !replica.limits.contains_key(NAME));
    drop((replica, client));
    running.stop().await;
}
