//! One job as the view has it: what the log says, and what is newer.

use std::sync::Arc;

use courant_joblog::ids::Revision;
use courant_joblog::job::{Job, Progress, Zone};

/// One job.
#[derive(Clone, Debug)]
pub struct Known {
    /// The revision of its newest entry.
    pub revision: Revision,
    /// As the log has it.
    pub job: Arc<Job>,
    /// What is newer than the log.
    pub live: Option<Arc<Live>>,
}

/// News of a running attempt that is not in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// The attempt.
    pub attempt: u32,
    /// How far it is.
    pub progress: Progress,
    /// What it works on.
    pub zone: Option<Zone>,
}

impl Known {
    /// How far the job is, by the newest news.
    pub fn progress(&self) -> &Progress {
        match &self.live {
            Some(live) => &live.progress,
            None => &self.job.progress,
        }
    }
}

/// The live news after a durable event: what the event says, but no percent lower than was told already.
pub(super) fn carried(live: &Live, job: &Job) -> Option<Arc<Live>> {
    if !job.state.is_held() || job.attempt != live.attempt {
        return None;
    }
    let percent = live.progress.percent.max(job.progress.percent);
    let progress = Progress { percent, ..job.progress.clone() };
    Some(Arc::new(Live { attempt: live.attempt, progress, zone: None }))
}
