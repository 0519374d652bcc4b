//! Limits count for all data planes together: of a client with capacity C and rate r, three of them admit what one bucket
//! would. Each story counts what was admitted and compares it with C + r x T, where T is at least the time it took.

mod demand;

use std::time::Duration;

use anyhow::Result;
use e2e::{DataPlane, Database, Deployment, Setup, wait};

use demand::{Demand, Outcome, once, rounds};

async fn three() -> Result<Deployment> {
    Setup::new(Database::sqlite()?).backends(1).data_planes(3).start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_that_never_refills_is_exact_over_all_three() -> Result<()> {
    let deployment = three().await?;
    deployment.set_limit("alice", 60.0, 0.0).await?;
    let mut admitted = 0;
    wait::until_true("all of the burst to be used", async || {
        admitted += rounds(&deployment.data_planes, "alice", 20).await.admitted;
        admitted >= 60
    })
    .await?;
    admitted += rounds(&deployment.data_planes, "alice", 30).await.whole()?;
    println!("burst only: admitted {admitted} of 60");
    assert_eq!(admitted, 60);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_data_plane_gets_the_whole_burst_at_once() -> Result<()> {
    let deployment = three().await?;
    deployment.set_limit("alice", 100.0, 0.0).await?;
    let mut admitted = 0;
    for _ in 0..110 {
        admitted += once(&deployment.data_planes[1], "alice").await?;
    }
    println!("single data plane: admitted {admitted} of 100");
    assert_eq!(admitted, 100);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scope_local_is_a_limit_for_each() -> Result<()> {
    let setup = Setup::new(Database::sqlite()?).backends(1).data_planes(3);
    let deployment = setup.config_line("limits: { scope: local }").start().await?;
    deployment.set_limit("alice", 5.0, 0.0).await?;
    let admitted = rounds(&deployment.data_planes, "alice", 10).await.whole()?;
    println!("scope local: admitted {admitted} of 3 x 5");
    assert_eq!(admitted, 15);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scope_can_be_changed_while_everything_runs() -> Result<()> {
    let mut deployment = three().await?;
    deployment.set_limit("alice", 6.0, 0.0).await?;
    assert_eq!(once(&deployment.data_planes[0], "alice").await?, 1);
    for (scope, valid, client, capacity) in
        [("local", 0.0, "bob", 18), ("global", 1.0, "carol", 6), ("local", 0.0, "dora", 18)]
    {
        deployment.config.more = format!("limits: {{ scope: {scope} }}\n");
        deployment.config.write(deployment.dir.path())?;
        deployment.control_plane.process.sighup()?;
        for plane in &deployment.data_planes {
            let settled = async || plane.metric("balancer_lease_valid").await == Some(valid);
            wait::until_true("the scope to be another", settled).await?;
        }
        deployment.set_limit(client, 6.0, 0.0).await?;
        let mut admitted = 0;
        wait::until_true("all of the burst to be used", async || {
            admitted += rounds(&deployment.data_planes, client, 8).await.admitted;
            admitted >= capacity
        })
        .await?;
        admitted += rounds(&deployment.data_planes, client, 8).await.whole()?;
        println!("scope {scope}: admitted {admitted} of {capacity}");
        assert_eq!(admitted, capacity, "{scope}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_demand_is_spread_the_limit_holds_and_can_be_used() -> Result<()> {
    let deployment = three().await?;
    for client in ["even", "random", "skewed", "moving"] {
        deployment.set_limit(client, 20.0, 30.0).await?;
    }
    deployment.set_limit("tiny", 5.0, 0.5).await?;
    let run = |client: &'static str, choose: fn(Duration, u64) -> usize| {
        Demand::start(&deployment.data_planes, client, choose).lasting(Duration::from_secs(12))
    };
    let skewed = |_, turn: u64| if turn.is_multiple_of(10) { 1 + turn as usize / 10 % 2 } else { 0 };
    let (even, random, skewed, moving, tiny) = tokio::join!(
        run("even", |_, turn| turn as usize % 3),
        run("random", |_, _| fastrand::usize(0..3)),
        run("skewed", skewed),
        run("moving", |since, _| since.as_secs() as usize / 2 % 3),
        run("tiny", |_, turn| turn as usize % 3),
    );
    for outcome in [even?, random?, skewed?, moving?] {
        outcome.assert_within(20.0, 30.0, 0.9);
    }
    tiny?.assert_within(5.0, 0.5, 0.9);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_plane_is_killed() -> Result<()> {
    let mut deployment = three().await?;
    deployment.set_limit("alice", 20.0, 30.0).await?;
    let demand = Demand::start(&deployment.data_planes, "alice", |_, turn| turn as usize % 3);
    demand.proceed(200).await?;
    deployment.data_planes[0].process.kill9()?;
    let outcome = demand.lasting(Duration::from_secs(12)).await?;
    // What it held is lost, and for the time of a lease nobody knows that it is gone.
    outcome.assert_within(20.0, 30.0, 0.5);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_plane_is_added() -> Result<()> {
    let mut deployment = three().await?;
    deployment.set_limit("alice", 20.0, 30.0).await?;
    let before = Demand::start(&deployment.data_planes, "alice", |_, turn| turn as usize % 3);
    before.proceed(200).await?;
    let program = DataPlane::program(&[deployment.control_plane.endpoint()], &deployment.state_dir(3), None);
    deployment.data_planes.push(DataPlane::start(program).await?);
    deployment.data_planes[3].ready().await?;
    let after = Demand::start(&deployment.data_planes[3..], "alice", |_, _| 0);
    let lasts = Duration::from_secs(8);
    let (before, after) = tokio::join!(before.lasting(lasts), after.lasting(lasts));
    let (before, after) = (before?, after?);
    assert!(after.admitted > 0, "the new one gets its part");
    before.and(&after).assert_within(20.0, 30.0, 0.8);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_control_plane_is_killed_and_comes_back() -> Result<()> {
    let mut deployment = three().await?;
    deployment.set_limit("alice", 20.0, 30.0).await?;
    let demand = Demand::start(&deployment.data_planes, "alice", |_, turn| turn as usize % 3);
    demand.proceed(200).await?;
    deployment.control_plane.process.kill9()?;
    let plane = &deployment.data_planes[0];
    let alone = async || plane.metric("balancer_lease_alone_seconds_total").await >= Some(4.0);
    wait::until_true("the leases to end, and the data planes to go by their shares", alone).await?;
    let before = demand.admitted();
    demand.proceed(200).await?;
    assert!(demand.admitted() > before, "the shares are refilled");
    deployment.control_plane.start_again().await?;
    for plane in &deployment.data_planes {
        wait::until_true("a lease", async || plane.metric("balancer_lease_valid").await == Some(1.0)).await?;
    }
    let outcome = demand.lasting(Duration::from_secs(5)).await?;
    outcome.assert_within(20.0, 30.0, 0.5);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_three_are_replaced_in_turn_and_ten_per_hour_stay_ten() -> Result<()> {
    let mut deployment = three().await?;
    deployment.set_limit("alice", 10.0, 10.0 / 3600.0).await?;
    let start = std::time::Instant::now();
    let mut admitted = once(&deployment.data_planes[0], "alice").await?;
    for index in 0..3 {
        admitted += once(&deployment.data_planes[index], "alice").await?;
        deployment.data_planes[index].process.sigterm()?;
        assert_eq!(deployment.data_planes[index].process.exit_code().await?, 0);
        deployment.data_planes[index].start_again().await?;
        deployment.data_planes[index].ready().await?;
        deployment.settled().await?;
        admitted += once(&deployment.data_planes[index], "alice").await?;
    }
    wait::until_true("all ten to be used", async || {
        admitted += rounds(&deployment.data_planes, "alice", 2).await.admitted;
        admitted >= 10
    })
    .await?;
    admitted += rounds(&deployment.data_planes, "alice", 10).await.whole()?;
    println!("rolling replacement: admitted {admitted} of 10 in {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(360), "the eleventh is due after six minutes");
    assert_eq!(admitted, 10);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_data_planes_of_one_name_share_limits_under_two() -> Result<()> {
    let deployment =
        Setup::new(Database::sqlite()?).backends(1).data_planes(3).data_plane_arg("--replica-id=twin").start().await?;
    deployment.set_limit("alice", 30.0, 0.0).await?;
    let mut warned = 0;
    for plane in &deployment.data_planes {
        wait::until_true("a lease", async || plane.metric("balancer_lease_valid").await == Some(1.0)).await?;
        warned += plane.process.logs().iter().filter(|line| line.contains("takes a new one")).count();
    }
    assert_eq!(warned, 2, "the second and the third are told");
    wait::until_true("each to be shown under its own name", async || {
        let Ok(status) = deployment.control_plane.status().await else { return false };
        let mut shown: Vec<_> = status.replicas.into_iter().map(|replica| replica.replica_id).collect();
        let mut leased: Vec<_> =
            status.ledger.into_iter().flat_map(|ledger| ledger.members).map(|m| m.replica_id).collect();
        shown.sort();
        leased.sort();
        shown.dedup();
        shown.len() == 3 && shown == leased && shown[0] == "twin"
    })
    .await?;
    let mut admitted = 0;
    wait::until_true("all of the burst to be used", async || {
        admitted += rounds(&deployment.data_planes, "alice", 10).await.admitted;
        admitted >= 30
    })
    .await?;
    admitted += rounds(&deployment.data_planes, "alice", 15).await.whole()?;
    assert_eq!(admitted, 30);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_flood_asks_nobody() -> Result<()> {
    let deployment = three().await?;
    deployment.set_limit("alice", 1.0, 0.0).await?;
    // All three want the one token at once: it may be on its way between them for a moment.
    let used = async || rounds(&deployment.data_planes, "alice", 2).await.whole().is_ok_and(|admitted| admitted == 1);
    wait::until_true("the one token to be used", used).await?;
    let asks = async || {
        let mut asks = 0.0;
        for plane in &deployment.data_planes {
            asks += plane.metric("balancer_lease_asks_total").await.unwrap_or_default();
        }
        asks
    };
    let before = asks().await;
    let outcome: Outcome = Demand::start(&deployment.data_planes, "alice", |_, turn| turn as usize % 3)
        .lasting(Duration::from_secs(4))
        .await?;
    let asked = asks().await - before;
    println!("{asked} asks for {} refused requests", outcome.requests);
    assert_eq!(outcome.admitted, 0);
    // One look per half a second for each data plane at most.
    assert!(asked <= 3.0 * 2.0 * (outcome.took.as_secs_f64() + 1.0), "{asked}");
    Ok(())
}
