//! One JSON object per line: the messages of the browser protocol, `bridge/PROTOCOL.md`.

use std::sync::Arc;

use courant_bridge::wire::encode::Push;

use super::View;
use crate::failure::Failure;
use crate::follow::Update;
use crate::out;

/// Every message, as it comes.
pub struct Json;

impl View for Json {
    fn show(&mut self, job_id: &str, update: Update) -> Result<(), Failure> {
        let topic: Arc<str> = format!("job/{job_id}").into();
        let push = match update {
            Update::Snapshot(job) => Some(Push::snapshot(&topic, &job)),
            Update::Event { cursor, event } => Push::event(&topic, cursor, &event),
            Update::Live { cursor } => Some(Push::live(&topic, &cursor)),
            Update::Gap(reason) => Some(Push::gap(&topic, reason)),
            Update::Interrupted(_) | Update::Ended(_) => None,
        };
        for frame in push.iter().flat_map(|push| push.frames.iter()) {
            out::line(frame.as_str())?;
        }
        Ok(())
    }

    fn failed(&mut self, job_id: &str, failure: &Failure) {
        eprintln!("courant: {job_id}: {failure}");
    }
}
