//! The passwords that are needed no more: those of jobs that have ended.

use std::collections::BTreeSet;
use std::sync::Arc;

use courant_engine::projection::{JobChange, Projection};
use tokio::sync::Notify;

use crate::job_folder::JobFolder;

/// Where a job's files lie, and the name of its password.
pub type PasswordKey = (JobFolder, Box<str>);

/// Passwords to remove. Found again at every start, as long as their jobs are there.
#[derive(Debug, Default)]
pub struct UnusedPasswords {
    left: BTreeSet<PasswordKey>,
    added: Arc<Notify>,
}

impl Projection for UnusedPasswords {
    /// A job that is gone takes its password with it.
    fn on_change(&mut self, change: &JobChange<'_>) {
        let Some(job) = change.jobs().1.filter(|job| job.state.is_terminal()) else { return };
        if let Some(name) = &job.password {
            self.left.insert((JobFolder::of(job), name.clone()));
            self.added.notify_one();
        }
    }
}

impl UnusedPasswords {
    /// Told when there may be one.
    pub fn added(&self) -> Arc<Notify> {
        self.added.clone()
    }

    pub fn first(&self) -> Option<PasswordKey> {
        self.left.first().cloned()
    }

    pub fn removed(&mut self, of: &PasswordKey) {
        self.left.remove(of);
    }
}
