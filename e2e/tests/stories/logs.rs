//! Logs say what happened, and nothing that must not be said.

use anyhow::Result;
use e2e::{Database, Deployment, Setup, http};

const TOKEN: &str = "tok-6f1c9e2b-secret";
const KEY: &str = "key-93ab77d0-secret";

/// Uses the token and an API key everywhere they can be used, rightly and wrongly.
async fn use_secrets(deployment: &Deployment) -> Result<()> {
    let (plane, proxy) = (&deployment.control_plane, deployment.data_plane()?.proxy());
    deployment.set_limit(KEY, 2.0, 0.0).await?;
    for _ in 0..3 {
        http::send(proxy, "GET", &format!("/?key={KEY}"), &[("x-api-key", KEY), ("authorization", TOKEN)], "").await?;
    }
    for target in ["/limits/get", "/metrics"] {
        assert_eq!(http::get(plane.address(), target).await?.status, 401, "{target}");
        let wrong = http::send(plane.address(), "GET", target, &[("authorization", "Bearer wrong")], "").await?;
        assert!(matches!(wrong.status, 401 | 403), "{target}: {}", wrong.status);
        assert!(!wrong.text().contains(TOKEN));
    }
    let duplicate = serde_json::json!({"client_id": KEY, "capacity": 1, "rate_per_sec": 1}).to_string();
    assert_eq!(plane.rest("POST", "/limits/create", &duplicate).await?.status, 409);
    let ctl = plane.ctl();
    ctl.run(&["limits", "set", KEY, "--capacity", "5", "--rate", "1"]).await?;
    ctl.run(&["status"]).await?;
    let stranger = e2e::Ctl::new(&plane.endpoint(), Some("wrong-token")).call(&["limits", "get", KEY]).await?;
    assert_eq!(stranger.code, 1);
    assert!(stranger.stderr.contains("BALANCER_TOKEN"), "{stranger:?}");
    ctl.run(&["limits", "delete", KEY]).await?;
    deployment.settled().await
}

fn lines(deployment: &Deployment) -> Vec<String> {
    let planes = deployment.data_planes.iter().map(|plane| &plane.process).chain([&deployment.control_plane.process]);
    planes.flat_map(|process| process.logs()).collect()
}

on_both_databases!(no_token_and_no_key);

async fn no_token_and_no_key(database: Database) -> Result<()> {
    let setup = Setup::new(database).backends(1).data_planes(2).token(TOKEN);
    let deployment = setup.data_plane_arg("--access-log=on").data_plane_arg("--log-level=debug").start().await?;
    use_secrets(&deployment).await?;
    let lines = lines(&deployment);
    assert!(lines.len() > 5);
    for line in lines {
        assert!(!line.contains(TOKEN) && !line.contains(KEY), "{line}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_line_per_request_if_asked_for() -> Result<()> {
    for (flag, expected) in [("--access-log=off", 0), ("--access-log=on", 3)] {
        let mut deployment = Setup::new(Database::sqlite()?).backends(1).data_plane_arg(flag).start().await?;
        for number in 0..3 {
            http::get(deployment.data_plane()?.proxy(), &format!("/access-{number}")).await?;
        }
        deployment.data_planes[0].process.sigterm()?;
        assert_eq!(deployment.data_planes[0].process.exit_code().await?, 0);
        let logs = deployment.data_planes[0].process.logs();
        let lines: Vec<_> = logs.iter().filter(|line| line.contains("/access-")).collect();
        assert_eq!(lines.len(), expected, "{logs:#?}");
        for line in lines {
            let event: serde_json::Value = serde_json::from_str(line)?;
            assert_eq!((&event["method"], &event["status"]), (&"GET".into(), &200.into()), "{line}");
        }
    }
    Ok(())
}
