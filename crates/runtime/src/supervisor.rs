//! Background tasks of a program. One that panics, or ends though it should not, ends the program with its reason: one that
//! only seems to work is worse than one that is started again.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Why the program cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the background task {task} {why}")]
pub struct TaskFailed {
    pub task: &'static str,
    /// What became of it.
    pub why: String,
}

/// All background tasks. Cloning shares.
#[derive(Clone, Debug)]
pub struct Supervisor {
    stop: CancellationToken,
    tasks: TaskTracker,
    failed: watch::Sender<Option<TaskFailed>>,
}

impl Supervisor {
    /// No tasks yet; all stop with `stop`.
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, tasks: TaskTracker::new(), failed: watch::Sender::new(None) }
    }

    /// Cancelled when all tasks are to end.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Runs a task that must not end before the program does.
    pub fn keep(&self, task: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let supervisor = self.clone();
        self.run(task, async move {
            work.await;
            // A task that waits for another may see it stop before it is stopped itself.
            if !supervisor.stop.is_cancelled() {
                supervisor.fail(task, "ended by itself".to_owned());
            }
        });
    }

    /// Runs a task that may end.
    pub fn run(&self, task: &'static str, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let supervisor = self.clone();
        let handle = self.tasks.spawn(async move {
            let stop = supervisor.stop.clone();
            let ended = AssertUnwindSafe(stop.run_until_cancelled(work)).catch_unwind().await;
            if let Err(panic) = ended {
                supervisor.fail(task, format!("panicked: {}", message(&*panic)));
            }
        });
        handle.abort_handle()
    }

    fn fail(&self, task: &'static str, why: String) {
        tracing::error!(task, why, "a background task failed; the program stops");
        self.failed.send_if_modified(|failed| {
            let first = failed.is_none();
            failed.get_or_insert(TaskFailed { task, why });
            first
        });
    }

    /// Waits until a task fails.
    pub async fn failed(&self) -> TaskFailed {
        let mut failed = self.failed.subscribe();
        loop {
            if let Some(failed) = failed.borrow_and_update().clone() {
                return failed;
            }
            // We hold the sender ourselves.
            if failed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until all tasks have ended after `stop`.
    pub async fn stopped(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_or_ends_is_told_with_its_reason() {
        let supervisor = Supervisor::new(CancellationToken::new());
        supervisor.run("short", async {});
        supervisor.run("bad", async { panic!("the {} is gone", "floor") });
        assert_eq!(supervisor.failed().await.to_string(), "the background task bad panicked: the floor is gone");
        let supervisor = Supervisor::new(CancellationToken::new());
        supervisor.keep("watch", async {});
        assert_eq!(supervisor.failed().await.to_string(), "the background task watch ended by itself");
    }

    #[tokio::test]
    async fn what_is_stopped_has_not_failed() {
        let stop = CancellationToken::new();
        let supervisor = Supervisor::new(stop.clone());
        supervisor.keep("watch", std::future::pending());
        // Ends in the moment of the stop, before it is stopped itself.
        supervisor.keep("follower", async move { stop.cancel() });
        supervisor.stopped().await;
        assert!(supervisor.failed().now_or_never().is_none());
    }
}
