//! The topic `notifications`: what one user is told and has read, from the core, which keeps it.
//!
//! One watch on the core per subscription: it goes at the client's pace, and holds nothing here.

use std::sync::Arc;
use std::time::Duration;

use courant_proto::v1;
use tokio::task::AbortHandle;
use tonic::Streaming;

use crate::backoff::pause;
use crate::config::Times;
use crate::fault::{Code, Fault};
use crate::ledger::{Share, User};
use crate::metrics::Metrics;
use crate::rooms::member::Member;
use crate::rooms::room::TELL_AFTER;
use crate::rooms::{Leave, Place, stream};
use crate::server::{ChannelLease, Core};
use crate::wire::encode::Push;
use crate::wire::message::{Ended, Mode, NotificationEvent, Subscribed};
use crate::wire::service::Notification;
use crate::wire::{ServerMessage, Topic};
use courant_shutdown::supervisor::Supervisor;

/// What a subscription needs.
pub struct Wish {
    /// The way to the core.
    pub core: Core,
    /// Pauses.
    pub times: Times,
    /// Counters.
    pub metrics: Metrics,
    /// Keeps the task.
    pub supervisor: Supervisor,
    /// Who is told.
    pub member: Arc<Member>,
    /// The user.
    pub user: Arc<User>,
    /// Continue from here.
    pub after: Option<String>,
    /// The command to answer.
    pub id: Option<u64>,
}

/// The watch, and its place on a connection to the core.
type Stream = (Streaming<v1::WatchNotificationsResponse>, ChannelLease);

/// The task that tells; ended with the subscription.
struct Teller {
    task: AbortHandle,
    member: Arc<Member>,
}

impl Leave for Teller {
    fn leave(&self, _: u64) {
        self.member.leave();
        self.task.abort();
    }
}

/// Begins to tell. Fails when the core does not answer.
pub async fn follow(wish: Wish) -> Result<Place, Fault> {
    let share = stream(&wish.user, &wish.metrics)?;
    let stream = open(&wish, wish.after.as_deref().unwrap_or_default()).await?;
    let (member, metrics, supervisor) = (wish.member.clone(), wish.metrics.clone(), wish.supervisor.clone());
    let teller = Tell {
        topic: Topic::Notifications.to_string().into(),
        cursor: String::new(),
        stage: Stage::Asked,
        wish,
        _share: share,
    };
    let task = supervisor.run("notifications", teller.run(stream));
    metrics.subscriptions.inc();
    let id = member.id;
    Ok(Place::new(Arc::new(Teller { task, member }), id, metrics))
}

async fn open(wish: &Wish, after: &str) -> Result<Stream, Fault> {
    let request = v1::WatchNotificationsRequest { user: wish.user.name().to_string(), after_cursor: after.to_owned() };
    let lease = wish.core.stream_channel();
    let stream = lease.notices().watch_notifications(wish.core.stream_own(request)?).await?.into_inner();
    Ok((stream, lease))
}

/// Where a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not answered yet.
    Asked,
    /// What was missed is being told.
    Replaying,
    /// Nothing is missing.
    Live,
}

struct Tell {
    wish: Wish,
    topic: Arc<str>,
    cursor: String,
    stage: Stage,
    /// The user's share in the streams from the core.
    _share: Share,
}

impl Tell {
    async fn run(mut self, stream: Stream) {
        let mut losses = 0;
        let mut stream = Ok(stream);
        loop {
            if let Ok(stream) = stream
                && let Err(fault) = self.hear(stream, &mut losses).await
            {
                tracing::debug!(%fault, "watch of notices lost");
            }
            losses += 1;
            self.wish.metrics.upstream_losses.inc();
            if losses == TELL_AFTER && self.stage == Stage::Live {
                self.stage = Stage::Replaying;
                let code = Code::CoreUnreachable.name().to_owned();
                self.mark(ServerMessage::Stalled(Ended { topic: self.topic.clone(), code }));
            }
            tokio::time::sleep(pause(losses, self.wish.times.backoff).max(Duration::from_millis(1))).await;
            let after = if self.stage == Stage::Asked { self.wish.after.clone() } else { Some(self.cursor.clone()) };
            stream = open(&self.wish, after.as_deref().unwrap_or_default()).await;
        }
    }

    async fn hear(&mut self, (mut stream, _lease): Stream, losses: &mut u32) -> Result<(), Fault> {
        while let Some(message) = stream.message().await? {
            *losses = 0;
            self.message(message).await;
        }
        Ok(())
    }

    async fn message(&mut self, message: v1::WatchNotificationsResponse) {
        let v1::WatchNotificationsResponse { notifications, unread, cursor, whole, live } = message;
        self.begin(whole);
        let last = notifications.len();
        for (place, notice) in (1..).zip(&notifications) {
            self.wish.member.outbox.has_room().await;
            let body = NotificationEvent {
                topic: self.topic.clone(),
                // Of those that come together only the last moves on.
                cursor: (place == last).then(|| cursor.clone()),
                unread,
                notification: Notification::from(notice),
            };
            let push = Push::notice(&self.topic, &notice.notification_id, body);
            self.wish.member.replay(Arc::new(push));
        }
        self.cursor.clone_from(&cursor);
        match (live, self.stage) {
            (true, Stage::Live) if last == 0 => {
                self.wish.member.outbox.has_room().await;
                self.wish.member.replay(Arc::new(Push::bookmark(&self.topic, cursor)));
            }
            (true, Stage::Asked | Stage::Replaying) => {
                self.stage = Stage::Live;
                self.wish.member.replay(Arc::new(Push::live(&self.topic, &cursor)));
            }
            (true, Stage::Live) | (false, _) => {}
        }
    }

    /// Answers the command; or says that all is told anew.
    fn begin(&mut self, whole: bool) {
        if self.stage != Stage::Asked {
            if whole {
                self.stage = Stage::Replaying;
                self.wish.member.replay(Arc::new(Push::gap(&self.topic, v1::GapReason::LogReplaced)));
            }
            return;
        }
        self.stage = Stage::Replaying;
        let replaced = whole && self.wish.after.is_some();
        self.mark(ServerMessage::Subscribed(Subscribed {
            id: self.wish.id,
            topic: self.topic.clone(),
            mode: if whole { Mode::Snapshot } else { Mode::Resumed },
            reason: replaced.then(|| "LOG_REPLACED".to_owned()),
            cursor: self.wish.after.clone().filter(|_| !whole),
            min_interval_ms: 0,
        }));
    }

    fn mark(&self, message: ServerMessage) {
        self.wish.member.replay(Arc::new(Push::mark(&self.topic, message)));
    }
}
