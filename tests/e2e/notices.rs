//! What people are told, on all their devices, over a `kill -9`.

use anyhow::{Context as _, ensure};
use courant_auth::Role;
use courant_proto::v1::JobState;
use courant_tests::events::poll;
use courant_tests::grpc::accepted;
use courant_tests::up::HOUR;
use courant_tests::{Up, documents, http::Web};
use serde_json::{Value, json};

fn notice(message: &Value) -> &Value {
    &message["notification"]
}

#[tokio::test]
async fn a_finished_job_is_told_kept_and_read_on_all_devices() -> anyhow::Result<()> {
    let up = Up::start().await?;
    let (mut phone, jobs) = (up.socket("alice").await?, up.jobs("alice").await?);
    ensure!(phone.subscribe("notifications", None).await?["mode"] == "snapshot", "not from the start");
    let (job, _) = accepted(jobs.submit("one.pdf", documents::pages(1)).await?)?;
    ensure!(jobs.ended(&job.job_id).await?.state() == JobState::Succeeded, "it failed");
    let told = phone.until(|message| message["type"] == "notification").await?;
    ensure!(notice(&told)["jobId"] == job.job_id.as_str() && told["unread"] == 1, "{told}");
    ensure!(notice(&told)["title"] == "one.pdf succeeded" && notice(&told)["readTime"].is_null(), "{told}");
    let cursor = phone.cursor().context("notices have cursors")?;

    let up = up.kill_and_restart().await?;
    let web = up.web("alice")?;
    // Somebody who was away reads it on the laptop; the phone comes back by its cursor and hears of that alone.
    let listed = web.get("/v1/notifications?unread=true").await?.json()?;
    ensure!(listed["unread"] == 1 && listed["notifications"][0]["id"] == notice(&told)["id"], "{listed}");
    let mut laptop = up.socket("alice").await?;
    let read = laptop.ask(json!({"type": "mark-read", "ids": [notice(&told)["id"]]})).await?;
    ensure!(read["type"] == "ok", "{read}");
    let (messages, next) = poll(&web, "notifications", Some(&cursor)).await?;
    let heard: Vec<_> = messages.iter().filter(|message| message["type"] == "notification").collect();
    ensure!(heard.len() == 1 && heard[0]["unread"] == 0 && !notice(heard[0])["readTime"].is_null(), "{messages:?}");

    // An operator tells everybody; the laptop goes on from where the poll ended.
    ensure!(laptop.subscribe("notifications", next.as_deref()).await?["mode"] == "resumed", "not resumed");
    let root = Web::new(&up.http, Some(up.token("root", &[Role::Admin], HOUR)?));
    let sent =
        root.post_json("/v1/notifications", &json!({"title": "maintenance at noon", "severity": "warning"})).await?;
    ensure!(sent.status == 200, "{sent:?}");
    let told = laptop.until(|message| message["type"] == "notification").await?;
    ensure!(notice(&told)["title"] == "maintenance at noon" && notice(&told)["severity"] == "warning", "{told}");
    let refused = web.post_json("/v1/notifications", &json!({"title": "spam"})).await?;
    ensure!(refused.status == 403 && refused.json()?["code"] == "ROLE_REQUIRED", "{refused:?}");
    Ok(())
}
