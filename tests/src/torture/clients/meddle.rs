//! Somebody who reads, lists, cancels and retries jobs, and tries strangers' jobs too.

use std::sync::Arc;
use std::time::Duration;

use courant_proto::v1::{
    CancelBatchRequest, CancelJobRequest, DeleteJobRequest, GetJobRequest, Job, ListJobsRequest, ReadResultRequest,
    RetryJobRequest, WatchJobRequest,
};
use fastrand::Rng;
use serde_json::Value;
use tokio::time::sleep;

use super::super::fact::{self, Fact};
use super::super::record::{Outcome, Record, RecordWriter, Via};
use super::grpc::{CALL, Grpc, reason, timely};
use super::{User, World, outcome};

/// Only jobs that old are removed: nothing that was said about them is under way any more.
const SETTLED: Duration = Duration::from_secs(20);

pub struct Meddler {
    world: Arc<World>,
    user: Arc<User>,
    rng: Rng,
    writer: RecordWriter,
    grpc: Grpc,
    web: reqwest::Client,
}

impl Meddler {
    /// Somebody who meddles with the jobs of this user.
    pub fn new(world: &Arc<World>, user: &Arc<User>) -> anyhow::Result<Self> {
        let name = format!("meddle-{}", user.name);
        Ok(Self {
            rng: super::super::plan::rng(world.seed, &name),
            writer: world.folder.writer(&name)?,
            grpc: Grpc::new(&world.grpc, user)?,
            web: reqwest::Client::builder().timeout(CALL).build()?,
            world: world.clone(),
            user: user.clone(),
        })
    }

    /// Meddles until it is calm.
    pub async fn run(mut self) {
        while !self.world.calm.is_cancelled() {
            if let Some(mine) = self.user.any(&mut self.rng) {
                match self.rng.u32(0..14) {
                    0..3 => self.get(&mine.job).await,
                    3..5 => self.over_http("GET", &format!("/v1/jobs/{}", mine.job), "get").await,
                    5 => self.list().await,
                    6 => self.over_http("GET", "/v1/jobs?pageSize=20", "list").await,
                    7 => self.cancel(&mine.job).await,
                    8 => self.over_http("POST", &format!("/v1/jobs/{}:cancel", mine.job), "cancel").await,
                    9 => self.retry(&mine.job).await,
                    10 if mine.since.elapsed() > SETTLED => self.delete(&mine.job).await,
                    11 if self.rng.u32(0..6) == 0 => self.cancel_batch(&mine.batch).await,
                    _ => self.probe().await,
                }
            }
            sleep(Duration::from_millis(self.rng.u64(30..900))).await;
        }
    }

    fn read(&self, call: &str, via: Via, server: Option<usize>, fact: Fact) {
        self.writer.write(Record::Read { user: self.user.name.clone(), via, call: call.to_owned(), server, fact });
    }

    fn answered(&self, call: &str, server: usize, job: Option<Job>) {
        if let Some(job) = job {
            self.read(call, Via::Grpc, Some(server), fact::of_job(&job));
        }
    }

    async fn get(&self, job: &str) {
        let server = self.grpc.turn();
        let request = GetJobRequest { job_id: job.to_owned() };
        if let Ok(answer) = timely(async { self.grpc.client_of(server).get_job(self.grpc.with(request)).await }).await {
            self.answered("get", server, answer.into_inner().job);
        }
    }

    async fn cancel(&self, job: &str) {
        let server = self.grpc.turn();
        let request = CancelJobRequest { job_id: job.to_owned() };
        if let Ok(answer) =
            timely(async { self.grpc.client_of(server).cancel_job(self.grpc.with(request)).await }).await
        {
            self.answered("cancel", server, answer.into_inner().job);
        }
    }

    async fn retry(&self, job: &str) {
        let server = self.grpc.turn();
        let request = RetryJobRequest { job_id: job.to_owned(), password: None };
        if let Ok(answer) = timely(async { self.grpc.client_of(server).retry_job(self.grpc.with(request)).await }).await
        {
            self.answered("retry", server, answer.into_inner().job);
        }
    }

