//! Where in the store the files of a job lie.

use courant_joblog::ids::JobId;
use courant_joblog::job::Job;

/// What folders within a job's have in front of their names, and nothing else has.
const OWN: &str = "own-";

/// The folder of a job's files: below its id and, where several servers share the store, in one of its own there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobFolder {
    job: JobId,
    /// See [`Job::folder`].
    own: Option<Box<str>>,
}

impl JobFolder {
    pub fn of(job: &Job) -> Self {
        Self::new(job.id.clone(), job.later.folder.clone())
    }

    /// `own` as it is, or will be, in the log.
    pub fn new(job: JobId, own: Option<Box<str>>) -> Self {
        Self { job, own }
    }

    /// For a job that is made now; with a name that nothing else has, where several servers share the store.
    pub fn for_new(job: JobId, is_shared: bool) -> Self {
        Self { job, own: is_shared.then(|| JobId::random().to_string().into()) }
    }

    pub fn job(&self) -> &JobId {
        &self.job
    }

    /// For the log.
    pub fn own(&self) -> Option<Box<str>> {
        self.own.clone()
    }

    /// In the store.
    pub fn path(&self) -> String {
        match &self.own {
            Some(own) => format!("jobs/{}/{OWN}{own}", self.job),
            None => format!("jobs/{}", self.job),
        }
    }

    /// Whether something below a job's id is the folder of one that has its own.
    pub fn is_own(name: &str) -> bool {
        name.starts_with(OWN)
    }
}
