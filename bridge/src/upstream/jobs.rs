//! Topics about jobs: watches on the server.
//!
//! All that is followed live comes on one stream; what a subscriber missed comes on a stream of its own, at its pace.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use courant_proto::v1::{self, ErrorReason, watch_job_response as one, watch_jobs_response::Step};
use futures::{Stream, StreamExt, TryStreamExt};

use crate::api_error::ApiError;
use crate::server::Server;
use crate::topic::scope::{EVERYBODY, Scope};
use crate::topic::upstream::{Content, Grant, JobAccess, SubscribeRequest, Update, Updates};
use crate::wire::encode::Push;
use crate::wire::{JobFilter, ThrottleTier, TopicKind};

/// A step with its cursor; no step where this version does not know it.
type Message = (String, Option<Step>);

/// Follows for all subscribers of a topic.
pub fn follow(server: &Server, scope: &Scope, tier: ThrottleTier, after: &str) -> Updates {
    let steps = server.watch_jobs(watch(scope, after, tier.interval()), single_job(scope));
    let following = Following {
        server: server.clone(),
        name: scope.name(),
        scope: scope.clone(),
        // Without a cursor everything starts over, and the job may be too old to be among the snapshots.
        needs_job: single_job(scope).is_some() && after.is_empty(),
        ready: VecDeque::new(),
        steps: steps.map_ok(|message| (message.cursor, message.step)),
    };
    futures::stream::try_unfold(Box::new(following), Following::next).boxed()
}

/// What one subscriber missed.
pub async fn replay(server: &Server, scope: &Scope, after: &str) -> Result<Updates, ApiError> {
    let lease = server.stream_channel();
    let mut jobs = lease.jobs();
    // Transient events are of no use in a replay: as few as possible.
    let watch = watch(scope, after, ThrottleTier::FiveSeconds.interval());
    let (scope, name) = (scope.clone(), scope.name());
    let Some(job_id) = single_job(&scope).map(str::to_owned) else {
        let steps = jobs.watch_jobs(server.stream_own(watch)?).await?.into_inner();
        return Ok(steps
            .map_err(ApiError::from)
            .try_filter_map(move |message| {
                let _ = &lease;
                std::future::ready(Ok(replayed(&scope, &name, message.cursor, message.step)))
            })
            .boxed());
    };
    let v1::WatchJobsRequest { after_cursor, min_interval, .. } = watch;
    let watch = v1::WatchJobRequest { job_id, after_cursor, min_interval, fail_on_gap: false };
    let steps = jobs.watch_job(server.stream_own(watch)?).await?.into_inner();
    Ok(steps
        .map_err(ApiError::from)
        .try_filter_map(move |message| {
            let _ = &lease;
            std::future::ready(Ok(replayed(&scope, &name, message.cursor, message.step.map(same_step))))
        })
        .boxed())
}

/// Whether the user may follow the topic; the answer about a single job brings the job.
pub async fn authorize(server: &Server, request: &SubscribeRequest) -> Result<Grant, ApiError> {
    let owner = match (request.topic.kind(), request.access) {
        (TopicKind::Jobs(JobFilter::Job(id)), _) => {
            let call = server.call_as(v1::GetJobRequest { job_id: id.to_owned() }, &request.token)?;
            let answer = server.jobs().get_job(call).await?.into_inner();
            let job = answer.job.ok_or_else(ApiError::job_not_found)?;
            let scope = Scope {
                topic: request.topic.clone(),
                owner: job.owner.clone(),
                document: Some(job.document_id.clone()),
            };
            return Ok(Grant { scope, job: Some((job, answer.cursor)) });
        }
        (TopicKind::Jobs(JobFilter::Document(_) | JobFilter::Batch(_)), JobAccess::All) => EVERYBODY.to_owned(),
        _ => request.user.name().to_string(),
    };
    Ok(Grant::new(Scope::new(request.topic.clone(), owner)))
}

/// The end of the log as the server sees it now.
pub async fn head(server: &Server, scope: &Scope, request: &SubscribeRequest) -> Result<String, ApiError> {
    let list = v1::ListJobsRequest { page_size: 1, owner: scope.owner.clone(), ..v1::ListJobsRequest::default() };
    let call = server.call_as(list, &request.token)?;
    Ok(server.jobs().list_jobs(call).await?.into_inner().cursor)
}

struct Following<S> {
    server: Server,
    scope: Scope,
    name: Arc<str>,
    /// After a gap: the topic is one job, which has not come yet.
    needs_job: bool,
    /// What comes before the next step.
    ready: VecDeque<Update>,
    steps: S,
}

impl<S: Stream<Item = Result<Message, tonic::Status>> + Unpin> Following<S> {
    /// Boxed: the stream moves it around for each update.
    async fn next(mut self: Box<Self>) -> Result<Option<(Update, Box<Self>)>, ApiError> {
        loop {
            if let Some(update) = self.ready.pop_front() {
                return Ok(Some((update, self)));
            }
            let Some((cursor, step)) = self.steps.try_next().await? else { return Ok(None) };
            self.handle(cursor, step).await?;
        }
    }

