//! The attempt that a message refers to.

use courant_engine::attempt::AttemptId;
use courant_proto::v1::AttemptRef;

use crate::convert::job_id;
use crate::error::Error;

/// Reads the attempt that a message refers to.
pub(super) fn attempt_in(attempt: Option<AttemptRef>) -> Result<AttemptId, Error> {
    let attempt = attempt.ok_or_else(|| Error::field("attempt", "must be set"))?;
    let number = u32::try_from(attempt.attempt).ok().filter(|number| *number > 0);
    let number = number.ok_or_else(|| Error::field("attempt.attempt", "must be at least 1"))?;
    Ok(AttemptId { job: job_id(&attempt.job_id)?, number })
}
