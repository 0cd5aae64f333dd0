//! The commands, as a person or a script uses them.

use anyhow::ensure;
use courant_tests::{Up, documents, program};
use serde_json::Value;

/// The arguments every client command needs here.
fn to(up: &Up) -> anyhow::Result<[String; 4]> {
    Ok(["--data-dir".to_owned(), up.data_arg()?, "--user".to_owned(), "alice".to_owned()])
}

fn with<'a>(arguments: &[&'a str], to: &'a [String; 4]) -> Vec<&'a str> {
    arguments.iter().copied().chain(to.iter().map(String::as_str)).collect()
}

#[tokio::test]
async fn submit_watch_list_and_read() -> anyhow::Result<()> {
    let up = Up::start().await?;
    let to = to(&up)?;
    let file = documents::fixture("cc-by-sa-4.0/two-columns.pdf");
    let file = file.to_string_lossy();
    let out = program::must(&with(&["submit", "--watch", "--label", "team=law", &file], &to)).await?;
    let id = out.lines().next().unwrap_or_default().to_owned();
    ensure!(id.len() == 26 && out.contains("100 %  succeeded"), "{out}");

    let listed = program::must(&with(&["jobs"], &to)).await?;
    ensure!(listed.contains(&id) && listed.contains("two-columns.pdf"), "{listed}");
    let json: Value = serde_json::from_str(program::must(&with(&["jobs", "--json"], &to)).await?.trim())?;
    ensure!(json["jobId"] == id.as_str() && json["labels"]["team"] == "law", "{json}");

    let printed = program::must(&with(&["result", &id], &to)).await?;
    ensure!(printed.contains("Two-Column Document"), "{printed:.300}");
    let path = up.scratch().join("result.md");
    program::must(&with(&["result", &id, "-o", &path.to_string_lossy()], &to)).await?;
    ensure!(std::fs::read_to_string(&path)? == printed, "the file differs");
    Ok(())
}

#[tokio::test]
async fn watching_as_json_has_every_event_with_its_place() -> anyhow::Result<()> {
    let up = Up::start().await?;
    let to = to(&up)?;
    let path = up.scratch().join("five.pdf");
    std::fs::write(&path, documents::pages(5))?;
    let out = program::must(&with(&["submit", "--watch", "--json", &path.to_string_lossy()], &to)).await?;
    let lines = out.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    ensure!(lines[0]["job"]["jobId"].is_string() && lines[0]["cursor"].is_string(), "{}", lines[0]);
    let pages = lines.iter().filter(|line| line["type"] == "page-completed");
    ensure!(pages.clone().count() == 5 && pages.clone().all(|page| page["cursor"].is_string()), "{out}");

    // The rest of the story from the cursor of page 3.
    let id = lines[0]["job"]["jobId"].as_str().unwrap_or_default();
    let third = pages.clone().nth(2).and_then(|page| page["cursor"].as_str()).unwrap_or_default();
    let rest = program::must(&with(&["watch", id, "--json", "--after", third], &to)).await?;
    ensure!(rest.matches("page-completed").count() == 2 && rest.contains("job-completed"), "{rest}");
    Ok(())
}

#[tokio::test]
async fn the_queue_is_shown_to_people_and_programs() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let to = to(&up)?;
    let path = up.scratch().join("three.pdf");
    std::fs::write(&path, documents::pages(3))?;
    program::must(&with(&["submit", &path.to_string_lossy()], &to)).await?;
    let table = program::must(&with(&["queue"], &to)).await?;
    ensure!(table.contains("pdf") && table.contains("0 of 0 workers busy"), "{table}");
    ensure!(table.contains("no worker for: pdf"), "{table}");
    let json: Value = serde_json::from_str(program::must(&with(&["queue", "--json"], &to)).await?.trim())?;
    ensure!(json["lanes"][0]["waiting"] == 1 && json["unservedKinds"][0] == "pdf", "{json}");
    Ok(())
}

#[tokio::test]
async fn a_failed_job_is_exit_code_1_and_can_be_retried() -> anyhow::Result<()> {
    let up = Up::start().await?;
    let to = to(&up)?;
    let (good, bad) = (up.scratch().join("good.pdf"), up.scratch().join("bad.pdf"));
    std::fs::write(&good, documents::pages(1))?;
    std::fs::write(&bad, "this is no PDF")?;
    let files = [good.to_string_lossy(), bad.to_string_lossy()];
    let ran = program::run(&with(&["submit", "--watch", &files[0], &files[1]], &to)).await?;
    ensure!(ran.code == 1 && ran.out.contains("NOT_A_PDF") && ran.out.contains("succeeded"), "{ran:?}");
    let id = ran.out.lines().filter(|line| line.len() == 26).nth(1).unwrap_or_default();
    let retried = program::must(&with(&["retry", id, "--json"], &to)).await?;
    // A free worker may have it already.
    let state = &serde_json::from_str::<Value>(&retried)?["state"];
    ensure!(state == "queued" || state == "running", "{retried}");
    let again = program::run(&with(&["watch", id], &to)).await?;
    ensure!(again.code == 1, "{again:?}");
    let refused = program::run(&with(&["cancel", id], &to)).await?;
    ensure!(refused.code == 1 && refused.err.contains("JOB_STATE") && refused.err.lines().count() == 1, "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_submit_outlives_a_crash_of_the_service() -> anyhow::Result<()> {
    let up = Up::start().await?;
    let to = to(&up)?;
    let path = up.scratch().join("long.pdf");
    std::fs::write(&path, documents::pages(300))?;
    let following = program::command(&with(&["submit", "--watch", "--json", &path.to_string_lossy()], &to))?.spawn()?;
    let jobs = up.jobs("alice").await?;
    let id = first_job(&jobs).await?;
    jobs.watch(&id, "").await?.until(|event| event.job.as_ref().is_some_and(|job| job.pages_done >= 5)).await?;
    let _up = up.kill_and_restart().await?;
    let output = following.wait_with_output().await?;
    let out = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "{out} {}", String::from_utf8_lossy(&output.stderr));
    let lines = out.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let mut pages: Vec<_> = lines
        .iter()
        .filter(|line| line["type"] == "page-completed")
        .filter_map(|line| line["page"]["number"].as_u64())
        .collect();
    pages.sort_unstable();
    ensure!(pages == (1..=300).collect::<Vec<_>>(), "pages came as {pages:?}");
    Ok(())
}