    async fn delete(&self, job: &str) {
        // Known before it is asked for: nobody is to look for it at the end.
        self.user.deleted.lock().insert(job.to_owned());
        let request = DeleteJobRequest { job_id: job.to_owned() };
        let answer = timely(async { self.grpc.client().delete_job(self.grpc.with(request)).await }).await;
        let outcome = answer.map_or_else(|status| outcome(&reason(&status)), |_| Outcome::Done);
        // One that is not there may have been removed by an attempt before, of which no answer came.
        if matches!(&outcome, Outcome::Refused(code) if code != "JOB_NOT_FOUND") {
            self.user.deleted.lock().remove(job);
        }
        self.writer.write(Record::Deleted { user: self.user.name.clone(), job: job.to_owned(), outcome });
    }

    async fn cancel_batch(&self, batch: &str) {
        if !batch.is_empty() {
            let request = CancelBatchRequest { batch_id: batch.to_owned(), owner: String::new() };
            let _ = timely(async { self.grpc.client().cancel_batch(self.grpc.with(request)).await }).await;
        }
    }

    async fn list(&self) {
        let server = self.grpc.turn();
        let request = ListJobsRequest { page_size: 20, ..ListJobsRequest::default() };
        if let Ok(answer) = timely(async { self.grpc.client_of(server).list_jobs(self.grpc.with(request)).await }).await
        {
            answer.into_inner().jobs.into_iter().for_each(|job| self.answered("list", server, Some(job)));
        }
    }

    async fn over_http(&self, method: &str, path: &str, call: &str) {
        let Ok(body) = self.ask(method, path).await else { return };
        // Which one a bridge has asked it does not say.
        let server = self.world.grpc.only();
        let jobs = [&body["job"]].into_iter().chain(body["jobs"].as_array().into_iter().flatten());
        jobs.filter_map(fact::of_json).for_each(|fact| self.read(call, Via::Http, server, fact));
    }

    async fn ask(&self, method: &str, path: &str) -> Result<Value, String> {
        let url = format!("http://{}{path}", self.world.http.any());
        let request = if method == "GET" { self.web.get(url) } else { self.web.post(url) };
        let answer = request.bearer_auth(&self.user.token).send().await.map_err(|_| String::new())?;
        let body: Value = answer.json().await.map_err(|_| String::new())?;
        match body["code"].as_str() {
            Some(code) => Err(code.to_owned()),
            None => Ok(body),
        }
    }

    /// Tries a stranger's job.
    async fn probe(&mut self) {
        let strangers: Vec<_> = self.world.users.iter().filter(|user| user.name != self.user.name).collect();
        let stranger = strangers[self.rng.usize(0..strangers.len())];
        let Some(theirs) = stranger.any(&mut self.rng) else { return };
        let job_id = theirs.job.clone();
        let (mut client, grpc) = (self.grpc.client(), &self.grpc);
        let (call, answer) = match self.rng.u32(0..5) {
            0 => ("get", timely(async { client.get_job(grpc.with(GetJobRequest { job_id })).await.map(drop) }).await),
            1 => {
                let request = CancelJobRequest { job_id };
                ("cancel", timely(async { client.cancel_job(grpc.with(request)).await.map(drop) }).await)
            }
            2 => {
                let request = ReadResultRequest { job_id, format: 1, offset: 0, limit: 0 };
                ("result", timely(async { client.read_result(grpc.with(request)).await.map(drop) }).await)
            }
            3 => {
                let request = WatchJobRequest { job_id, after_cursor: theirs.cursor, ..WatchJobRequest::default() };
                ("watch", timely(async { client.watch_job(grpc.with(request)).await.map(drop) }).await)
            }
            _ => {
                let answer = self.ask("GET", &format!("/v1/jobs/{job_id}")).await.map(drop);
                return self.probed("get", Via::Http, &theirs.job, answer);
            }
        };
        self.probed(call, Via::Grpc, &theirs.job, answer.map_err(|status| reason(&status)));
    }

    fn probed(&self, call: &str, via: Via, job: &str, answer: Result<(), String>) {
        let outcome = answer.map_or_else(|code| outcome(&code), |()| Outcome::Done);
        let (user, call, job) = (self.user.name.clone(), call.to_owned(), job.to_owned());
        self.writer.write(Record::Probe { user, via, call, job, outcome });
    }
}
