//! The children of one document: what they cost, and that they are gone when its job ends.

use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::budget::{Allowance, Budget, Meter};

/// How long children that were killed may take to be gone, before a job ends without having seen it. Shorter than any
/// [`stop_timeout`](courant_worker::Config::stop_timeout) in use.
const GONE_TIMEOUT: Duration = Duration::from_millis(2500);

/// See the module. All clones are the same.
#[derive(Clone, Debug)]
pub struct Supervisor {
    pub(crate) budget: Budget,
    /// One task for each child that was killed and is not collected yet.
    going: TaskTracker,
}

impl Default for Supervisor {
    /// With the usual allowance.
    fn default() -> Self {
        Self::new(Budget::new(Allowance::default(), Duration::ZERO))
    }
}

impl Supervisor {
    pub(crate) fn new(budget: Budget) -> Self {
        Self { budget, going: TaskTracker::new() }
    }

    /// Starts a process of a group of its own.
    pub(crate) fn spawn(&self, command: &mut Command) -> std::io::Result<Supervised> {
        let child = command.spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let meter = child.id().map(|id| self.budget.meter(id));
        Ok(Supervised { meter, group, child: Some(child), going: self.going.clone() })
    }

    /// Waits until every child that was dropped is collected.
    pub(crate) async fn all_gone(&self) {
        self.going.close();
        if timeout(GONE_TIMEOUT, self.going.wait()).await.is_err() {
            tracing::warn!(children = self.going.len(), "killed children are still there");
        }
    }
}

/// A process that is killed, with its whole group, and collected when this goes.
#[derive(Debug)]
pub(crate) struct Supervised {
    meter: Option<Meter>,
    /// None once it was collected: the number may be someone else's from then on.
    group: Option<Pid>,
    child: Option<Child>,
    going: TaskTracker,
}

impl Supervised {
    /// The process, to take its pipes.
    pub(crate) fn process(&mut self) -> Option<&mut Child> {
        self.child.as_mut()
    }

    /// Its number; none when it was collected.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.as_ref()?.id()
    }

    /// Waits for its end.
    pub(crate) async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        let Some(child) = &mut self.child else { return Err(std::io::Error::other("there is no child")) };
        // While it can still be looked at.
        self.meter = None;
        let status = child.wait().await?;
        self.group = None;
        Ok(status)
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let Some(group) = self.group.take() else { return };
        // Fails only when all of them are gone already.
        let _ = kill_process_group(group, Signal::KILL);
        self.meter = None;
        // Without a runtime the process ends, too, and whoever comes after it collects the child.
        if let (Some(mut child), Ok(runtime)) = (self.child.take(), Handle::try_current()) {
            self.going.spawn_on(async move { child.wait().await }, &runtime);
        }
    }
}
