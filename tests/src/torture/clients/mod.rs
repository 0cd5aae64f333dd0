//! Those who use the system, and write down what they are told.

pub mod audit;
pub mod browser;
pub mod endpoints;
pub mod grpc;
pub mod hostile;
pub mod meddle;
pub mod steps;
pub mod submit;
pub mod watch;
pub mod webhooks;
pub mod ws;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::endpoints::Endpoints;
use super::record::{Folder, Outcome};

/// Users that submit.
pub const USERS: [&str; 4] = ["ann", "bob", "cleo", "dan"];
/// Batches of every user: of the same names, and yet not the same.
pub const BATCHES: [&str; 2] = ["b0", "b1"];
/// Jobs of a user that are picked for reads and watches.
const RECENT: usize = 64;

/// What all clients share.
pub struct World {
    /// The seed of the run.
    pub seed: u64,
    /// Where records go.
    pub folder: Arc<Folder>,
    /// The servers.
    pub grpc: Endpoints,
    /// The bridges.
    pub http: Endpoints,
    /// Everybody who submits.
    pub users: Vec<Arc<User>>,
    pub admin: Arc<User>,
    /// No new work from here on.
    pub calm: CancellationToken,
    /// Everybody finishes what is left to do.
    pub over: CancellationToken,
}

/// A user and their jobs.
pub struct User {
    pub name: String,
    pub token: String,
    pub recent: Mutex<VecDeque<OwnJob>>,
    /// All jobs, with the cursors their submits gave.
    pub all: Mutex<Vec<(String, String)>>,
    /// Jobs that were removed, or may have been.
    pub deleted: Mutex<HashSet<String>>,
}

/// A job of a user.
#[derive(Clone, Debug)]
pub struct OwnJob {
    /// Its id.
    pub job: String,
    /// From its submit.
    pub cursor: String,
    pub document: String,
    pub batch: String,
    /// When its submitter was done with it.
    pub since: Instant,
}

impl User {
    /// A user without jobs.
    pub fn new(name: &str, token: String) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            token,
            recent: Mutex::default(),
            all: Mutex::default(),
            deleted: Mutex::default(),
        })
    }

    pub fn add(&self, mine: OwnJob) {
        self.all.lock().push((mine.job.clone(), mine.cursor.clone()));
        let mut recent = self.recent.lock();
        recent.push_back(mine);
        if recent.len() > RECENT {
            recent.pop_front();
        }
    }

    /// One of the newest jobs.
    pub fn any(&self, rng: &mut fastrand::Rng) -> Option<OwnJob> {
        let recent = self.recent.lock();
        (!recent.is_empty()).then(|| recent[rng.usize(0..recent.len())].clone())
    }
}

/// What a refusal means: codes that say nothing about the call are unknown outcomes.
pub fn outcome(code: &str) -> Outcome {
    match code {
        "" | "STORAGE_UNAVAILABLE" | "DRAINING" | "BUSY" | "SERVER_UNAVAILABLE" | "INTERNAL" | "WRONG_ORDER" => {
            Outcome::Unknown
        }
        code => Outcome::Refused(code.to_owned()),
    }
}
