//! A client of the HTTP face: it submits a document, asks for the job until it has ended, and looks at its list.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::time::Instant;

use super::Client;
use super::tally::Wait;
use crate::documents;
use crate::http::{Answer, Web};

/// Between two looks at a job.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Before a request that failed is repeated.
const REPEAT_AFTER: Duration = Duration::from_millis(100);
/// An answer that does not come within this time never does.
const GIVE_UP: Duration = Duration::from_secs(60);

pub(super) async fn work(client: Client) -> anyhow::Result<()> {
    let (mut web, mut round) = (Web::new(&client.http, Some(client.token.clone())), 0);
    while !client.stop.is_cancelled() {
        round += 1;
        if round % 2 == 0 {
            // Every other round on a new connection.
            web = Web::new(&client.http, Some(client.token.clone()));
        }
        let path = format!("/v1/jobs?name=page.pdf&requestId=http-{}-{round}", client.number);
        let submitted = until_answered(&client, "POST /v1/jobs", || web.post(&path, documents::pages(2))).await?;
        let id = submitted["job"]["jobId"].as_str().context("a job")?.to_owned();
        client.tally.submitted(id.clone());
        loop {
            let path = format!("/v1/jobs/{id}");
            let job = until_answered(&client, "GET /v1/jobs/ID", || web.get(&path)).await?;
            if job["job"]["endTime"].is_string() {
                ensure!(job["job"]["status"] == "completed", "a job did not succeed: {}", job["job"]);
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        until_answered(&client, "GET /v1/jobs", || web.get("/v1/jobs?pageSize=5")).await?;
        let path = format!("/v1/jobs/{id}/results/txt");
        until_answered_with(&client, "GET …/results/txt", || web.get(&path)).await?;
    }
    Ok(())
}

async fn until_answered<F>(client: &Client, what: &str, ask: impl FnMut() -> F) -> anyhow::Result<Value>
where
    F: Future<Output = anyhow::Result<Answer>>,
{
    until_answered_with(client, what, ask).await?.json()
}

/// Asks until there is an answer that is no error.
async fn until_answered_with<F>(client: &Client, what: &str, mut ask: impl FnMut() -> F) -> anyhow::Result<Answer>
where
    F: Future<Output = anyhow::Result<Answer>>,
{
    let began = Instant::now();
    loop {
        match ask().await {
            Ok(answer) if answer.status < 300 => {
                client.tally.waited(Wait::Http, began.elapsed(), || what.to_owned());
                return Ok(answer);
            }
            Ok(answer) => {
                let body: String = answer.body.chars().take(200).collect();
                client.tally.failed(format!("{what}: {} {body}", answer.status));
                ensure!(answer.status >= 500, "{what}: {} {body}", answer.status);
            }
            Err(error) => client.tally.failed(format!("{what}: {error:#}")),
        }
        ensure!(began.elapsed() < GIVE_UP, "{what}: no answer within {GIVE_UP:?}");
        tokio::time::sleep(REPEAT_AFTER).await;
    }
}
