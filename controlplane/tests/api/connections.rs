//! How many connections the admin port takes, and from whom.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::harness::{Running, within};

/// Asks for the metrics from a loopback address of its own, and keeps the connection open.
async fn ask(running: &Running, from: u8) -> (TcpStream, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, from), 0).into()).unwrap();
    let mut stream = within(socket.connect(running.address)).await.unwrap();
    // A connection that was turned away may be reset before or after this.
    let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut page = Vec::new();
    while !page.ends_with(b"# EOF\n") {
        match within(stream.read_buf(&mut page)).await {
            Ok(1..) => {}
            _ => break,
        }
    }
    (stream, String::from_utf8(page).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_gets_half_and_all_get_what_the_file_says() {
    let running = Running::start("admin: { max_connections: 4 }").await;
    let mut held = Vec::new();
    for from in [1, 1, 2] {
        held.push(ask(&running, from).await);
    }
    assert_eq!(ask(&running, 1).await.1, "", "127.0.0.1 has its half");
    held.push(ask(&running, 3).await);
    assert_eq!(ask(&running, 4).await.1, "", "there are no more");
    assert!(held.iter().all(|(_, page)| page.ends_with("# EOF\n")));
    held.remove(0);
    // The server hears of the end of a connection a little later.
    let page = within(async {
        loop {
            let (_, page) = ask(&running, 1).await;
            if !page.is_empty() {
                return page;
            }
        }
    })
    .await;
    assert!(page.contains("balancer_controlplane_connections 4\n"), "{page}");
    for reason in ["max_connections", "max_connections_per_address"] {
        let refused = page.lines().find_map(|line| {
            line.strip_prefix(&format!("balancer_controlplane_connections_refused_total{{reason=\"{reason}\"}} "))
        });
        assert!(refused.unwrap().parse::<u32>().unwrap() >= 1, "{page}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stays_silent_in_http2_does_not_hold_up_a_shutdown() {
    let running = Running::start("").await;
    let mut silent = connect(running.address).await;
    silent.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    // Its answer: SETTINGS.
    within(silent.read_u8()).await.unwrap();
    let asked = std::time::Instant::now();
    running.stop().await;
    println!("stopped after {:?}", asked.elapsed());
    assert!(asked.elapsed().as_secs() < 5, "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_health_ends_at_a_shutdown_with_a_status_that_says_so() {
    let running = Running::start("").await;
    let mut client = HealthClient::new(running.channel());
    let mut health = within(client.watch(HealthCheckRequest::default())).await.unwrap().into_inner();
    within(health.message()).await.unwrap().unwrap();
    let asked = std::time::Instant::now();
    running.ask_to_stop();
    let end = within(health.message()).await.unwrap_err();
    assert_eq!((end.code(), end.message()), (Code::Unavailable, "the control plane is shutting down"));
    running.stop().await;
    assert!(asked.elapsed().as_secs() < 5, "{:?}", asked.elapsed());
}

async fn connect(address: SocketAddr) -> TcpStream {
    within(TcpStream::connect(address)).await.unwrap()
}
