//! A log whose appends can be held back, job by job, and are counted.

use std::collections::{HashMap, HashSet};

use courant_joblog::ids::Revision;
use courant_joblog::log::{Append, AppendError, Log};
use courant_joblog::memory::MemoryLog;
use courant_joblog::wrapper::LogWrapper;
use courant_worker::async_trait;
use tokio::sync::watch;

use crate::support::PATIENCE;

#[derive(Default)]
pub struct GatedLog {
    log: MemoryLog,
    state: watch::Sender<Gates>,
}

#[derive(Default)]
struct Gates {
    held: HashSet<String>,
    all_held: bool,
    /// Appends that wait.
    waiting: HashMap<String, usize>,
    /// How many entries each append had.
    done: HashMap<String, Vec<usize>>,
}

impl GatedLog {
    /// Holds back what is appended to a job from now on.
    pub fn hold(&self, job: &str) {
        self.state.send_modify(|gates| {
            gates.held.insert(job.to_owned());
        });
    }

    pub fn release(&self, job: &str) {
        self.state.send_modify(|gates| {
            gates.held.remove(job);
        });
    }

    /// Holds back everything that is appended from now on.
    pub fn hold_all(&self) {
        self.state.send_modify(|gates| gates.all_held = true);
    }

    pub fn release_all(&self) {
        self.state.send_modify(|gates| gates.all_held = false);
    }

    /// Waits until at least so many appends are held back, of whichever jobs.
    pub async fn until_any_held(&self, appends: usize) {
        let mut gates = self.state.subscribe();
        let held = gates.wait_for(|gates| gates.waiting.values().sum::<usize>() >= appends);
        tokio::time::timeout(PATIENCE, held).await.expect("they did not come").unwrap();
    }

    /// How many appends are held back now.
    pub fn held(&self) -> usize {
        self.state.borrow().waiting.values().sum()
    }

    /// Waits until so many appends to a job are held back.
    pub async fn until_held(&self, job: &str, appends: usize) {
        let mut gates = self.state.subscribe();
        let held = gates.wait_for(|gates| gates.waiting.get(job).copied().unwrap_or(0) == appends);
        tokio::time::timeout(PATIENCE, held).await.expect("they did not come").unwrap();
    }

    /// How many entries each append to a job had.
    pub fn appends(&self, job: &str) -> Vec<usize> {
        self.state.borrow().done.get(job).cloned().unwrap_or_default()
    }
}

/// An append that waits, or did until it was dropped.
struct Waiting<'a>(&'a GatedLog, String);

impl<'a> Waiting<'a> {
    fn new(log: &'a GatedLog, job: &str) -> Self {
        log.state.send_modify(|gates| *gates.waiting.entry(job.to_owned()).or_default() += 1);
        Self(log, job.to_owned())
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state.send_modify(|gates| *gates.waiting.get_mut(&self.1).unwrap() -= 1);
    }
}

#[async_trait]
impl LogWrapper for GatedLog {
    fn inner(&self) -> &dyn Log {
        &self.log
    }

    async fn append(&self, append: Append) -> Result<Revision, AppendError> {
        let (job, entries) = (append.key.job.to_string(), append.changes.len());
        {
            let _waiting = Waiting::new(self, &job);
            let mut gates = self.state.subscribe();
            gates.wait_for(|gates| !gates.all_held && !gates.held.contains(&job)).await.unwrap();
        }
        let appended = self.log.append(append).await;
        if appended.is_ok() {
            self.state.send_modify(|gates| gates.done.entry(job).or_default().push(entries));
        }
        appended
    }
}
