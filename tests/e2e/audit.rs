//! Who did what: the audit log of a running `courant up`, its file, its search and what browsers see of it.

use anyhow::{Context as _, ensure};
use courant_proto::v1::{CancelJobRequest, GetJobRequest};
use courant_tests::grpc::accepted;
use courant_tests::http::Web;
use courant_tests::{Up, documents, program, within};
use serde_json::Value;

async fn audit(up: &Up, arguments: &[&str]) -> anyhow::Result<Vec<Value>> {
    let data = up.data_arg()?;
    let fixed = ["admin", "audit", "--json", "--limit", "0", "--data-dir", &data];
    let printed = program::must(&fixed.into_iter().chain(arguments.iter().copied()).collect::<Vec<_>>()).await?;
    printed.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// Asks until an event is there: it is written when its answer has been sent.
async fn event(up: &Up, filter: &str) -> anyhow::Result<Value> {
    within("an audit event", async {
        loop {
            if let Some(event) = audit(up, &["--filter", filter]).await?.into_iter().next() {
                return Ok(event);
            }
        }
    })
    .await
    .with_context(|| filter.to_owned())
}

#[tokio::test]
async fn what_users_and_operators_do_is_written_and_survives_a_crash() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let jobs = up.jobs("alice").await?;
    let (job, _) = accepted(jobs.submit("secret-name.pdf", documents::pages(1)).await?)?;
    let id = job.job_id;
    let (bob, mallory) = (up.jobs("bob").await?, up.token("mallory", &[], courant_tests::up::HOUR)?);
    let refused = bob.client.clone().cancel_job(CancelJobRequest { job_id: id.clone() }).await;
    ensure!(refused.is_err(), "bob cancelled a job of alice's");
    let data = up.data_arg()?;
    let ran = program::run(&["workers", "--data-dir", &data, "--token", &mallory]).await?;
    ensure!(ran.code == 1, "{ran:?}");
    let ran = program::run(&["jobs", "--data-dir", &data, "--token", "not.a.token"]).await?;
    ensure!(ran.code == 1, "{ran:?}");
    let cancel = up.web("alice")?.post(&format!("/v1/jobs/{id}:cancel"), Vec::new()).await?;
    ensure!(cancel.status == 200, "{}", cancel.status);

    let submitted = event(&up, &format!("action = job.submit AND job_id = {id}")).await?;
    ensure!(submitted["actor"] == "alice" && submitted["code"] == "OK", "{submitted}");
    let of_bob = event(&up, "actor = bob AND action = job.cancel").await?;
    ensure!(of_bob["code"] == "NOT_FOUND" && of_bob["job_id"] == id.as_str(), "{of_bob}");
    let of_mallory = event(&up, "actor = mallory AND action = access.refused").await?;
    ensure!(of_mallory["method"] == "courant.v1.AdminService/ListWorkers", "{of_mallory}");
    let nobody = event(&up, "action = token.refused").await?;
    ensure!(nobody.get("actor").is_none() && nobody["address"] == "127.0.0.1", "{nobody}");
    let of_browser = event(&up, "actor = alice AND action = job.cancel AND client_address:*").await?;
    ensure!(of_browser["client_address"] == "127.0.0.1" && of_browser["code"] == "OK", "{of_browser}");
    let by_admin = event(&up, "action = admin.read AND target = ListAuditEvents").await?;
    ensure!(by_admin["roles"] == serde_json::json!(["admin"]), "{by_admin}");

    let up = up.kill_and_restart().await?;
    let again = event(&up, &format!("action = job.submit AND job_id = {id}")).await?;
    ensure!(again == submitted, "{again} was {submitted}");
    let started = audit(&up, &["--filter", "action = server.start"]).await?;
    ensure!(started.len() == 2, "{started:?}");
    lines_fit_the_schema(&up).await
}

/// Every line of the file: by the published schema, numbered without a gap, and without what must not be in it.
async fn lines_fit_the_schema(up: &Up) -> anyhow::Result<()> {
    let schema = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/audit-log.schema.json"))?;
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema)?)?;
    let text = std::fs::read_to_string(format!("{}/audit.jsonl", up.data_arg()?))?;
    let mut last = 0;
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let problems: Vec<String> = schema.iter_errors(&event).map(|error| error.to_string()).collect();
        ensure!(problems.is_empty(), "{line}: {problems:?}");
        let number = event["number"].as_u64().context("a number")?;
        ensure!(number == last + 1, "{number} after {last}");
        last = number;
    }
    ensure!(last > 5, "only {last} lines");
    for secret in ["secret-name", "not.a.token", "eyJ"] {
        ensure!(!text.contains(secret), "{secret} is in the audit log");
    }
    ensure!(!schema.is_valid(&serde_json::json!({"number": 1})), "the schema takes anything");
    Ok(())
}

#[tokio::test]
async fn a_flood_of_one_user_leaves_the_lines_of_another_and_a_count() -> anyhow::Result<()> {
    let flags =
        ["--workers", "0", "--audit-rate-per-user", "5", "--audit-log-bytes", "65536", "--audit-log-files", "2"];
    let up = Up::with(&flags).await?;
    let alice = up.jobs("alice").await?;
    let (job, _) = accepted(alice.submit("one.pdf", documents::pages(1)).await?)?;
    let mallory = up.jobs("mallory").await?.client;
    let calls = (0..2000).map(|_| {
        let mut mallory = mallory.clone();
        async move { mallory.cancel_job(CancelJobRequest { job_id: "J".into() }).await.err() }
    });
    let refused = futures::future::join_all(calls).await;
    ensure!(refused.iter().all(Option::is_some), "a job of nobody was cancelled");
    alice.client.clone().get_job(GetJobRequest { job_id: job.job_id.clone() }).await?;
    event(&up, &format!("actor = alice AND action = job.submit AND job_id = {}", job.job_id)).await?;
    let counted = within("all of the flood to be counted", async {
        loop {
            let events = audit(&up, &["--actor", "mallory"]).await?;
            let counted: u64 = events.iter().map(|event| event["count"].as_u64().unwrap_or(1)).sum();
            if counted >= 2000 {
                return Ok((counted, events.len()));
            }
        }
    })
    .await?;
    ensure!(counted.0 == 2000 && counted.1 < 500, "{counted:?}");
    Ok(())
}

#[tokio::test]
async fn browsers_connections_and_refusals_are_in_the_servers_log() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let refused = Web::new(&up.http, Some("bad.token.here".to_owned())).get("/v1/jobs").await?;
    ensure!(refused.status == 401, "{}", refused.status);
    let token = event(&up, "source = bridge AND action = token.refused").await?;
    ensure!(token["address"] == "127.0.0.1" && token["bridge"].is_string(), "{token}");
    let socket = up.socket("carol").await?;
    let opened = event(&up, "source = bridge AND action = connection.open AND actor = carol").await?;
    drop(socket);
    let closed = event(&up, "source = bridge AND action = connection.close AND actor = carol").await?;
    ensure!(opened["target"] == closed["target"], "{opened} {closed}");
    Ok(())
}
