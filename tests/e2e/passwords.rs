//! Documents that need a password, from the command line and over HTTP, to the real worker.

use anyhow::{Context as _, ensure};
use courant_tests::{Up, documents, program};
use serde_json::Value;

const DOCUMENT: &str = "mit/password-usersecret-aes256.pdf";
const PASSWORD: &str = "usersecret";
const WRONG: &str = "not-that-one";

/// A form with a password and the document.
fn form(password: &str) -> anyhow::Result<Vec<u8>> {
    let mut form = format!(
        "--X\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n{password}\r\n\
         --X\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.pdf\"\r\n\r\n"
    )
    .into_bytes();
    form.extend(documents::fixture_bytes(DOCUMENT)?);
    form.extend(b"\r\n--X--\r\n");
    Ok(form)
}

#[tokio::test]
async fn a_person_gives_it_in_a_file_and_a_retry_corrects_it() -> anyhow::Result<()> {
    let up = Up::start().await?;
    let (data, document) = (up.data_arg()?, documents::fixture(DOCUMENT));
    let (right, wrong) = (up.scratch().join("right"), up.scratch().join("wrong"));
    std::fs::write(&right, format!("{PASSWORD}\n"))?;
    std::fs::write(&wrong, format!("{WRONG}\r\n"))?;
    let (right, wrong, document) = (right.to_string_lossy(), wrong.to_string_lossy(), document.to_string_lossy());
    let to = ["--data-dir", &data, "--user", "alice"];

    let submit = [&["submit", "--watch", "--password-file", &wrong, &document], &to[..]].concat();
    let ran = program::run(&submit).await?;
    ensure!(ran.code == 1 && ran.out.contains("Try the job again with the right one"), "{}{}", ran.out, ran.err);
    let id = ran.out.lines().next().unwrap_or_default();
    program::must(&[&["retry", "--password-file", &right, id], &to[..]].concat()).await?;
    program::must(&[&["watch", id], &to[..]].concat()).await?;
    let text = program::must(&[&["result", id, "--format", "txt"], &to[..]].concat()).await?;
    ensure!(!text.trim().is_empty(), "there is no text");
    let logged = up.logged()?;
    ensure!(!logged.contains(PASSWORD) && !logged.contains(WRONG), "the log has a password");
    Ok(())
}

#[tokio::test]
async fn a_browser_sends_it_in_a_form_and_never_in_an_address() -> anyhow::Result<()> {
    let up = Up::start().await?;
    let (web, jobs) = (up.web("alice")?, up.jobs("alice").await?);
    let refused = web.post(&format!("/v1/jobs?password={PASSWORD}"), documents::fixture_bytes(DOCUMENT)?).await?;
    ensure!(refused.status == 400 && !refused.body.contains(PASSWORD), "{}", refused.body);

    let answer = web.post_as("/v1/jobs", "multipart/form-data; boundary=X", form(WRONG)?).await?.json()?;
    let id = answer["job"]["jobId"].as_str().context("no job")?.to_owned();
    let code = |job: courant_proto::v1::Job| job.error.map(|error| error.code).unwrap_or_default();
    ensure!(code(jobs.ended(&id).await?) == "WRONG_PASSWORD");
    let retry = format!("/v1/jobs/{id}:retry");
    web.post_as(&retry, "application/json", vec![]).await?;
    ensure!(code(jobs.ended(&id).await?) == "PASSWORD_REQUIRED", "the first one was not kept");
    let senseless = web.post_as(&retry, "application/json", b"{\"passwort\": \"geheim\"}".to_vec()).await?;
    ensure!(senseless.status == 400 && !senseless.body.contains("geheim"), "{}", senseless.body);
    let body = serde_json::json!({ "password": PASSWORD }).to_string();
    let retried: Value = web.post_as(&retry, "application/json", body.into()).await?.json()?;
    ensure!(retried["job"]["state"] == "queued" && !retried.to_string().contains(PASSWORD), "{retried}");
    let ended = jobs.ended(&id).await?;
    ensure!(ended.error.is_none() && ended.pages_done > 0, "{:?}", ended.error);
    ensure!(!up.logged()?.contains(PASSWORD), "the log has the password");
    Ok(())
}
