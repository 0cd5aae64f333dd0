//! Which jobs a room follows, as a watch on the core.
//!
//! A single job is followed live as its owner's document, and other jobs of that document are left out: a watch on the
//! job itself ends with it, and a retry from anywhere would go unseen.

use std::sync::Arc;
use std::time::Duration;

use courant_proto::v1;

use crate::wire::Topic;

/// Which jobs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// The name clients know.
    pub topic: Topic,
    /// Whose jobs; `-` for everybody's.
    pub owner: String,
    /// For one job: its document.
    pub document: Option<String>,
}

impl Source {
    /// One job.
    pub fn job(job: &v1::Job) -> Self {
        let topic = Topic::Job(job.job_id.clone());
        Self { topic, owner: job.owner.clone(), document: Some(job.document_id.clone()) }
    }

    /// The topic's name, shared by all its messages.
    pub fn name(&self) -> Arc<str> {
        self.topic.to_string().into()
    }

    /// The watch on the core.
    pub fn watch(&self, after: &str, interval: Duration) -> v1::WatchJobsRequest {
        let (document, batch) = match &self.topic {
            Topic::Job(_) => (self.document.as_deref(), None),
            Topic::Document(id) => (Some(id.as_str()), None),
            Topic::Batch(id) => (None, Some(id.as_str())),
            Topic::Mine | Topic::Notifications | Topic::Devices | Topic::Queue | Topic::Admin => (None, None),
        };
        v1::WatchJobsRequest {
            owner: self.owner.clone(),
            document_id: document.unwrap_or_default().to_owned(),
            batch_id: batch.unwrap_or_default().to_owned(),
            after_cursor: after.to_owned(),
            min_interval: prost_types::Duration::try_from(interval).ok(),
            fail_on_gap: false,
        }
    }

    /// The one job it is about, if it is about one.
    pub fn only(&self) -> Option<&str> {
        match &self.topic {
            Topic::Job(id) => Some(id),
            Topic::Document(_)
            | Topic::Batch(_)
            | Topic::Mine
            | Topic::Notifications
            | Topic::Devices
            | Topic::Queue
            | Topic::Admin => None,
        }
    }

    /// Whether a job of the watch belongs to it.
    pub fn holds(&self, job: Option<&v1::Job>) -> bool {
        self.only().is_none_or(|only| job.is_some_and(|job| job.job_id == only))
    }
}
