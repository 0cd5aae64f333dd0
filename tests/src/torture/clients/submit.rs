//! Somebody who submits, and asks again until there is an answer.

use std::sync::Arc;
use std::time::Duration;

use courant_proto::v1::submit_job_request::Part;
use courant_proto::v1::{ResultFormat, SubmitJobHeader, SubmitJobRequest};
use courant_runtime::hex;
use fastrand::Rng;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};

use super::super::fact::KIND;
use super::super::record::{Outcome, Record, RecordWriter, Via};
use super::grpc::{CALL, Grpc, reason, timely};
use super::{BATCHES, OwnJob, User, World, outcome};
use crate::documents;

/// One of so many jobs is a PDF for the real pipeline.
const PDF_EVERY: u32 = 14;
/// How often an answer is asked for.
const TRIES: u32 = 400;

pub struct Submitter {
    world: Arc<World>,
    user: Arc<User>,
    via: Via,
    rng: Rng,
    writer: RecordWriter,
    name: String,
    grpc: Grpc,
    web: reqwest::Client,
}

struct Submission {
    request: String,
    filename: String,
    kind: &'static str,
    document: String,
    batch: String,
    formats: Vec<ResultFormat>,
    /// Seconds without a watcher after which it is cancelled.
    unwatched: Option<i64>,
    bytes: Vec<u8>,
}

impl Submitter {
    /// Somebody who submits this way.
    pub fn new(world: &Arc<World>, user: &Arc<User>, via: Via) -> anyhow::Result<Self> {
        let name = format!("submit-{}-{via:?}", user.name).to_lowercase();
        Ok(Self {
            rng: super::super::plan::rng(world.seed, &name),
            writer: world.folder.writer(&name)?,
            grpc: Grpc::new(&world.grpc, user)?,
            web: reqwest::Client::builder().timeout(CALL).build()?,
            world: world.clone(),
            user: user.clone(),
            via,
            name,
        })
    }

    /// Submits until it is calm.
    pub async fn run(mut self) {
        let mut number = 0;
        while !self.world.calm.is_cancelled() {
            number += 1;
            let submission = self.next_submission(number);
            let mine = self.insist(&submission).await;
            match self.rng.u32(0..20) {
                // Asked again after the answer was heard: the same job.
                0 => drop(self.insist(&submission).await),
                1 => self.misuse(&submission).await,
                _ => {}
            }
            if let Some(mine) = mine {
                self.user.add(OwnJob { since: Instant::now(), ..mine });
            }
            let calm = self.world.calm.clone();
            tokio::select! {
                () = sleep(Duration::from_millis(self.rng.u64(50..1_400))) => {}
                () = calm.cancelled() => {}
            }
        }
    }

    fn next_submission(&mut self, number: u32) -> Submission {
        let rng = &mut self.rng;
        let filename = format!("{}-{number}", self.name);
        let pdf = rng.u32(0..PDF_EVERY) == 0;
        let bytes = if pdf {
            documents::pages(rng.usize(1..16))
        } else {
            let size = rng.usize(1..3_000);
            std::iter::repeat_with(|| rng.u8(..)).take(size).collect()
        };
        let all = [ResultFormat::Json, ResultFormat::Markdown, ResultFormat::Text, ResultFormat::Html];
        let first = rng.usize(0..all.len());
        Submission {
            request: format!("request {filename}"),
            filename,
            kind: if pdf { "pdf" } else { KIND },
            // All users have documents and batches of the same names: they must not meet.
            document: format!("d{}", rng.u32(0..3)),
            batch: if rng.bool() { BATCHES[rng.usize(0..2)].to_owned() } else { String::new() },
            unwatched: (rng.u32(0..15) == 0).then(|| rng.i64(1..5)),
            formats: all[first..(first + rng.usize(1..3)).min(all.len())].to_vec(),
            bytes,
        }
    }

