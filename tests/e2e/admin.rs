//! What operators do with `courant admin …`, on the real programs. A second user notices nothing.

use anyhow::{Context as _, ensure};
use courant_proto::v1::{Job, JobState};
use courant_tests::grpc::{Jobs, accepted};
use courant_tests::{Up, documents, program, within};
use serde_json::Value;

async fn admin(up: &Up, arguments: &[&str]) -> anyhow::Result<program::Ran> {
    let data = up.data_arg()?;
    let all: Vec<&str> =
        ["admin"].into_iter().chain(arguments.iter().copied()).chain(["--json", "--data-dir", &data]).collect();
    program::run(&all).await
}

async fn lines(up: &Up, arguments: &[&str]) -> anyhow::Result<Vec<Value>> {
    let ran = admin(up, arguments).await?;
    ensure!(ran.code == 0, "{arguments:?}: {ran:?}");
    ran.out.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

async fn one(up: &Up, arguments: &[&str]) -> anyhow::Result<Value> {
    let mut found = lines(up, arguments).await?;
    ensure!(found.len() == 1, "{arguments:?}: {found:?}");
    found.pop().context("there is one")
}

async fn submit(jobs: &Jobs, name: &str) -> anyhow::Result<Job> {
    Ok(accepted(jobs.submit(name, documents::pages(1)).await?)?.0)
}

fn codes(explained: &Value) -> Vec<&str> {
    let reasons = explained["reasons"].as_array().map(Vec::as_slice).unwrap_or_default();
    reasons.iter().filter_map(|reason| reason["code"].as_str()).collect()
}

#[tokio::test]
async fn a_paused_lane_waits_over_a_restart_while_others_are_served() -> anyhow::Result<()> {
    let up = Up::start().await?;
    let paused = one(&up, &["pause-lane", "normal", "--reason", "scanners are moved"]).await?;
    ensure!(paused["pause"]["reason"] == "scanners are moved", "{paused}");
    let (alice, bob) = (up.jobs("alice").await?, up.jobs("bob").await?);
    let waiting = submit(&alice, "waits.pdf").await?;
    let premium = courant_proto::v1::SubmitJobHeader {
        filename: "premium.pdf".into(),
        lane: courant_proto::v1::Lane::Premium.into(),
        ..Default::default()
    };
    let (served, _) = accepted(bob.submit_with(premium, documents::pages(1)).await?)?;
    ensure!(bob.ended(&served.job_id).await?.state() == JobState::Succeeded, "another lane was held up");
    let explained = one(&up, &["explain", &waiting.job_id]).await?;
    ensure!(codes(&explained).first() == Some(&"LANE_PAUSED"), "{explained}");
    ensure!(
        explained["reasons"][0]["message"].as_str().is_some_and(|m| m.contains("scanners are moved")),
        "{explained}"
    );

    let up = up.kill_and_restart().await?;
    let lanes = lines(&up, &["lanes"]).await?;
    let normal = lanes.iter().find(|lane| lane["lane"] == "normal").context("the lane normal")?;
    ensure!(normal["waiting"] == 1 && normal["pause"]["by"].is_string() && normal["weight"] == 3, "{normal}");
    let alice = up.jobs("alice").await?;
    ensure!(alice.get(&waiting.job_id).await?.state() == JobState::Queued, "it was given out");
    let resumed = one(&up, &["resume-lane", "normal"]).await?;
    ensure!(resumed["pause"].is_null(), "{resumed}");
    ensure!(alice.ended(&waiting.job_id).await?.state() == JobState::Succeeded, "the lane is stuck");
    let changes = lines(&up, &["audit", "--filter", "action = \"lane.*\""]).await?;
    let actions: Vec<_> = changes.iter().filter_map(|event| event["action"].as_str()).collect();
    ensure!(actions == ["lane.resume", "lane.pause"] && changes[0]["target"] == "normal", "{changes:?}");
    Ok(())
}

#[tokio::test]
async fn a_weight_holds_over_a_restart_and_until_it_is_put_back() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let set = one(&up, &["set-lane-weight", "large", "40"]).await?;
    ensure!(set["weight"] == 40 && set["weightChange"]["by"].is_string(), "{set}");
    let up = up.kill_and_restart().await?;
    let weights = async || -> anyhow::Result<Vec<Value>> {
        Ok(lines(&up, &["lanes"]).await?.into_iter().map(|lane| lane["weight"].clone()).collect())
    };
    ensure!(weights().await? == [6, 3, 40], "{:?}", weights().await?);
    // A job of another lane is told why it waits for that one.
    let alice = up.jobs("alice").await?;
    let header = courant_proto::v1::SubmitJobHeader {
        filename: "large.pdf".into(),
        lane: courant_proto::v1::Lane::Large.into(),
        ..Default::default()
    };
    accepted(alice.submit_with(header, documents::pages(1)).await?)?;
    let waits = submit(&alice, "normal.pdf").await?;
    let explained = one(&up, &["explain", &waits.job_id]).await?;
    let reasons = explained["reasons"].as_array().context("reasons")?;
    let other = reasons.iter().find(|reason| reason["code"] == "OTHER_LANES").context("another lane")?;
    let message = other["message"].as_str().context("a message")?;
    ensure!(message.contains("served 40 times to 3 by a weight that"), "{message}");
    for wrong in ["0", "1001", "much"] {
        let ran = admin(&up, &["set-lane-weight", "large", wrong]).await?;
        ensure!(ran.code == 2 && ran.err.contains("1 to 1000, or default"), "{ran:?}");
    }
    let back = one(&up, &["set-lane-weight", "large", "default"]).await?;
    ensure!(back["weight"] == 1 && back["weightChange"].is_null(), "{back}");
    ensure!(weights().await? == [6, 3, 1], "{:?}", weights().await?);
    let changes = lines(&up, &["audit", "--filter", "action = \"lane.*\""]).await?;
    let targets: Vec<_> = changes.iter().filter_map(|event| event["target"].as_str()).collect();
    ensure!(targets == ["large=default", "large=40"] && changes[0]["action"] == "lane.weight", "{changes:?}");
    Ok(())
}

