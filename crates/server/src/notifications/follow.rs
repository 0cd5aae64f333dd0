//! Follows the log and makes a notification of each job that ended by itself.

use std::sync::Arc;
use std::time::Duration;

use courant_engine::engine::PAGE;
use courant_joblog::ids::Revision;
use courant_joblog::log::{Entry, Filter, Log, ReadError};
use tokio::time::Instant;

use super::draft::draft;
use super::inbox::{NotificationInbox, SWEEP_EVERY};
use super::shared::{SharedNotes, Step};
use super::store::{Draft, Item, StoreError, What};
use crate::services::Services;

#[derive(Debug, thiserror::Error)]
pub(super) enum FollowError {
    #[error(transparent)]
    Log(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Notifications made in one transaction, and pages of the log that are looked through for it: what came while the last one
/// was written, up to this much.
const MAX_ITEMS: usize = 2048;
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

pub(super) async fn follow(log: &dyn Log, notifications: &NotificationInbox) -> Result<(), FollowError> {
    let mut arrived = notifications.shared.as_ref().map_or_else(|| log.head(), SharedNotes::arrived);
    let newest = *arrived.borrow_and_update();
    let mut after = begin(log, notifications, newest).await?;
    let (mut swept, mut kept, mut kept_at) = (Instant::now(), after, Instant::now());
    let mut batch_until = Instant::now();
    loop {
        tokio::time::sleep_until(batch_until).await;
        let (items, last) = read(log, notifications, after).await?;
        let waits = last == after;
        after = last;
        if items.iter().any(|item| matches!(item.what, What::JobEnded(_))) {
            batch_until = Instant::now() + BATCH_FOR;
        }
        if !items.is_empty() || after > kept && kept_at.elapsed() >= POSITION_EVERY {
            notifications.apply(items, Some((log.info().current().id, after))).await?;
            (kept, kept_at) = (after, Instant::now());
        }
        notifications.set_applied(after);
        if swept.elapsed() >= SWEEP_EVERY {
            swept = Instant::now();
            notifications.sweep().await?;
        }
        if waits {
            let due = if after > kept { kept_at + POSITION_EVERY } else { swept + SWEEP_EVERY };
            tokio::select! {
                moved = arrived.changed() => if moved.is_err() { return Ok(()) },
                () = tokio::time::sleep_until(due.min(swept + SWEEP_EVERY)) => {}
            }
        }
    }
}

/// What comes next after a revision, and the revision up to which it is all.
async fn read(log: &dyn Log, notifications: &NotificationInbox, mut after: Revision) -> Result<Step, FollowError> {
    let mut items = Vec::new();
    for _ in 0..MAX_PAGES {
        let (more, last) = match &notifications.shared {
            Some(shared) => shared.next(log, after).await?,
            None => next(log, after).await?,
        };
        let is_end = last == after;
        after = last;
        items.extend(more);
        if is_end || items.len() + PAGE > MAX_ITEMS {
            break;
        }
    }
    Ok((items, after))
}

/// What comes next where there are no notes.
async fn next(log: &dyn Log, after: Revision) -> Result<Step, FollowError> {
    let page = log.read(after, &Filter::All, PAGE).await?;
    let last = page.last().map_or(after, |entry| entry.revision);
    // Changes have numbers of their own here.
    let ended = |draft| What::JobEnded(Draft { revision: None, ..draft });
    let items = page.iter().filter_map(|entry| Some(Item { revision: entry.revision, what: ended(draft(entry)?) }));
    Ok((items.collect(), last))
}

/// Where it stopped last. When that cannot be known: the end of the log, so that nobody is notified of old jobs again; but what
/// servers share is made again from what there is.
async fn begin(log: &dyn Log, notifications: &NotificationInbox, head: Revision) -> Result<Revision, FollowError> {
    let known = notifications.with(super::store::Store::followed).await?;
    let info = log.info();
    if let Some((_, revision)) = known.filter(|(epoch, revision)| info.covers(*epoch, *revision)) {
        return Ok(revision);
    }
    let from = match &notifications.shared {
        Some(shared) => rebuild(log, shared, notifications).await?,
        None => head,
    };
    notifications.apply(Vec::new(), Some((info.current().id, from))).await?;
    Ok(from)
}

/// Makes the notifications again, of the jobs that are there and of the notes. Gives the revision up to which they are all.
async fn rebuild(
    log: &dyn Log,
    shared: &SharedNotes,
    notifications: &NotificationInbox,
) -> Result<Revision, FollowError> {
    notifications.with(super::store::Store::clear).await?;
    let mut latest = log.latest().await?;
    let mut after = Revision::ZERO;
    while let Some(entries) = latest.next().await? {
        let last = entries.last().map_or(after, |entry| entry.revision);
        after = apply_between(shared, notifications, &entries, after, last).await?;
    }
    apply_between(shared, notifications, &[], after, latest.revision).await
}

async fn apply_between(
    shared: &SharedNotes,
    notifications: &NotificationInbox,
    entries: &[Arc<Entry>],
    mut after: Revision,
    up_to: Revision,
) -> Result<Revision, FollowError> {
    while after < up_to {
        let left = entries.partition_point(|entry| entry.revision <= after);
        let (items, last) = shared.merge(&entries[left..], after, up_to).await?;
        notifications.apply(items, None).await?;
        after = last;
    }
    Ok(after)
}

#[cfg(test)]
mod tests {
    use courant_engine::testing::submission;
    use courant_joblog::apply::apply;
    use courant_joblog::event::{Change, Event};
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