/// Waits until somebody has submitted a job.
async fn first_job(jobs: &courant_tests::grpc::Jobs) -> anyhow::Result<String> {
    use courant_proto::v1::{WatchJobsRequest, watch_jobs_response::Step};
    let mut stream = jobs.client.clone().watch_jobs(WatchJobsRequest::default()).await?.into_inner();
    courant_tests::within("a job", async {
        while let Some(message) = stream.message().await? {
            let job = match message.step {
                Some(Step::Snapshot(snapshot)) => snapshot.job,
                Some(Step::Event(event)) => event.job,
                _ => None,
            };
            if let Some(job) = job {
                return Ok(job.job_id);
            }
        }
        anyhow::bail!("the watch ended")
    })
    .await
}

#[tokio::test]
async fn a_token_is_all_that_token_prints() -> anyhow::Result<()> {
    let up = Up::start().await?;
    let data = up.data_arg()?;
    let token = program::must(&["token", "--data-dir", &data, "--sub", "carol", "--role", "admin"]).await?;
    ensure!(token.trim().split('.').count() == 3 && token.trim().lines().count() == 1, "{token}");
    let listed = program::must(&["jobs", "--all", "--server", &up.grpc, "--token", token.trim()]).await?;
    ensure!(listed.starts_with("JOB"), "{listed}");
    let denied = program::run(&["jobs", "--all", "--data-dir", &data]).await?;
    ensure!(denied.code == 1 && denied.err.contains("ROLE_REQUIRED"), "{denied:?}");
    Ok(())
}

#[tokio::test]
async fn without_a_service_there_is_a_clear_word() -> anyhow::Result<()> {
    let none = program::run(&["jobs", "--data-dir", "/nonexistent"]).await?;
    ensure!(none.code == 1 && none.err.contains("courant up") && none.err.lines().count() == 1, "{none:?}");
    let mut up = Up::start().await?;
    let data = up.data_arg()?;
    up.kill().await?;
    let gone = program::run(&["jobs", "--data-dir", &data]).await?;
    ensure!(gone.code == 1 && gone.err.contains("cannot reach") && gone.err.lines().count() == 1, "{gone:?}");
    Ok(())
}

#[tokio::test]
async fn a_batch_is_found_followed_cancelled_and_removed() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let to = to(&up)?;
    let files = [1, 2].map(|pages| {
        let path = up.scratch().join(format!("{pages}.pdf"));
        std::fs::write(&path, documents::pages(pages)).map(|()| path.to_string_lossy().into_owned())
    });
    let [one, two] = files;
    let (one, two) = (one?, two?);
    let ids = program::must(&with(&["submit", "--batch", "monday", "--label", "team=red", &one, &two], &to)).await?;
    let ids: Vec<&str> = ids.lines().collect();
    let json: Value = serde_json::from_str(program::must(&with(&["batch", "monday", "--json"], &to)).await?.trim())?;
    ensure!(json["jobsTotal"] == 2 && json["jobsQueued"] == 2 && json["complete"] == false, "{json}");
    let filter = r#"state = QUEUED AND labels.team = "red" AND filename = "2*""#;
    let found = program::must(&with(&["jobs", "--json", "--filter", filter], &to)).await?;
    ensure!(found.lines().count() == 1 && found.contains(ids[1]), "{found}");
    let wrong = program::run(&with(&["jobs", "--filter", "state = DONE"], &to)).await?;
    ensure!(wrong.code == 1 && wrong.err.contains("at byte 9") && wrong.err.contains("FILTER_INVALID"), "{wrong:?}");
    let early = program::run(&with(&["delete", ids[0]], &to)).await?;
    ensure!(early.code == 1 && early.err.contains("JOB_STATE"), "{early:?}");
    let cancelled = program::must(&with(&["cancel", "--batch", "monday"], &to)).await?;
    ensure!(cancelled.contains("100 %  2 cancelled"), "{cancelled}");
    let followed = program::run(&with(&["batch", "monday", "--watch"], &to)).await?;
    ensure!(followed.code == 1 && followed.out.contains("2 cancelled"), "it ends, and not well: {followed:?}");
    let deleted = program::must(&with(&["delete", ids[0], ids[1]], &to)).await?;
    ensure!(deleted.lines().collect::<Vec<_>>() == ids, "{deleted}");
    ensure!(program::must(&with(&["jobs", "--json"], &to)).await?.is_empty(), "they are gone");
    Ok(())
}
