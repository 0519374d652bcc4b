//! `/limits/*`: every row of the table and every class of error.

use std::net::SocketAddr;

use crate::{
    harness::Running,
    raw::{get, json, send},
};

const LIMIT: &str = r#"{"client_id":"123.5.6.7:890","capacity":10,"rate_per_sec":1}"#;

/// The life of a limit, as a legacy client sees it.
pub(crate) async fn story(at: SocketAddr) {
    let created = json(at, "POST", "/limits/create", LIMIT).await;
    assert_eq!((created.status, created.body.as_str()), (201, ""));
    let got = json(at, "GET", "/limits/get", r#"{"client_id":"123.5.6.7:890"}"#).await;
    assert_eq!((got.status, got.header("content-type")), (200, Some("application/json")));
    assert_eq!(got.body, LIMIT);
    assert_eq!(get(at, "/limits/get?client_id=123.5.6.7%3A890").await.body, LIMIT);
    let changed = r#"{"client_id":"123.5.6.7:890","capacity":2.5,"rate_per_sec":0}"#;
    let updated = json(at, "PUT", "/limits/update", changed).await;
    assert_eq!((updated.status, updated.body.as_str()), (204, ""));
    assert_eq!(get(at, "/limits/get?client_id=123.5.6.7:890").await.body, changed);
    let deleted = json(at, "DELETE", "/limits/delete", r#"{"client_id":"123.5.6.7:890"}"#).await;
    assert_eq!((deleted.status, deleted.body.as_str()), (204, ""));
    let gone = get(at, "/limits/get?client_id=123.5.6.7:890").await;
    assert_eq!(gone.status, 404);
    assert!(gone.problem().contains("123.5.6.7:890"));
}

#[tokio::test(flavor = "multi_thread")]
async fn life_of_a_limit() {
    let running = Running::start("").await;
    story(running.address).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_stands_in_the_query_or_in_a_body_of_any_honest_type() {
    let running = Running::start("").await;
    let at = running.address;
    json(at, "POST", "/limits/create", LIMIT).await;
    let body = br#"{"client_id":"123.5.6.7:890"}"#;
    for kind in ["application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded"] {
        let head = format!("GET /limits/get HTTP/1.1\r\nContent-Type: {kind}");
        assert_eq!(send(at, &head, body).await.body, LIMIT, "{kind}");
    }
    let wrong = send(at, "GET /limits/get HTTP/1.1\r\nContent-Type: text/plain", body).await;
    assert_eq!(
        (wrong.status, wrong.problem()),
        (415, "expected Content-Type application/json, got \"text/plain\"".into())
    );
    assert_eq!(json(at, "DELETE", "/limits/delete?client_id=123.5.6.7:890", "").await.status, 204);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_bodies_are_named() {
    let running = Running::start("").await;
    let nested = "[".repeat(10_000);
    let long = format!(r#"{{"client_id":"{}","capacity":1,"rate_per_sec":1}}"#, "x".repeat(257));
    let table = [
        ("", "expected a JSON object in the body, which is empty"),
        ("[]", "expected a JSON object in the body, got another kind of value"),
        ("{", "the body is not valid JSON: EOF while parsing an object at line 1 column 1"),
        (nested.as_str(), "the body is not valid JSON: recursion limit exceeded at line 1 column 128"),
        (r#"{"capacity":1,"rate_per_sec":1}"#, "client_id: expected text, but it is missing"),
        (r#"{"client_id":7,"capacity":1,"rate_per_sec":1}"#, "client_id: expected text, got a number"),
        (r#"{"client_id":"","capacity":1,"rate_per_sec":1}"#, "client_id: expected 1 to 256 bytes, got 0"),
        (long.as_str(), "client_id: expected 1 to 256 bytes, got 257"),
        (
            r#"{"client_id":"a\u0000","capacity":1,"rate_per_sec":1}"#,
            "client_id: expected printable text, got the control character \\u{0}",
        ),
        (
            r#"{"client_id":"a\nb","capacity":1,"rate_per_sec":1}"#,
            "client_id: expected printable text, got the control character \\u{a}",
        ),
        (
            r#"{"client_id":"a\u202eb","capacity":1,"rate_per_sec":1}"#,
            "client_id: expected printable text, got the invisible character \\u{202e}",
        ),
        (
            "{\"client_id\":\"a\0\"}",
            "the body is not valid JSON: control character (\\u0000-\\u001F) found while parsing a string at line 1 column 16",
        ),
        (r#"{"client_id":"a","rate_per_sec":1}"#, "capacity: expected a number, but it is missing"),
        (r#"{"client_id":"a","capacity":"1","rate_per_sec":1}"#, "capacity: expected a number, got text"),
        (
            r#"{"client_id":"a","capacity":0.5,"rate_per_sec":1}"#,
            "capacity: expected a finite number of at least 1, got 0.5",
        ),
        (r#"{"client_id":"a","capacity":1}"#, "rate_per_sec: expected a number, but it is missing"),
        (r#"{"client_id":"a","capacity":1,"rate_per_sec":null}"#, "rate_per_sec: expected a number, got null"),
        (
            r#"{"client_id":"a","capacity":1,"rate_per_sec":-1}"#,
            "rate_per_sec: expected a finite number of at least 0, got -1",
        ),
        (
            r#"{"client_id":"a","capacity":1e400,"rate_per_sec":1}"#,
            "capacity: expected a finite number: number out of range at line 1 column 33",
        ),
        (
            r#"{"client_id":"a","capacity":NaN,"rate_per_sec":1}"#,
            "capacity: expected a finite number: expected value at line 1 column 29",
        ),
        (
            "{\"client_id\":\"capacity\",\n\"capacity\":1,\"rate_per_sec\" : -Infinity}",
            "rate_per_sec: expected a finite number: invalid number at line 2 column 32",
        ),
        (r#"{"capacity":1,"client_id":NaN}"#, "the body is not valid JSON: expected value at line 1 column 27"),
    ];
    for (body, sentence) in table {
        for (method, path) in [("POST", "/limits/create"), ("PUT", "/limits/update")] {
            let answer = json(running.address, method, path, body).await;
            assert_eq!(answer.status, 400, "{body:?}");
            assert_eq!(answer.problem(), sentence, "{body:?}");
        }
    }
    let nobody = get(running.address, "/limits/get").await;
    assert_eq!((nobody.status, nobody.problem().starts_with("client_id: ")), (400, true));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_error_has_its_status() {
    let running = Running::start("").await;
    let at = running.address;
    json(at, "POST", "/limits/create", LIMIT).await;
    let again = json(at, "POST", "/limits/create", LIMIT).await;
    assert_eq!((again.status, again.problem().contains("exists already")), (409, true));
    let unknown = r#"{"client_id":"nobody","capacity":1,"rate_per_sec":1}"#;
    assert_eq!(json(at, "PUT", "/limits/update", unknown).await.status, 404);
    assert_eq!(json(at, "DELETE", "/limits/delete", unknown).await.status, 404);
    for (method, path, allow) in [
        ("GET", "/limits/create", "POST"),
        ("POST", "/limits/get", "GET,HEAD"),
        ("POST", "/limits/update", "PUT"),
        ("PATCH", "/limits/delete", "DELETE"),
    ] {
        let answer = json(at, method, path, "").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{method} {path}");
        answer.problem();
    }
    let nowhere = get(at, "/limits").await;
    assert_eq!((nowhere.status, nowhere.problem()), (404, "nothing is at \"/limits\"; see /docs".into()));
    let form = send(at, "POST /limits/create HTTP/1.1\r\nContent-Type: text/xml", LIMIT.as_bytes()).await;
    assert_eq!((form.status, form.problem().contains("text/xml")), (415, true));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_mebibytes_are_too_large_and_hurt_nobody() {
    let running = Running::start("").await;
    let body = format!(r#"{{"client_id":"{}"}}"#, "x".repeat(8 << 20));
    let answer = json(running.address, "POST", "/limits/create", &body).await;
    assert_eq!((answer.status, answer.problem()), (413, "the body is longer than 1048576 bytes".into()));
    story(running.address).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_members_are_ignored_as_they_always_were() {
    let running = Running::start("").await;
    let body = r#"{"client_id":"a","capacity":1,"rate_per_sec":1,"comment":"x"}"#;
    assert_eq!(json(running.address, "POST", "/limits/create", body).await.status, 201);
    running.stop().await;
}
