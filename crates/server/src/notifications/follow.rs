//! Follows the log and makes a notification of each job that ended by itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use courant_engine::engine::PAGE;
use courant_joblog::event::Change;
use courant_joblog::ids::Revision;
use courant_joblog::job::Job;
use courant_joblog::log::{Entry, Filter, Log, ReadError, Record};
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

/// Notifications made in one transaction, and pages of the log that are looked through for it: what came while the last one
/// was written, up to this much.
const MAX_DRAFTS: usize = 2048;
const MAX_PAGES: usize = 16;
/// Between two times that it is kept how far the log was looked through when no notification came of it. What came after is
/// looked through again after a crash, and gives nothing again.
const POSITION_EVERY: Duration = Duration::from_secs(10);
/// Between two transactions with notifications. The first after a pause is written at once; while many jobs end, those of this
/// time are one transaction, and of one owner's those that would not be kept are not even written.
const BATCH_FOR: Duration = Duration::from_millis(200);

/// Follows for ever. Notifications are not worth the service: what fails is tried again.
pub async fn run(services: Arc<Services>, notifications: Arc<NotificationInbox>) {
    while let Err(error) = follow(&*services.engine.log, &notifications).await {
        tracing::error!(%error, "notification follower failed, retrying");
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

async fn follow(log: &dyn Log, notifications: &NotificationInbox) -> Result<(), FollowError> {
    let mut head = log.head();
    let newest = *head.borrow_and_update();
    let mut after = begin(log, notifications, newest).await?;
    let (mut swept, mut kept, mut kept_at) = (Instant::now(), after, Instant::now());
    let mut batch_until = Instant::now();
    loop {
        tokio::time::sleep_until(batch_until).await;
        let (drafts, last) = read(log, after).await?;
        let waits = last == after;
        after = last;
        if !drafts.is_empty() {
            batch_until = Instant::now() + BATCH_FOR;
        }
        if !drafts.is_empty() || after > kept && kept_at.elapsed() >= POSITION_EVERY {
            let owners: BTreeSet<_> = drafts.iter().filter_map(|draft| draft.owner.clone()).collect();
            let position = (log.info().current().id, after);
            notifications.with(move |store| store.insert(&drafts, Some(position))).await?;
            owners.iter().for_each(|owner| notifications.wake(Some(owner)));
            (kept, kept_at) = (after, Instant::now());
        }
        if swept.elapsed() >= SWEEP_EVERY {
            swept = Instant::now();
            notifications.sweep().await?;
        }
        if waits {
            let due = if after > kept { kept_at + POSITION_EVERY } else { swept + SWEEP_EVERY };
            tokio::select! {
                moved = head.changed() => if moved.is_err() { return Ok(()) },
                () = tokio::time::sleep_until(due.min(swept + SWEEP_EVERY)) => {}
            }
        }
    }
}

/// The notifications that come of the next entries after one, and the last of these entries.
async fn read(log: &dyn Log, mut after: Revision) -> Result<(Vec<Draft>, Revision), FollowError> {
    let mut drafts = Vec::new();
    for _ in 0..MAX_PAGES {
        let page = log.read(after, &Filter::All, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.revision;
        drafts.extend(page.iter().filter_map(|entry| draft(entry)));
        if page.len() < PAGE || drafts.len() + PAGE > MAX_DRAFTS {
            break;
        }
    }
    Ok((drafts, after))
}

/// Where it stopped last; the end of the log when that cannot be known: nobody is notified of old jobs again.
async fn begin(log: &dyn Log, notifications: &NotificationInbox, head: Revision) -> Result<Revision, FollowError> {
    let known = notifications.with(super::store::Store::followed).await?;
    let info = log.info();
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

#[cfg(test)]
mod tests {
    use courant_engine::testing::submission;
    use courant_joblog::apply::apply;
    use courant_joblog::event::Event;
    use courant_joblog::ids::{Timestamp, WorkerId};
    use courant_joblog::job::JobError;
    use courant_joblog::log::Append;
    use courant_joblog::memory::MemoryLog;

    use super::super::store::tests::commits;
    use super::super::store::{Bounds, Store};
    use super::*;

    /// A job that failed: three entries, of which the last makes a notification.
    async fn end(log: &MemoryLog, id: &str, owner: &str) {
        let error = JobError { code: "BROKEN".into(), message: "it is broken".into(), retryable: false };
        let changes = [
            Change::Submitted(Box::new(submission(id, owner))),
            Change::Started { attempt: 1, worker: WorkerId::new("w") },
            Change::Failed { attempt: 1, error },
        ];
        let (mut job, mut expect) = (None, None);
        for change in changes {
            let event = Event::new(Timestamp::now(), change);
            let next = Arc::new(apply(job.as_deref(), &event).unwrap());
            expect = Some(log.append(Append::one(expect, event, next.clone())).await.unwrap());
            job = Some(next);
        }
    }

    fn open(folder: &std::path::Path) -> NotificationInbox {
        NotificationInbox::new(Store::open(folder, Bounds { per_user: 500, age_ms: 1_000_000_000 }).unwrap())
    }

    /// Follows until a user has so many notifications.
    async fn follow_until(log: &MemoryLog, notifications: &NotificationInbox, user: &str, unread: i64) {
        let mut changes = notifications.changes(user);
        let reached = async {
            while notifications.store.unread(user).unwrap() < unread {
                changes.changed().await.unwrap();
            }
        };
        tokio::select! {
            ended = follow(log, notifications) => panic!("{ended:?}"),
            () = reached => {}
        }
    }

    fn from_the_start(log: &MemoryLog, notifications: &NotificationInbox) {
        notifications.store.insert(&[], Some((log.info().current().id, Revision::ZERO))).unwrap();
    }

    #[tokio::test]
    async fn what_has_come_is_kept_in_one_transaction_and_following_again_makes_nothing_twice() {
        let (log, folder) = (MemoryLog::new(), tempfile::tempdir().unwrap());
        for number in 0..600 {
            end(&log, &format!("J{number}"), &format!("owner-{}", number % 100)).await;
        }
        end(&log, "last", "zoe").await;
        let notifications = open(folder.path());
        from_the_start(&log, &notifications);
        let before = commits(&notifications.store);
        follow_until(&log, &notifications, "zoe", 1).await;
        assert_eq!(commits(&notifications.store) - before, 1, "of 1803 entries in four pages");
        assert_eq!(notifications.store.unread("owner-7").unwrap(), 6);
        let change = notifications.store.change().unwrap();
        // As after a crash of a disk that lost the position, or of a process before it was kept.
        from_the_start(&log, &notifications);
        end(&log, "one-more", "zoe").await;
        follow_until(&log, &notifications, "zoe", 2).await;
        assert_eq!(notifications.store.unread("owner-7").unwrap(), 6);
        assert_eq!(notifications.store.change().unwrap(), change + 1, "one that is new");
    }

    #[tokio::test]
    async fn a_follower_that_is_ended_anywhere_goes_on_where_it_was() {
        let (log, folder) = (MemoryLog::new(), tempfile::tempdir().unwrap());
        from_the_start(&log, &open(folder.path()));
        let mut random = fastrand::Rng::with_seed(3);
        for number in 0..50 {
            end(&log, &format!("J{number}"), "alice").await;
            // Another process each time. What it did not commit is not there.
            let notifications = open(folder.path());
            let steps = async {
                for _ in 0..random.u32(..40) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                ended = follow(&log, &notifications) => panic!("{ended:?}"),
                () = steps => {}
            }
            // What it was writing is written or not, but not at the same time as what comes next.
            while Arc::strong_count(&notifications.store) > 1 {
                tokio::task::yield_now().await;
            }
        }
        let notifications = open(folder.path());
        follow_until(&log, &notifications, "alice", 50).await;
        assert_eq!(notifications.store.unread("alice").unwrap(), 50);
    }

    #[tokio::test(start_paused = true)]
    async fn entries_of_which_no_notification_comes_cost_a_transaction_in_a_while() {
        let (log, folder) = (Arc::new(MemoryLog::new()), tempfile::tempdir().unwrap());
        let notifications = open(folder.path());
        from_the_start(&log, &notifications);
        let before = commits(&notifications.store);
        let appending = log.clone();
        let appended = async move {
            for number in 0..200 {
                let event = Event::new(
                    Timestamp::now(),
                    Change::Submitted(Box::new(submission(&format!("J{number}"), "alice"))),
                );
                let job = Arc::new(apply(None, &event).unwrap());
                appending.append(Append::one(None, event, job)).await.unwrap();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            tokio::time::sleep(2 * POSITION_EVERY).await;
        };
        tokio::select! {
            ended = follow(&*log, &notifications) => panic!("{ended:?}"),
            () = appended => {}
        }
        let made = commits(&notifications.store) - before;
        assert!((2..=4).contains(&made), "{made} in 40 seconds");
        assert_eq!(notifications.store.followed().unwrap().unwrap().1, *log.head().borrow());
    }
}