    /// Asks until there is an answer.
    async fn insist(&mut self, submission: &Submission) -> Option<OwnJob> {
        for _ in 0..TRIES {
            let answer = self.submit(submission, &submission.bytes).await;
            let (outcome, mine) = match answer {
                Ok(mine) => (Outcome::Done, Some(mine)),
                Err(code) => (outcome(&code), None),
            };
            let job = mine.as_ref().map(|mine| mine.job.clone()).unwrap_or_default();
            let (user, request) = (self.user.name.clone(), submission.request.clone());
            let sha = hex(&Sha256::digest(&submission.bytes));
            self.writer.write(Record::Submit { user, request, via: self.via, outcome, job, sha });
            if mine.is_some() {
                return mine;
            }
            sleep(Duration::from_millis(self.rng.u64(20..400))).await;
            if self.world.over.is_cancelled() {
                break;
            }
        }
        None
    }

    async fn misuse(&mut self, submission: &Submission) {
        let other = [submission.bytes.as_slice(), b"!"].concat();
        let outcome = match self.submit(submission, &other).await {
            Ok(_) => Outcome::Done,
            Err(code) => outcome(&code),
        };
        let (user, request) = (self.user.name.clone(), submission.request.clone());
        self.writer.write(Record::Misused { user, request, outcome });
    }

    async fn submit(&self, submission: &Submission, bytes: &[u8]) -> Result<OwnJob, String> {
        let (job, cursor) = match self.via {
            Via::Grpc => self.over_grpc(submission, bytes).await?,
            Via::Http | Via::Ws | Via::Sse | Via::Poll => self.over_http(submission, bytes).await?,
        };
        Ok(OwnJob {
            job,
            cursor,
            document: submission.document.clone(),
            batch: submission.batch.clone(),
            since: Instant::now(),
        })
    }

    async fn over_grpc(&self, submission: &Submission, bytes: &[u8]) -> Result<(String, String), String> {
        let header = SubmitJobHeader {
            request_id: submission.request.clone(),
            filename: submission.filename.clone(),
            kind: submission.kind.to_owned(),
            document_id: submission.document.clone(),
            batch_id: submission.batch.clone(),
            formats: submission.formats.iter().map(|format| (*format).into()).collect(),
            cancel_when_unwatched: submission.unwatched.map(|seconds| prost_types::Duration { seconds, nanos: 0 }),
            document_bytes: i64::try_from(bytes.len()).unwrap_or(0),
            ..SubmitJobHeader::default()
        };
        let chunks = bytes.chunks(1000).map(|chunk| Part::Chunk(chunk.to_vec().into()));
        let parts: Vec<_> = [Part::Header(header)].into_iter().chain(chunks).collect();
        let messages = tokio_stream::iter(parts.into_iter().map(|part| SubmitJobRequest { part: Some(part) }));
        let answer = timely(async { self.grpc.client().submit_job(self.grpc.with(messages)).await }).await;
        let answer = answer.map_err(|status| reason(&status))?.into_inner();
        Ok((answer.job.map(|job| job.job_id).unwrap_or_default(), answer.cursor))
    }

    async fn over_http(&self, submission: &Submission, bytes: &[u8]) -> Result<(String, String), String> {
        let formats: Vec<_> = submission.formats.iter().map(|format| super::super::fact::format(*format)).collect();
        let mut url =
            reqwest::Url::parse(&format!("http://{}/v1/jobs", self.world.http.any())).map_err(|_| String::new())?;
        url.query_pairs_mut()
            .append_pair("requestId", &submission.request)
            .append_pair("name", &submission.filename)
            .append_pair("kind", submission.kind)
            .append_pair("documentId", &submission.document)
            .append_pair("formats", &formats.join(","));
        if !submission.batch.is_empty() {
            url.query_pairs_mut().append_pair("batchId", &submission.batch);
        }
        let request = self.web.post(url).bearer_auth(&self.user.token).header("content-type", "application/pdf");
        let answer = request.body(bytes.to_vec()).send().await.map_err(|_| String::new())?;
        let body: Value = answer.json().await.map_err(|_| String::new())?;
        match (body["job"]["jobId"].as_str(), body["cursor"].as_str(), body["code"].as_str()) {
            (Some(job), Some(cursor), _) => Ok((job.to_owned(), cursor.to_owned())),
            (_, _, code) => Err(code.unwrap_or_default().to_owned()),
        }
    }
}
