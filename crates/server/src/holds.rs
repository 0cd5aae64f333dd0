//! Holds on jobs' files: storing a job's document and removing a job's files exclude each other.
//!
//! Of one server. With several on one store, each job has a folder of its own there (`job_folder`), so that none of them can
//! remove what another has made again; and what one of them may be about to use is told by its age (`retention::orphans`).

use std::collections::HashMap;
use std::sync::Arc;

use courant_joblog::ids::JobId;
use parking_lot::Mutex;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// All holds. Knows only the ids that are held or waited for.
#[derive(Debug, Default)]
pub struct Holds(Arc<Mutex<HashMap<JobId, Arc<Turn<()>>>>>);

/// The files of one job, for as long as this lives.
#[derive(Debug)]
pub struct Hold {
    // Dropped before the ticket, which checks who else is there.
    _turn: OwnedMutexGuard<()>,
    _ticket: Ticket,
}

#[derive(Debug)]
struct Ticket {
    holds: Arc<Mutex<HashMap<JobId, Arc<Turn<()>>>>>,
    id: JobId,
    turn: Arc<Turn<()>>,
}

impl Holds {
    /// Waits for the job's files.
    pub async fn take(&self, id: &JobId) -> Hold {
        let turn = self.0.lock().entry(id.clone()).or_default().clone();
        let ticket = Ticket { holds: self.0.clone(), id: id.clone(), turn: turn.clone() };
        Hold { _turn: turn.lock_owned().await, _ticket: ticket }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut holds = self.holds.lock();
        // The map's own and this one: nobody else holds it or waits.
        if Arc::strong_count(&self.turn) == 2 {
            holds.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_is_left_behind() {
        let (holds, id) = (Holds::default(), JobId::new("J"));
        let first = holds.take(&id).await;
        assert!(holds.take(&id).now_or_never().is_none(), "held, and the wait was given up");
        let _other = holds.take(&JobId::new("K")).await;
        drop(first);
        let second = holds.take(&id).now_or_never().expect("it is free again");
        assert_eq!(holds.0.lock().len(), 2);
        drop(second);
        assert_eq!(holds.0.lock().len(), 1);
    }
}
