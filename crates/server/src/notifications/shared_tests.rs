//! Servers on one log have the same notifications, under the same numbers, whichever of them was asked, and also one that begins with
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use courant_auth::Secret;
use courant_engine::testing::submission;
use courant_joblog::apply::apply;
use courant_joblog::event::{Change, Event};
use courant_joblog::ids::{JobId, Revision, Timestamp, WorkerId};
use courant_joblog::job::{Job, JobError};
use courant_joblog::log::{Append, Filter, Key, Log, Record};
use courant_joblog::memory::MemoryLog;
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::follow::follow;
use super::inbox::NotificationInbox;
use super::shared::SharedNotes;
use super::store::{Bounds, Draft, MESSAGE, Store, StoredNotification};
use super::subscription::Subscription;
use crate::seal::Sealer;

/// Notifications of one user that are kept: few, and so many that none has to go.
const FEW: usize = 4;
const MANY: usize = 100;
const USERS: [&str; 2] = ["alice", "bob"];

/// A server of which there are only the notifications.
struct Server {
    inbox: Arc<NotificationInbox>,
    following: JoinHandle<()>,
    _folder: TempDir,
}

impl Server {
    fn start(log: &Arc<MemoryLog>, per_user: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bounds = Bounds { per_user, age_ms: 1_000_000_000 };
        let sealer = Sealer::new(&Secret::new([7; 32]).unwrap(), "test");
        let shared = SharedNotes::new(&**log, sealer).unwrap();
        let store = Store::open(folder.path(), bounds).unwrap();
        let inbox = Arc::new(NotificationInbox::sharing(store, shared, log.info().current().id));
        let (log, of) = (log.clone(), inbox.clone());
        let following = tokio::spawn(async move { drop(follow(&*log, &of).await) });
        Self { inbox, following, _folder: folder }
    }

    /// Waits until all is applied that is in the log.
    async fn caught_up(&self, log: &MemoryLog) {
        let arrived = *log.notes().unwrap().arrived().borrow();
        self.inbox.shared.as_ref().unwrap().applied_up_to(arrived).await.unwrap();
    }

    fn shown(&self, user: &str) -> (Vec<StoredNotification>, i64) {
        (self.inbox.store.newest(user, 100, false).unwrap(), self.inbox.store.unread(user).unwrap())
    }

    async fn send(&self, owner: Option<&str>, id: &str) {
        let draft = Draft {
            id: id.into(),
            owner: owner.map(Into::into),
            kind: MESSAGE,
            severity: 1,
            title: format!("title of {id}"),
            body: String::new(),
            job: String::new(),
            made: Timestamp::now(),
            revision: None,
        };
        self.inbox.insert(draft, owner.unwrap_or("ops").to_owned()).await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.following.abort();
    }
}

async fn newest(log: &MemoryLog, id: &str) -> Option<(Revision, Arc<Job>)> {
    let entries = log.read(Revision::ZERO, &Filter::Job(JobId::new(id)), 1000).await.unwrap();
    match &entries.last()?.record {
        Record::Changed { job, .. } => Some((entries.last()?.revision, job.clone())),
        Record::Forgotten => None,
    }
}

async fn change(log: &MemoryLog, id: &str, change: Change) {
    let before = newest(log, id).await;
    let event = Event::new(Timestamp::now(), change);
    let Ok(job) = apply(before.as_ref().map(|(_, job)| &**job), &event) else { return };
    let expect = before.map(|(revision, _)| revision);
    log.append(Append::one(expect, event, Arc::new(job))).await.unwrap();
}

/// A job fails; one that has failed already is tried again first.
async fn fail(log: &MemoryLog, id: &str, owner: &str) {
    change(log, id, Change::Submitted(Box::new(submission(id, owner)))).await;
    change(log, id, Change::Requeued { by: "ops".into(), password: None }).await;
    let attempt = newest(log, id).await.unwrap().1.attempt + 1;
    change(log, id, Change::Started { attempt, worker: WorkerId::new("w") }).await;
    let error = JobError { code: "BROKEN".into(), message: "it is broken".into(), retryable: false };
    change(log, id, Change::Failed { attempt, error }).await;
}

async fn forget(log: &MemoryLog, id: &str) {
    if let Some((revision, job)) = newest(log, id).await {
        log.forget(&Key::of(&job), revision).await.unwrap();
    }
}

fn subscription(number: usize) -> Subscription {
    Subscription { endpoint: format!("https://push/{number}"), p256dh: vec![4; 65], auth: vec![7; 16] }
}

#[derive(Clone, Debug)]
enum Act {
    Fail {
        job: usize,
        user: usize,
    },
    Forget {
        job: usize,
    },
    Send {
        user: Option<usize>,
        id: usize,
    },
    Read {
        user: usize,
        newest: Option<usize>,
    },
    Subscribe {
        user: usize,
        browser: usize,
    },
    Unsubscribe {
        user: usize,
        browser: usize,
    },
    Sent {
        user: usize,
        browser: usize,
    },
    /// A server starts again with an empty folder.
    Replace,
}

fn act() -> impl Strategy<Value = Act> {
    let user = || 0..USERS.len();
    prop_oneof![
        4 => (0..6_usize, user()).prop_map(|(job, user)| Act::Fail { job, user }),
        1 => (0..6_usize).prop_map(|job| Act::Forget { job }),
        3 => (prop::option::of(user()), 0..20_usize).prop_map(|(user, id)| Act::Send { user, id }),
        3 => (user(), prop::option::of(0..3_usize)).prop_map(|(user, newest)| Act::Read { user, newest }),
        2 => (user(), 0..4_usize).prop_map(|(user, browser)| Act::Subscribe { user, browser }),
        1 => (user(), 0..4_usize).prop_map(|(user, browser)| Act::Unsubscribe { user, browser }),
        1 => (user(), 0..4_usize).prop_map(|(user, browser)| Act::Sent { user, browser }),
        1 => Just(Act::Replace),
    ]
}

