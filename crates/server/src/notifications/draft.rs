//! The notification that an entry of the log makes.

use courant_joblog::event::Change;
use courant_joblog::job::Job;
use courant_joblog::log::{Entry, Record};
use courant_proto::v1::NotificationSeverity;

use super::store::Draft;

/// None for what no one is notified of.
pub(super) fn draft(entry: &Entry) -> Option<Draft> {
    let Record::Changed { event, job } = &entry.record else { return None };
    let (kind, severity, title, body) = match &event.change {
        Change::Succeeded { .. } => {
            ("job-succeeded", NotificationSeverity::Success, format!("{} succeeded", name(job)), String::new())
        }
        Change::Failed { error, .. } => {
            ("job-failed", NotificationSeverity::Error, format!("{} failed", name(job)), error.message.to_string())
        }
        _ => return None,
    };
    Some(Draft {
        id: format!("job-{}-{}", job.id.as_str(), entry.revision.0),
        owner: Some(job.owner.as_str().to_owned()),
        kind,
        severity: severity.into(),
        title,
        body,
        job: job.id.as_str().to_owned(),
        made: event.at,
        revision: Some(entry.revision),
    })
}

fn name(job: &Job) -> &str {
    let name: &str = &job.document.name;
    if name.is_empty() { job.document.id.as_str() } else { name }
}