    async fn handle(&mut self, cursor: String, step: Option<Step>) -> Result<(), ApiError> {
        let update = match step {
            Some(Step::Event(event)) => {
                let included = includes(&self.scope, event.job.as_deref());
                let push = included.then(|| Push::event(&self.name, cursor.clone(), &event)).flatten();
                Update { cursor, content: push.map_or(Content::Nothing, Content::Event) }
            }
            Some(Step::Snapshot(v1::JobSnapshot { job })) => {
                let Some(job) = job.filter(|job| includes(&self.scope, Some(job.as_ref()))) else { return Ok(()) };
                self.needs_job = false;
                Update::new(Content::Snapshot(Push::snapshot(&self.name, &job)))
            }
            Some(Step::Gap(gap)) => {
                self.needs_job = single_job(&self.scope).is_some();
                Update::new(Content::Gap(gap.reason()))
            }
            Some(Step::Live(live)) => {
                if self.needs_job {
                    let job = self.job().await?;
                    self.ready.extend(job);
                    self.needs_job = false;
                }
                Update { cursor, content: Content::Live(live.revision) }
            }
            Some(Step::Bookmark(_)) => Update { cursor, content: Content::Bookmark },
            None => Update { cursor, content: Content::Nothing },
        };
        self.ready.push_back(update);
        Ok(())
    }

    /// The only job as it is now, or that it is no more.
    async fn job(&self) -> Result<Option<Update>, ApiError> {
        let Some(id) = single_job(&self.scope) else { return Ok(None) };
        let call = self.server.call_own(v1::GetJobRequest { job_id: id.to_owned() })?;
        match self.server.jobs().get_job(call).await.map_err(ApiError::from) {
            Ok(answer) => {
                let job = answer.into_inner().job;
                Ok(job.map(|job| Update::new(Content::Snapshot(Push::snapshot(&self.name, &job)))))
            }
            Err(error) if error.is(ErrorReason::JobNotFound) => {
                Ok(Some(Update::new(Content::Ended(error.code.name()))))
            }
            Err(error) => Err(error),
        }
    }
}

/// A step of a replay; none where it says nothing to a subscriber that catches up.
fn replayed(scope: &Scope, name: &Arc<str>, cursor: String, step: Option<Step>) -> Option<Update> {
    Some(match step? {
        Step::Gap(gap) => Update::new(Content::Gap(gap.reason())),
        Step::Snapshot(v1::JobSnapshot { job }) => match job.filter(|job| includes(scope, Some(job.as_ref()))) {
            Some(job) => Update::new(Content::Snapshot(Push::snapshot(name, &job))),
            None => Update::new(Content::Nothing),
        },
        Step::Event(event) if event.revision == 0 => Update::new(Content::Nothing),
        Step::Event(event) => {
            let push =
                includes(scope, event.job.as_deref()).then(|| Push::event(name, cursor.clone(), &event)).flatten();
            Update { cursor, content: push.map_or(Content::Nothing, Content::Event) }
        }
        Step::Live(live) => Update { cursor, content: Content::Live(live.revision) },
        Step::Bookmark(_) => return None,
    })
}

/// The watch on the server.
fn watch(scope: &Scope, after: &str, interval: Duration) -> v1::WatchJobsRequest {
    let (document, batch) = match scope.topic.kind() {
        TopicKind::Jobs(JobFilter::Job(_)) => (scope.document.as_deref(), None),
        TopicKind::Jobs(JobFilter::Document(id)) => (Some(id), None),
        TopicKind::Jobs(JobFilter::Batch(id)) => (None, Some(id)),
        TopicKind::Jobs(JobFilter::Owner) | TopicKind::State { .. } | TopicKind::Inbox => (None, None),
    };
    v1::WatchJobsRequest {
        owner: scope.owner.clone(),
        document_id: document.unwrap_or_default().to_owned(),
        batch_id: batch.unwrap_or_default().to_owned(),
        after_cursor: after.to_owned(),
        min_interval: prost_types::Duration::try_from(interval).ok(),
        fail_on_gap: false,
    }
}

/// The job, if the topic is one job.
fn single_job(scope: &Scope) -> Option<&str> {
    match scope.topic.kind() {
        TopicKind::Jobs(JobFilter::Job(id)) => Some(id),
        TopicKind::Jobs(_) | TopicKind::State { .. } | TopicKind::Inbox => None,
    }
}

/// Whether a job of the watch belongs to the topic.
fn includes(scope: &Scope, job: Option<&v1::Job>) -> bool {
    single_job(scope).is_none_or(|single| job.is_some_and(|job| job.job_id == single))
}

fn same_step(step: one::Step) -> Step {
    match step {
        one::Step::Snapshot(snapshot) => Step::Snapshot(snapshot),
        one::Step::Event(event) => Step::Event(event),
        one::Step::Live(live) => Step::Live(live),
        one::Step::Bookmark(bookmark) => Step::Bookmark(bookmark),
        one::Step::Gap(gap) => Step::Gap(gap),
    }
}
