//! Follows the log and makes a notification of each job that ended by itself.

use std::sync::Arc;

use courant_engine::engine::PAGE;
use courant_joblog::event::Change;
use courant_joblog::ids::Revision;
use courant_joblog::job::Job;
use courant_joblog::log::{Entry, Filter, ReadError, Record};
use courant_proto::v1::NotificationSeverity;
use tokio::time::Instant;

use super::inbox::{NotificationInbox, SWEEP_EVERY};
use super::store::{Draft, StoreError};
use crate::services::Services;

#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    Log(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Follows for ever. Notifications are not worth the service: what fails is tried again.
pub async fn run(services: Arc<Services>, notifications: Arc<NotificationInbox>) {
    while let Err(error) = follow(&services, &notifications).await {
        tracing::error!(%error, "notification follower failed, retrying");
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    }
}

async fn follow(services: &Services, notifications: &NotificationInbox) -> Result<(), FollowError> {
    let mut head = services.engine.log.head();
    let newest = *head.borrow_and_update();
    let mut after = begin(services, notifications, newest).await?;
    let mut swept = Instant::now();
    loop {
        let page = services.engine.log.read(after, &Filter::All, PAGE).await?;
        let Some(last) = page.last() else {
            tokio::select! {
                moved = head.changed() => if moved.is_err() { return Ok(()) },
                () = tokio::time::sleep_until(swept + SWEEP_EVERY) => {
                    swept = Instant::now();
                    notifications.sweep().await?;
                }
            }
            continue;
        };
        after = last.revision;
        let drafts: Vec<_> = page.iter().filter_map(|entry| draft(entry)).collect();
        let owners: Vec<_> = drafts.iter().filter_map(|draft| draft.owner.clone()).collect();
        // A page without an end of a job is read again after a crash, and gives nothing again.
        if !drafts.is_empty() {
            let position = (services.engine.log.info().current().id, after);
            notifications.with(move |store| store.insert(&drafts, Some(position))).await?;
            owners.iter().for_each(|owner| notifications.wake(Some(owner)));
        }
        if swept.elapsed() > SWEEP_EVERY {
            swept = Instant::now();
            notifications.sweep().await?;
        }
    }
}

/// Where it stopped last; the end of the log when that cannot be known: nobody is notified of old jobs again.
async fn begin(
    services: &Services,
    notifications: &NotificationInbox,
    head: Revision,
) -> Result<Revision, FollowError> {
    let known = notifications.with(super::store::Store::followed).await?;
    let info = services.engine.log.info();
    if let Some((_, revision)) = known.filter(|(epoch, revision)| info.covers(*epoch, *revision)) {
        return Ok(revision);
    }
    let position = (info.current().id, head);
    notifications.with(move |store| store.insert(&[], Some(position))).await?;
    Ok(head)
}

fn draft(entry: &Entry) -> Option<Draft> {
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
    })
}

fn name(job: &Job) -> &str {
    let name: &str = &job.document.name;
    if name.is_empty() { job.document.id.as_str() } else { name }
}
