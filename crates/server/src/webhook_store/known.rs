//! A webhook in memory.

use std::sync::Arc;

use super::endpoint::Endpoint;
use super::progress::Progress;

/// An endpoint and how far it was sent to.
#[derive(Clone, Debug)]
pub struct Known {
    pub endpoint: Arc<Endpoint>,
    /// None before anything was sent.
    pub progress: Option<Arc<Progress>>,
}

impl Known {
    /// The progress of the endpoint's generation.
    pub fn current(&self) -> Progress {
        let endpoint = &self.endpoint;
        match &self.progress {
            Some(progress) if progress.generation >= endpoint.generation => (**progress).clone(),
            Some(progress) => {
                let mut next = (**progress).clone();
                next.generation = endpoint.generation;
                (next.failing_since, next.switched_off) = (None, None);
                if progress.generation < endpoint.start_generation {
                    (next.position, next.waiting) = (endpoint.start, Vec::new());
                }
                // Its owner says that it works again.
                next.waiting.iter_mut().for_each(|job| job.due = 0);
                next
            }
            None => Progress::starting_at(endpoint.id.clone(), endpoint.generation, endpoint.start),
        }
    }

    /// Whether it is sent to.
    pub fn is_on(&self) -> bool {
        self.endpoint.is_wanted() && self.current().switched_off.is_none()
    }
}
