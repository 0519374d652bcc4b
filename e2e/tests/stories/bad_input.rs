//! What clients of the REST API get wrong is told to them, and harms nobody.

use anyhow::Result;
use e2e::{Database, Setup, http, raw};
use hyper::StatusCode;

on_both_databases!(every_mistake_has_its_answer);

async fn every_mistake_has_its_answer(database: Database) -> Result<()> {
    let deployment = Setup::new(database).data_planes(0).start().await?;
    let plane = &deployment.control_plane;
    let revision = plane.set_limit("alice", 3.0, 0.0).await?;
    let long = format!(r#"{{"client_id":"{}","capacity":1,"rate_per_sec":1}}"#, "x".repeat(257));
    for (body, field) in [
        (r#"{"client_id":"a\u0000b","capacity":1,"rate_per_sec":1}"#, "client_id"),
        (r#"{"client_id":"a\nb","capacity":1,"rate_per_sec":1}"#, "client_id"),
        (r#"{"client_id":"","capacity":1,"rate_per_sec":1}"#, "client_id"),
        (r#"{"client_id":7,"capacity":1,"rate_per_sec":1}"#, "client_id"),
        (long.as_str(), "client_id"),
        (r#"{"capacity":1,"rate_per_sec":1}"#, "client_id"),
        (r#"{"client_id":"bob","rate_per_sec":1}"#, "capacity"),
        (r#"{"client_id":"bob","capacity":0.5,"rate_per_sec":1}"#, "capacity"),
        (r#"{"client_id":"bob","capacity":"ten","rate_per_sec":1}"#, "capacity"),
        (r#"{"client_id":"bob","capacity":1e400,"rate_per_sec":1}"#, ""),
        (r#"{"client_id":"bob","capacity":NaN,"rate_per_sec":1}"#, ""),
        (r#"{"client_id":"bob","capacity":1,"rate_per_sec":-1}"#, "rate_per_sec"),
        (r#"{"client_id":"bob","capacity":1}"#, "rate_per_sec"),
        ("not json", ""),
        ("[]", ""),
    ] {
        let answer = plane.rest("POST", "/limits/create", body).await?;
        let sentence = answer.problem(StatusCode::BAD_REQUEST)?;
        assert!(sentence.contains(field), "{body}: {sentence}");
    }
    let alice = r#"{"client_id":"alice","capacity":1,"rate_per_sec":1}"#;
    let nobody = r#"{"client_id":"nobody","capacity":1,"rate_per_sec":1}"#;
    plane.rest("POST", "/limits/create", alice).await?.problem(StatusCode::CONFLICT)?;
    plane.rest("PUT", "/limits/update", nobody).await?.problem(StatusCode::NOT_FOUND)?;
    plane.rest("DELETE", "/limits/delete?client_id=nobody", "").await?.problem(StatusCode::NOT_FOUND)?;
    plane.rest("GET", "/limits/get", "").await?.problem(StatusCode::BAD_REQUEST)?;
    plane.rest("POST", "/limits/create", "").await?.problem(StatusCode::BAD_REQUEST)?;
    let wrong_method = plane.rest("PATCH", "/limits/create", alice).await?;
    wrong_method.problem(StatusCode::METHOD_NOT_ALLOWED)?;
    assert!(wrong_method.header("allow").contains("POST"));
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let answer = http::send(plane.address(), "POST", "/limits/create", &form, "client_id=bob").await?;
    answer.problem(StatusCode::UNSUPPORTED_MEDIA_TYPE)?;
    assert_eq!(plane.set_limit("alice", 3.0, 0.0).await?, revision, "nothing of it was stored");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_mebibytes_of_json_are_too_much() -> Result<()> {
    let deployment = Setup::new(Database::sqlite()?).data_planes(0).start().await?;
    let body = format!(r#"{{"client_id":"{}"}}"#, "x".repeat(8 << 20));
    let mut raw = raw::Raw::connect(deployment.control_plane.address()).await?;
    raw.send(format!("POST /limits/create HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len())).await?;
    // It may answer and close before it has read all of it.
    let _ = raw.send(&body).await;
    let (head, problem) = raw.answer().await?;
    assert_eq!(head.status(), 413, "{problem}");
    assert_eq!(head.header("content-type"), Some("application/problem+json"));
    assert_eq!(deployment.control_plane.rest("GET", "/limits/get?client_id=a", "").await?.status, 404);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_read_whatever_the_method_and_content_type() -> Result<()> {
    let deployment = Setup::new(Database::sqlite()?).data_planes(0).start().await?;
    let plane = &deployment.control_plane;
    plane.set_limit("123.5.6.7:890", 10.0, 1.0).await?;
    let body = r#"{"client_id":"123.5.6.7:890"}"#;
    for content_type in ["", "Content-Type: application/json\r\n", "Content-Type: application/json; charset=utf-8\r\n"]
    {
        let request = format!(
            "GET /limits/get HTTP/1.1\r\nHost: h\r\n{content_type}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let (head, answer) = raw::exchange(plane.address(), &request).await?;
        assert_eq!(head.status(), 200, "{answer}");
        assert_eq!(answer.trim(), r#"{"client_id":"123.5.6.7:890","capacity":10,"rate_per_sec":1}"#);
    }
    Ok(())
}
