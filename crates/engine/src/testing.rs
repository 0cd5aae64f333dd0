//! Jobs and engines for tests, also those of other crates.

use std::sync::Arc;
use std::time::Duration;

use courant_joblog::apply::apply;
use courant_joblog::event::{Change, Event, Submission};
use courant_joblog::ids::{DocumentId, Timestamp};
use courant_joblog::job::{Document, Job};
use courant_joblog::log::{Log, ReadError};
use courant_joblog::samples;

use crate::config::Config;
use crate::engine::Engine;
use crate::projection::Projections;
use crate::view::Weights;

/// What somebody who asks for nothing in particular submits.
pub fn submission(id: &str, owner: &str) -> Submission {
    let document = Document { id: DocumentId::new("D"), name: "a.pdf".into(), bytes: 1, sha256: "00".into() };
    Submission { document, ..samples::minimal_submission(id, owner) }
}

/// A job that waits for its first attempt.
pub fn queued(id: &str, owner: &str) -> Job {
    let change = Change::Submitted(Box::new(submission(id, owner)));
    apply(None, &Event::new(Timestamp(1), change)).expect("a job can be submitted")
}

/// The limits of a server that was given none.
pub fn config() -> Config {
    Config {
        weights: Weights::default(),
        owner_share: 0.75,
        owner_running: 0,
        owner_weights: Default::default(),
        kind_running: Default::default(),
        watch_buffer: 1024,
        bookmark_interval: Duration::from_secs(25),
    }
}

/// An engine that follows its log, in a task of the caller's runtime.
pub async fn follow(config: Config, log: Arc<dyn Log>, projections: Projections) -> Result<Arc<Engine>, ReadError> {
    let engine = Arc::new(Engine::open(config, log, projections).await?);
    let follower = engine.clone();
    tokio::spawn(async move { follower.follow().await });
    Ok(engine)
}