#[tokio::test]
async fn explain_tells_why_a_job_waits_and_who_passed_it() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let alice = up.jobs("alice").await?;
    let first = submit(&alice, "one.pdf").await?;
    let second = submit(&alice, "two.pdf").await?;
    let explained = one(&up, &["explain", &second.job_id]).await?;
    ensure!(codes(&explained) == ["NO_WORKER", "JOBS_AHEAD"] && explained["position"] == 2, "{explained}");
    let waits = explained["waits"].as_array().context("waits")?;
    ensure!(waits.len() == 1 && waits[0]["cause"] == "SUBMITTED" && waits[0]["endTime"].is_null(), "{explained}");
    ensure!(explained["complete"] == true, "{explained}");

    // A worker: the paused lane is passed by a job of another one that came later.
    one(&up, &["pause-lane", "normal"]).await?;
    let bob = up.jobs("bob").await?;
    let header = courant_proto::v1::SubmitJobHeader {
        filename: "later.pdf".into(),
        lane: courant_proto::v1::Lane::Premium.into(),
        ..Default::default()
    };
    let (later, _) = accepted(bob.submit_with(header, documents::pages(1)).await?)?;
    let worker = courant_tests::pdf_worker::PdfWorker::start(&up, "w-1", &["--slots", "1"]).await?;
    ensure!(bob.ended(&later.job_id).await?.state() == JobState::Succeeded, "bob's job failed");
    let explained = one(&up, &["explain", &first.job_id]).await?;
    let passed = &explained["passedBy"][0];
    ensure!(passed["owner"] == "bob" && passed["code"] == "OTHER_LANE" && passed["jobs"] == 1, "{explained}");
    one(&up, &["resume-lane", "normal"]).await?;
    ensure!(alice.ended(&second.job_id).await?.state() == JobState::Succeeded, "alice's job failed");
    let explained = one(&up, &["explain", &second.job_id]).await?;
    ensure!(explained["reasons"] == serde_json::json!([]) && explained["startedBefore"] == 1, "{explained}");
    ensure!(explained["waits"][0]["attempt"] == 1 && explained["waits"][0]["endTime"].is_string(), "{explained}");
    let ran = admin(&up, &["explain", "NOBODYSJOB"]).await?;
    ensure!(ran.code == 1 && ran.err.contains("JOB_NOT_FOUND"), "{ran:?}");
    drop(worker);
    Ok(())
}

