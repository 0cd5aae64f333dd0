//! What was missed, read from the core: one job's own history for a single job, the scope's for everything else.

use courant_proto::v1::{self, watch_job_response as one, watch_jobs_response as many};
use tonic::Streaming;

use super::source::Source;
use crate::fault::Fault;
use crate::server::{ChannelLease, Core};
use crate::wire::Tier;

/// The steps of a watch, whichever call they come from.
pub struct Steps {
    call: Call,
    _lease: ChannelLease,
}

enum Call {
    /// Of a single job.
    One(Streaming<v1::WatchJobResponse>),
    /// Of a scope.
    Many(Streaming<v1::WatchJobsResponse>),
}

/// A step with its cursor; no step when this version does not know it.
pub type Step = (String, Option<many::Step>);

impl Steps {
    /// Opens the watch in the bridge's own name. Transient events are of no use in a replay: as few as possible.
    pub async fn open(core: &Core, source: &Source, after: &str) -> Result<Self, Fault> {
        let lease = core.stream_channel();
        let mut jobs = lease.jobs();
        let watch = source.watch(after, Tier::FiveSeconds.interval());
        let Some(job_id) = source.only() else {
            let call = Call::Many(jobs.watch_jobs(core.stream_own(watch)?).await?.into_inner());
            return Ok(Self { call, _lease: lease });
        };
        let v1::WatchJobsRequest { after_cursor, min_interval, .. } = watch;
        let watch = v1::WatchJobRequest { job_id: job_id.to_owned(), after_cursor, min_interval, fail_on_gap: false };
        let call = Call::One(jobs.watch_job(core.stream_own(watch)?).await?.into_inner());
        Ok(Self { call, _lease: lease })
    }

    /// The next step; none when the watch has ended.
    pub async fn next(&mut self) -> Result<Option<Step>, Fault> {
        Ok(match &mut self.call {
            Call::Many(steps) => steps.message().await?.map(|message| (message.cursor, message.step)),
            Call::One(steps) => steps.message().await?.map(|message| (message.cursor, message.step.map(alike))),
        })
    }
}

fn alike(step: one::Step) -> many::Step {
    match step {
        one::Step::Snapshot(snapshot) => many::Step::Snapshot(snapshot),
        one::Step::Event(event) => many::Step::Event(event),
        one::Step::Live(live) => many::Step::Live(live),
        one::Step::Bookmark(bookmark) => many::Step::Bookmark(bookmark),
        one::Step::Gap(gap) => many::Step::Gap(gap),
    }
}
