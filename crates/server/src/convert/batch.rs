//! Batches on the wire.

use courant_engine::batches::Batch;
use courant_joblog::job::State;
use courant_proto::v1;

use super::job::time;

/// A batch as it is.
pub fn batch(batch: &Batch) -> v1::Batch {
    let count = |state: State| batch.states.get(&state).map_or(0, |count| *count as i32);
    v1::Batch {
        batch_id: batch.name.1.to_string(),
        owner: batch.name.0.to_string(),
        jobs_total: batch.total as i32,
        jobs_queued: count(State::Queued),
        jobs_running: count(State::Running),
        jobs_cancelling: count(State::Cancelling),
        jobs_succeeded: count(State::Succeeded),
        jobs_failed: count(State::Failed),
        jobs_cancelled: count(State::Cancelled),
        percent: batch.percent,
        pages_total: batch.pages_total as i64,
        pages_done: batch.pages_done as i64,
        complete: batch.complete,
        create_time: Some(time(batch.created)),
        end_time: batch.ended.map(time),
        revision: batch.revision.0 as i64,
    }
}
