//! What must not be possible, or must say what to do.

use controlplane::{Error, config};
use prometheus_client::registry::Registry;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use crate::{
    harness::{Running, within},
    raw::get,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_instance_on_the_same_file_says_what_to_do() {
    let running = Running::start("").await;
    get(running.address, "/readyz").await;
    let config = config::load(&running.args).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_send, reload) = mpsc::channel(1);
    let second = controlplane::run(config, listener, Registry::default(), reload, CancellationToken::new());
    let error = within(Box::pin(second)).await.unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("in use by another instance"), "{error}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = Running::start("").await;
    let mut config = config::load(&running.args).unwrap();
    config.admin.port = taken.local_addr().unwrap().port();
    let error = controlplane::listen(&config.admin).await.unwrap_err();
    assert!(matches!(error, Error::Listen { .. }) && error.to_string().contains("BALANCER_ADMIN_PORT"), "{error}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_finished_at_shutdown() {
    let running = Running::start("").await;
    let body = r#"{"client_id":"a","capacity":1,"rate_per_sec":1}"#;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let head = format!(
        "POST /limits/create HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 12];
    within(stream.read_exact(&mut go_on)).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100", "the request has arrived");
    running.ask_to_stop();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut rest = String::new();
    within(stream.read_to_string(&mut rest)).await.unwrap();
    assert!(rest.contains("201 Created"), "{rest}");
    running.stop().await;
}
