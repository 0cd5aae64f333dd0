//! How followed jobs look: bars on a terminal, lines elsewhere, JSON for programs.

mod bars;
mod json;
mod lines;

use std::collections::HashMap;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use courant_proto::v1::{Job, JobState};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

pub use self::bars::Bars;
pub use self::json::Json;
pub use self::lines::Lines;
use crate::failure::Failure;
use crate::follow::{Follower, Update};

/// Updates waiting to be shown; when these are so many the followers wait.
const UPDATE_QUEUE: usize = 256;
/// Jobs followed at the same time; the others wait for their turn and then catch up from their cursor.
const FOLLOWED_AT_ONCE: usize = 64;

/// Shows an update of one job.
pub trait View: Send {
    fn show(&mut self, job_id: &str, update: Update) -> Result<(), Failure>;
    /// A job can no longer be followed.
    fn failed(&mut self, job_id: &str, failure: &Failure);
}

/// The view that fits: JSON when asked for, bars when a person looks at a terminal, else lines.
pub fn for_output(json: bool) -> Box<dyn View> {
    if json {
        Box::new(Json)
    } else if std::io::stderr().is_terminal() {
        Box::new(Bars::default())
    } else {
        Box::new(Lines::default())
    }
}

/// Follows all of them to their ends. The exit code is 0 when all succeeded.
pub async fn follow(followers: Vec<Follower>, view: &mut dyn View) -> Result<ExitCode, Failure> {
    let turns = Arc::new(Semaphore::new(FOLLOWED_AT_ONCE));
    let (updates, mut update) = mpsc::channel(UPDATE_QUEUE);
    let (mut tasks, mut names) = (JoinSet::new(), HashMap::new());
    for follower in followers {
        let (job_id, updates, turns) = (follower.job_id.clone(), updates.clone(), turns.clone());
        let task = tasks.spawn(async move {
            // Closed only when dropped, and we hold it.
            let _turn = turns.acquire_owned().await;
            follower.run(updates).await
        });
        names.insert(task.id(), job_id);
    }
    drop(updates);
    while let Some((job_id, update)) = update.recv().await {
        view.show(&job_id, update)?;
    }
    let mut good = true;
    while let Some(ended) = tasks.join_next_with_id().await {
        let (id, ended) = ended.map_err(|error| Failure::Io(std::io::Error::other(error)))?;
        match ended {
            Ok(job) => good &= job.state() == JobState::Succeeded,
            Err(failure) => {
                good = false;
                view.failed(names.get(&id).map_or("", String::as_str), &failure);
            }
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One sentence about how the job stands.
pub(crate) fn sentence(job: &Job) -> String {
    match job.state() {
        JobState::Succeeded => match (job.pages_total, job.warnings.len()) {
            (0, _) => "succeeded".to_owned(),
            (pages, 0) => format!("succeeded, {}", counted(i64::from(pages), "page")),
            (pages, warnings) => {
                format!("succeeded, {}, {}", counted(i64::from(pages), "page"), counted(warnings as i64, "warning"))
            }
        },
        JobState::Failed => job
            .error
            .as_ref()
            .map_or("failed".to_owned(), |error| format!("failed: {} ({})", error.message, error.code)),
        JobState::Cancelled => "cancelled".to_owned(),
        JobState::Cancelling => "being cancelled".to_owned(),
        JobState::Queued => waiting(job),
        JobState::Unspecified | JobState::Running => {
            job.progress.as_ref().map(|progress| progress.operation.clone()).unwrap_or_default()
        }
    }
}

fn waiting(job: &Job) -> String {
    match (&job.queue_position, &job.error) {
        (_, Some(error)) => format!("will be retried: {}", error.message),
        (Some(position), None) => format!("queued, position {}", position.position),
        (None, None) => "queued".to_owned(),
    }
}

pub(crate) fn percent(job: &Job) -> f64 {
    job.progress.as_ref().map_or(0.0, |progress| progress.percent)
}

/// "1 page", "2 pages".
fn counted(number: i64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}
