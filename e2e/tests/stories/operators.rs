//! An operator's day: two planes, two data planes, and balancerctl for everything.

use std::fs;

use anyhow::Result;
use balancer_proto::v1::Health;
use e2e::{Backend, Database, Setup, wait};
use serde_json::{Value, json};

on_both_databases!(limits_are_managed);
on_both_databases!(files_go_in_and_out);
on_both_databases!(backends_are_managed);
on_both_databases!(status_shows_every_replica);

async fn limits_are_managed(database: Database) -> Result<()> {
    let deployment = Setup::new(database).start().await?;
    let ctl = deployment.control_plane.ctl();
    ctl.run(&["limits", "set", "alice", "--capacity", "10", "--rate", "0.5"]).await?;
    ctl.run(&["limits", "set", "bob", "--capacity", "2.5", "--rate", "0"]).await?;
    ctl.run(&["limits", "set", "127.0.0.1:80", "--capacity", "7", "--rate", "1"]).await?;
    ctl.run(&["limits", "set", "alice", "--rate", "2"]).await?;
    let alice = json!({"client_id": "alice", "capacity": 10, "rate_per_sec": 2});
    assert_eq!(ctl.json(&["limits", "get", "alice"]).await?, alice);
    let listed = ctl.json(&["limits", "list"]).await?;
    assert_eq!(ids(&listed), ["127.0.0.1:80", "alice", "bob"]);
    assert_eq!(ids(&ctl.json(&["limits", "list", "--prefix", "al"]).await?), ["alice"]);
    ctl.run(&["limits", "delete", "alice"]).await?;
    let gone = ctl.call(&["limits", "get", "alice"]).await?;
    assert_eq!((gone.code, gone.stdout.as_str()), (1, ""));
    assert!(gone.stderr.contains("alice") && gone.stderr.trim_end().lines().count() == 1, "{gone:?}");
    let bad = ctl.call(&["limits", "set", "carol", "--capacity", "0.5", "--rate", "1"]).await?;
    assert_eq!(bad.code, 1);
    assert!(bad.stderr.contains("capacity"), "{bad:?}");
    Ok(())
}

async fn files_go_in_and_out(database: Database) -> Result<()> {
    let deployment = Setup::new(database).start().await?;
    let ctl = deployment.control_plane.ctl();
    let path = |name: &str| deployment.dir.path().join(name).display().to_string();
    let (csv, json, bad) = (path("in.csv"), path("out.json"), path("bad.csv"));
    fs::write(&csv, "client_id,capacity,rate_per_sec\nalice,10,0.5\n\"b,ob\",1,0\n\u{fc}nal,3,1e3\n")?;
    ctl.run(&["limits", "import", &csv]).await?;
    ctl.run(&["limits", "export", &json]).await?;
    let exported: Value = serde_json::from_str(&fs::read_to_string(&json)?)?;
    assert_eq!(ids(&exported), ["alice", "b,ob", "\u{fc}nal"]);
    ctl.run(&["limits", "import", &json]).await?;
    fs::write(&bad, "client_id,capacity,rate_per_sec\ncarol,1,1\ndave,0,1\nerin,1,-1\n")?;
    let refused = ctl.call(&["limits", "import", &bad]).await?;
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("line 3") && refused.stderr.contains("line 4"), "{refused:?}");
    assert_eq!(ids(&ctl.json(&["limits", "list"]).await?), ["alice", "b,ob", "\u{fc}nal"], "nothing half-applied");
    Ok(())
}

async fn backends_are_managed(database: Database) -> Result<()> {
    let deployment = Setup::new(database).backends(1).start().await?;
    let (ctl, added) = (deployment.control_plane.ctl(), Backend::start().await?);
    let (url, from_file) = (added.url(), deployment.backends[0].url());
    ctl.run(&["backends", "add", &url, "--weight", "2"]).await?;
    deployment.backend_is(&url, Health::Healthy).await?;
    let row = async |url: &str| -> Result<Value> {
        let rows = ctl.json(&["backends", "list"]).await?;
        Ok(rows.as_array().and_then(|rows| rows.iter().find(|row| row["url"] == url)).cloned().unwrap_or_default())
    };
    let shown = row(&url).await?;
    assert_eq!((&shown["source"], &shown["weight"], &shown["health"]), (&json!("api"), &json!(2), &json!("healthy")));
    assert_eq!(row(&from_file).await?["source"], "file");
    let serves = async |expected: bool| {
        wait::until_true(&format!("{url} to serve: {expected}"), async || {
            let sample = format!(r#"balancer_backend_takes_requests{{backend="{}"}}"#, added.url());
            let value = deployment.data_planes[0].metric(&sample).await;
            value == Some(f64::from(u8::from(expected))) || (value.is_none() && !expected)
        })
        .await
    };
    serves(true).await?;
    for (command, serving) in
        [("drain", false), ("enable", true), ("disable", false), ("enable", true), ("remove", false)]
    {
        ctl.run(&["backends", command, &url]).await?;
        serves(serving).await?;
    }
    assert_eq!(row(&url).await?, Value::Null);
    let kept = ctl.call(&["backends", "remove", &from_file]).await?;
    assert_eq!(kept.code, 1, "the file decides on its own backends");
    let twice = ctl.call(&["backends", "add", &from_file]).await?;
    assert_eq!(twice.code, 1, "{twice:?}");
    Ok(())
}

async fn status_shows_every_replica(database: Database) -> Result<()> {
    let kind = database.kind();
    let deployment = Setup::new(database).data_planes(2).backends(1).start().await?;
    let revision = deployment.control_plane.set_limit("alice", 3.0, 1.0).await?;
    deployment.arrived(revision).await?;
    let acknowledged = async || {
        let replicas = deployment.control_plane.status().await.ok()?.replicas;
        (replicas.len() == 2 && replicas.iter().all(|r| r.revision == revision)).then_some(())
    };
    wait::until("both replicas to acknowledge", acknowledged).await?;
    let ctl = deployment.control_plane.ctl();
    let status = ctl.json(&["status"]).await?;
    let text = status.to_string();
    assert!(text.contains(kind), "{status:#}");
    assert_eq!(status["revision"], revision, "{status:#}");
    assert_eq!(status["replicas"].as_array().map(Vec::len), Some(2), "{status:#}");
    assert!(ctl.run(&["status"]).await?.contains(&deployment.backends[0].url()));
    Ok(())
}

fn ids(limits: &Value) -> Vec<&str> {
    limits.as_array().into_iter().flatten().filter_map(|limit| limit["client_id"].as_str()).collect()
}
