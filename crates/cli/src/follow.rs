//! Following one job to its end over broken connections, restarts and moves of the service, without losing or repeating
//! an event: after a break it continues at the last cursor.

use std::time::{Duration, Instant};

use courant_proto::v1::watch_job_response::Step;
use courant_proto::v1::{GapReason, GetJobRequest, Job, JobEvent, WatchJobRequest, WatchJobResponse};
use courant_runtime::Backoff;
use tokio::sync::mpsc::Sender;
use tonic::Streaming;

use crate::args::{Connection, Following};
use crate::connect::{Client, connect};
use crate::failure::{Failure, passes};
use crate::words::is_terminal;

/// The service says something at least every 25 s by default; a stream silent for this long is dead.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
const MIN_BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// An update about a job, for a view. Sent over a bounded channel: a slow terminal slows the stream, and the service then
/// folds progress together; nothing is lost.
pub enum Update {
    Snapshot(Box<Job>),
    Event {
        cursor: String,
        event: Box<JobEvent>,
    },
    Live {
        cursor: String,
    },
    Gap(GapReason),
    /// The connection broke; it is being made again.
    Interrupted(String),
    Ended(Box<Job>),
}

/// One job being followed.
pub struct Follower {
    pub job_id: String,
    pub connection: Connection,
    pub following: Following,
    /// Where to continue; empty to begin with a snapshot.
    pub cursor: String,
}

/// Why the stream ended.
enum StreamEnd {
    Ended(Box<Job>),
    Broken(String),
}

impl Follower {
    /// Follows until the job has ended and gives it back as it was then.
    pub async fn run(mut self, updates: Sender<(String, Update)>) -> Result<Job, Failure> {
        let mut last_message = Instant::now();
        let mut backoff = Backoff::new(MIN_BACKOFF, MAX_BACKOFF);
        loop {
            let before = self.cursor.clone();
            let cause = match self.follow_once(&updates, &mut last_message).await? {
                StreamEnd::Ended(job) => {
                    self.send(&updates, Update::Ended(job.clone())).await;
                    return Ok(*job);
                }
                StreamEnd::Broken(cause) => cause,
            };
            if last_message.elapsed() > self.following.give_up_after {
                return Err(Failure::GaveUp(humantime::format_duration(self.following.give_up_after)));
            }
            self.send(&updates, Update::Interrupted(cause)).await;
            if self.cursor != before {
                backoff.reset();
            }
            tokio::time::sleep(backoff.pause()).await;
        }
    }

    /// One connection, from connecting to its end.
    async fn follow_once(
        &mut self,
        updates: &Sender<(String, Update)>,
        last_message: &mut Instant,
    ) -> Result<StreamEnd, Failure> {
        let mut client = match connect(&self.connection).await {
            Ok(client) => client,
            Err(failure @ (Failure::Unreachable { .. } | Failure::NotRunning(_))) => {
                return Ok(StreamEnd::Broken(failure.to_string()));
            }
            Err(failure) => return Err(failure),
        };
        let mut stream = match client.watch_job(self.request()).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return broken(status),
        };
        loop {
            match next(&mut stream).await {
                Ok(Some(message)) => {
                    *last_message = Instant::now();
                    if let Some(job) = self.take(message, updates).await {
                        return Ok(StreamEnd::Ended(job));
                    }
                }
                Ok(None) => return self.read_job(&mut client).await,
                Err(status) => return broken(status),
            }
        }
    }

    fn request(&self) -> WatchJobRequest {
        WatchJobRequest {
            job_id: self.job_id.clone(),
            after_cursor: self.cursor.clone(),
            min_interval: prost_types::Duration::try_from(self.following.min_interval).ok(),
            fail_on_gap: false,
        }
    }

    /// Passes one message on. Gives the job back when it has ended.
    async fn take(&mut self, message: WatchJobResponse, updates: &Sender<(String, Update)>) -> Option<Box<Job>> {
        let cursor = message.cursor;
        if !cursor.is_empty() {
            self.cursor.clone_from(&cursor);
        }
        let mut ended = None;
        let update = match message.step? {
            Step::Snapshot(snapshot) => {
                let job = snapshot.job?;
                ended = is_terminal(job.state()).then(|| job.clone());
                Update::Snapshot(job)
            }
            Step::Event(event) => {
                // A terminal state in the middle of a replay may be followed by a retry; only the end of the stream or
                // the newest state counts, which `look` finds out when the stream ends.
                Update::Event { cursor, event: Box::new(event) }
            }
            Step::Live(_) => Update::Live { cursor },
            Step::Bookmark(_) => return None,
            Step::Gap(gap) => {
                self.cursor.clear();
                Update::Gap(gap.reason())
            }
        };
        self.send(updates, update).await;
        ended
    }

    /// The stream ended in order: has the job?
    async fn read_job(&self, client: &mut Client) -> Result<StreamEnd, Failure> {
        match client.get_job(GetJobRequest { job_id: self.job_id.clone() }).await {
            Ok(answer) => {
                let job = answer.into_inner().job.ok_or(Failure::Incomplete("the job"))?;
                let ended = is_terminal(job.state());
                Ok(if ended {
                    StreamEnd::Ended(Box::new(job))
                } else {
                    StreamEnd::Broken("the stream ended".to_owned())
                })
            }
            Err(status) => broken(status),
        }
    }

    async fn send(&self, updates: &Sender<(String, Update)>, update: Update) {
        // Nobody listens any more only when the whole command is ending.
        let _ = updates.send((self.job_id.clone(), update)).await;
    }
}

async fn next(stream: &mut Streaming<WatchJobResponse>) -> Result<Option<WatchJobResponse>, tonic::Status> {
    match tokio::time::timeout(IDLE_TIMEOUT, stream.message()).await {
        Ok(message) => message,
        Err(_) => Err(tonic::Status::unavailable("the service sends nothing any more")),
    }
}

fn broken(status: tonic::Status) -> Result<StreamEnd, Failure> {
    if passes(&status) { Ok(StreamEnd::Broken(status.message().to_owned())) } else { Err(status.into()) }
}