async fn perform(log: &Arc<MemoryLog>, servers: &mut [Server; 2], at: usize, act: Act, per_user: usize) {
    let inbox = servers[at].inbox.clone();
    match act {
        Act::Fail { job, user } => fail(log, &format!("J{job}-{user}"), USERS[user]).await,
        Act::Forget { job } => forget(log, &format!("J{job}-0")).await,
        Act::Send { user, id } => servers[at].send(user.map(|user| USERS[user]), &format!("m{id}-{user:?}")).await,
        Act::Read { user, newest } => {
            let shown = inbox.store.newest(USERS[user], newest.unwrap_or(0), false).unwrap();
            let ids = shown.into_iter().map(|notification| notification.id).collect();
            inbox.mark_read(USERS[user].into(), ids).await.unwrap();
        }
        Act::Subscribe { user, browser } => {
            inbox.subscribe(USERS[user].into(), subscription(browser), 2).await.unwrap();
        }
        Act::Unsubscribe { user, browser } => {
            inbox.unsubscribe(USERS[user].into(), subscription(browser).endpoint).await.unwrap();
        }
        Act::Sent { user, browser } => {
            let change = inbox.store.change().unwrap();
            inbox.was_sent(USERS[user].into(), subscription(browser).endpoint, change).await.unwrap();
        }
        // Where some had to go it may keep older ones longer: it did not see those that took their places and went again.
        Act::Replace if per_user == MANY => servers[at] = Server::start(log, per_user),
        Act::Replace => {}
    }
}

/// Each subscription with what it is still to be sent.
fn unsent(server: &Server) -> Vec<(String, String, Vec<String>)> {
    let deliveries = server.inbox.store.subscriptions(None).unwrap().into_iter();
    let mut all: Vec<_> = deliveries
        .map(|delivery| {
            let endpoint = delivery.subscription.endpoint;
            let unsent = server.inbox.store.unsent(&endpoint, Timestamp(0), 100).unwrap();
            (delivery.owner, endpoint, unsent.into_iter().map(|notification| notification.id).collect())
        })
        .collect();
    all.sort();
    all
}

fn run<T>(story: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(story)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn servers_have_the_same_notifications(
        acts in prop::collection::vec((0..2_usize, act()), 0..40),
        per_user in prop::sample::select(vec![FEW, MANY]),
    ) {
        run(async {
            let log = Arc::new(MemoryLog::shared());
            let mut servers = [Server::start(&log, per_user), Server::start(&log, per_user)];
            for (at, act) in acts {
                perform(&log, &mut servers, at, act, per_user).await;
                // Who asks next may ask the other server, and sees the same.
                for server in &servers {
                    server.caught_up(&log).await;
                }
            }
            if per_user == MANY {
                perform(&log, &mut servers, 1, Act::Replace, per_user).await;
                servers[1].caught_up(&log).await;
            }
            let [one, other] = &servers;
            for user in USERS {
                prop_assert_eq!(one.shown(user), other.shown(user));
            }
            prop_assert_eq!(unsent(one), unsent(other));
            Ok(())
        })?;
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_of_one_server_is_good_at_another() {
    let log = Arc::new(MemoryLog::shared());
    let (one, other) = (Server::start(&log, MANY), Server::start(&log, MANY));
    one.send(Some("alice"), "first").await;
    let cursor = one.inbox.store.change().unwrap();
    fail(&log, "J", "alice").await;
    other.send(None, "second").await;
    other.inbox.mark_read("alice".into(), vec!["first".into()]).await.unwrap();
    assert_eq!(one.inbox.id, other.inbox.id);
    for server in [&one, &other] {
        server.caught_up(&log).await;
        let changed = server.inbox.store.after("alice", cursor, 100).unwrap();
        let changed: Vec<_> = changed.iter().map(|notification| &*notification.id).collect();
        assert_eq!((changed.len(), &changed[1..]), (3, &["second", "first"][..]), "{changed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_sent_again_at_another_server_is_one() {
    let log = Arc::new(MemoryLog::shared());
    let (one, other) = (Server::start(&log, MANY), Server::start(&log, MANY));
    one.send(Some("alice"), "by-ops-1").await;
    other.send(Some("alice"), "by-ops-1").await;
    assert_eq!((one.shown("alice").1, other.shown("alice").1), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_kept_any_more_is_not_in_the_log_either() {
    let log = Arc::new(MemoryLog::shared());
    let server = Server::start(&log, FEW);
    for number in 0..3 * FEW {
        server.send(Some("alice"), &number.to_string()).await;
    }
    let all = log.notes().unwrap().read(Revision::ZERO, Revision(u64::MAX), 1000).await.unwrap();
    assert_eq!((all.len(), server.shown("alice").0.len()), (FEW, FEW));
    server.inbox.mark_read("alice".into(), Vec::new()).await.unwrap();
    server.inbox.wall.set_by.store(2_000_000_000, std::sync::atomic::Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(2_000_000_000)).await;
    server.inbox.sweep().await.unwrap();
    assert!(server.shown("alice").0.is_empty());
    let left = log.notes().unwrap().read(Revision::ZERO, Revision(u64::MAX), 1000).await.unwrap();
    assert!(left.len() <= 1, "only that all were read, which came after them: {}", left.len());
}