#[tokio::test]
async fn jobs_of_any_user_are_cancelled_retried_and_removed_by_filter_within_bounds() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let (alice, bob) = (up.jobs("alice").await?, up.jobs("bob").await?);
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(submit(&alice, &format!("{number}.pdf")).await?.job_id);
    }
    let of_bob = submit(&bob, "bob.pdf").await?;
    let listed = lines(&up, &["jobs", "--owner", "alice"]).await?;
    ensure!(listed.len() == 3, "{listed:?}");
    let filter = "owner = alice AND state = QUEUED";
    let ran = admin(&up, &["cancel-jobs", "--filter", filter, "--limit", "2"]).await?;
    ensure!(ran.code == 1 && ran.err.contains("--limit"), "{ran:?}");
    ensure!(lines(&up, &["cancel-jobs", "--filter", filter, "--dry-run"]).await?.len() == 3, "a dry run");
    ensure!(
        alice.get(&ids[0]).await?.state() == JobState::Queued,
        "more were found than --limit, and one was cancelled"
    );
    ensure!(lines(&up, &["cancel-jobs", "--filter", filter]).await?.len() == 3, "not all cancelled");
    for id in &ids {
        ensure!(alice.get(id).await?.state() == JobState::Cancelled, "{id} goes on");
    }
    ensure!(bob.get(&of_bob.job_id).await?.state() == JobState::Queued, "bob's job was cancelled");
    ensure!(one(&up, &["retry-jobs", &ids[0]]).await?["state"] == "queued", "not retried");
    let removed = lines(&up, &["delete-jobs", "--filter", "owner = alice AND state = CANCELLED"]).await?;
    ensure!(removed.len() == 2 && alice.get(&ids[1]).await.is_err(), "{removed:?}");
    let token = up.token("mallory", &[], courant_tests::up::HOUR)?;
    let ran = admin(&up, &["cancel-jobs", &of_bob.job_id, "--token", &token]).await?;
    ensure!(ran.code == 1 && ran.err.contains("JOB_NOT_FOUND"), "{ran:?}");
    let ran = admin(&up, &["lanes", "--token", &token]).await?;
    ensure!(ran.code == 1 && ran.err.contains("ROLE_REQUIRED"), "{ran:?}");
    let by_filter = lines(&up, &["audit", "--limit", "0", "--filter", "action = job.cancel AND roles:admin"]).await?;
    ensure!(by_filter.len() == 3, "{by_filter:?}");
    Ok(())
}

#[tokio::test]
async fn the_log_is_told_of_and_what_is_damaged_is_found() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "1", "--small-file-bytes", "0"]).await?;
    let alice = up.jobs("alice").await?;
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(submit(&alice, &format!("{number}.pdf")).await?.job_id);
    }
    for id in &ids {
        ensure!(alice.ended(id).await?.state() == JobState::Succeeded, "{id} failed");
    }
    let log = one(&up, &["log"]).await?;
    ensure!(log["engine"] == "sqlite" && log["jobs"] == 3 && log["firstTime"].is_string(), "{log}");
    ensure!(
        log["sizeBytes"].as_i64() > Some(4096) && log["lastRevision"].as_i64() > log["firstRevision"].as_i64(),
        "{log}"
    );
    let good = one(&up, &["verify"]).await?;
    ensure!(good["problems"] == 0 && good["jobs"] == 3 && good["files"].as_i64() >= Some(9), "{good}");
    ensure!(good["entries"].as_i64() > Some(9), "{good}");

    let folder = up.data().join("objects/jobs");
    let file = |id: &str, name: &str| -> anyhow::Result<std::path::PathBuf> {
        let mut found = std::fs::read_dir(folder.join(id))?.flatten().map(|entry| entry.path());
        let named =
            |path: &std::path::PathBuf| path.file_name().is_some_and(|of| of.to_string_lossy().starts_with(name));
        found.find(named).with_context(|| format!("{name} of {id}"))
    };
    let changed = file(&ids[0], "document-")?;
    let mut bytes = std::fs::read(&changed)?;
    bytes[100] ^= 1;
    std::fs::write(&changed, bytes)?;
    std::fs::remove_file(file(&ids[1], "document-")?)?;
    let page = file(&ids[2], "a1")?;
    std::fs::remove_dir_all(page)?;
    let ran = admin(&up, &["verify"]).await?;
    ensure!(ran.code == 1, "{ran:?}");
    let problems: Vec<Value> = ran.out.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let has = |job: &str, file: &str, code: &str| {
        problems
            .iter()
            .any(|p| p["jobId"] == job && p["code"] == code && p["file"].as_str().is_some_and(|f| f.starts_with(file)))
    };
    ensure!(has(&ids[0], "document", "CHANGED"), "{problems:?}");
    ensure!(has(&ids[1], "document", "MISSING"), "{problems:?}");
    ensure!(has(&ids[2], "page 1", "MISSING"), "{problems:?}");
    let of_one = admin(&up, &["verify", "--filter", &format!("job_id = {}", ids[0])]).await?;
    ensure!(of_one.code == 1 && of_one.out.lines().count() == 2, "{of_one:?}");
    Ok(())
}

#[tokio::test]
async fn a_backup_is_made_while_it_runs_and_is_in_the_audit_log() -> anyhow::Result<()> {
    let up = Up::start().await?;
    let alice = up.jobs("alice").await?;
    let job = submit(&alice, "one.pdf").await?;
    ensure!(alice.ended(&job.job_id).await?.state() == JobState::Succeeded, "it failed");
    let home = tempfile::TempDir::with_prefix("courant-backup-")?;
    let to = home.path().join("data");
    let to = to.to_str().context("temporary folders have plain names")?;
    let made = one(&up, &["backup", "--to", to]).await?;
    ensure!(made["jobs"] == 1, "{made}");
    let told = within("the backup to be in the audit log", async {
        loop {
            if let Some(event) = lines(&up, &["audit", "--filter", "action = backup.create"]).await?.pop() {
                return Ok(event);
            }
        }
    });
    let told = told.await?;
    ensure!(told["source"] == "command" && told["target"] == to, "{told}");
    let restored = Up::restored(home, &["--workers", "1"]).await?;
    ensure!(restored.jobs("alice").await?.get(&job.job_id).await?.state() == JobState::Succeeded, "not restored");
    Ok(())
}

#[tokio::test]
async fn connections_are_listed_and_closed_and_topics_counted() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let (mut carol, mut bob) = (up.socket("carol").await?, up.socket("bob").await?);
    carol.subscribe("mine", None).await?;
    bob.subscribe("mine", None).await?;
    let devices = within("carol's device", async {
        loop {
            let found = lines(&up, &["connections", "--owner", "carol"]).await?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
    });
    let devices = devices.await?;
    ensure!(devices.len() == 1 && devices[0]["websockets"] == 1, "{devices:?}");
    within("two connections and their topic", async {
        loop {
            let (bridges, topics) = (lines(&up, &["connections"]).await?, lines(&up, &["topics"]).await?);
            let mine = topics.iter().find(|topic| topic["topic"] == "mine").map(|topic| topic["subscribers"].clone());
            if bridges.len() == 1 && bridges[0]["connections"] == 2 && mine == Some(2.into()) {
                return Ok(());
            }
        }
    })
    .await?;
    let closed = lines(&up, &["close-connections", "carol"]).await?;
    ensure!(closed.len() == 1 && closed[0]["user"] == "carol", "{closed:?}");
    carol.closed().await?;
    bob.ask(serde_json::json!({"type": "ping"})).await?;
    let event = lines(&up, &["audit", "--filter", "action = connection.terminate"]).await?;
    ensure!(event.len() == 1 && event[0]["target"] == "carol", "{event:?}");
    Ok(())
}
