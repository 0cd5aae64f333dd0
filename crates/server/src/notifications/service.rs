//! The gRPC side of notifications.

use std::sync::Arc;

use courant_auth::{Identity, Role, TokenError};
use courant_joblog::ids::Timestamp;
use courant_proto::v1::notification_service_server::NotificationService;
use courant_proto::v1::{
    AddPushSubscriptionRequest, AddPushSubscriptionResponse, GetPushKeyRequest, GetPushKeyResponse,
    ListNotificationsRequest, ListNotificationsResponse, MarkNotificationsReadRequest, MarkNotificationsReadResponse,
    Notification, NotificationSeverity, NotifyRequest, NotifyResponse, RemovePushSubscriptionRequest,
    RemovePushSubscriptionResponse, WatchNotificationsRequest, WatchNotificationsResponse,
};
use courant_runtime::next_tick;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::inbox::NotificationInbox;
use super::push::Push;
use super::store::{Draft, MESSAGE, SHOWN, StoreError, StoredNotification};
use crate::auth::{caller, require, time_left};
use crate::convert;
use crate::error::Error;
use crate::services::Services;
use crate::shares::WithPermit;

/// The longest title in bytes.
const TITLE_BYTES: usize = 200;
/// The longest body in bytes.
const BODY_BYTES: usize = 4000;
/// The longest id of a job or a request in bytes.
const ID_BYTES: usize = 128;
/// The longest name of a user in bytes, as in tokens.
const SUBJECT_BYTES: usize = 255;
/// The longest a watch may last, whatever its token says.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(366 * 24 * 3600);
/// Messages under way to one watcher.
const IN_FLIGHT: usize = 2;

pub struct Notifications {
    /// What the services share.
    pub services: Arc<Services>,
    pub notifications: Arc<NotificationInbox>,
    /// Web Push; none where it is off.
    pub push: Option<Arc<Push>>,
}

type Sender = mpsc::Sender<Result<WatchNotificationsResponse, Status>>;

#[tonic::async_trait]
impl NotificationService for Notifications {
    type WatchNotificationsStream = WithPermit<ReceiverStream<Result<WatchNotificationsResponse, Status>>>;

    async fn notify(&self, request: Request<NotifyRequest>) -> Result<Response<NotifyResponse>, Status> {
        let identity = caller(&request)?;
        let request = request.into_inner();
        if request.user.is_empty() || !identity.has(Role::Service) {
            require(&identity, Role::Admin, "admin")?;
        }
        let reader = if request.user.is_empty() { identity.subject.clone() } else { request.user.clone() };
        let made = self.notifications.insert(draft(&identity, request)?, reader).await.map_err(Error::from)?;
        tracing::info!(by = %identity.subject, "notification sent");
        Ok(Response::new(NotifyResponse { notification: made.as_ref().map(wire) }))
    }

    async fn list_notifications(
        &self,
        request: Request<ListNotificationsRequest>,
    ) -> Result<Response<ListNotificationsResponse>, Status> {
        let user = caller(&request)?.subject.clone();
        let ListNotificationsRequest { page_size, unread_only } = request.into_inner();
        let most = match page_size {
            0 => 50,
            size => usize::try_from(size).map_err(|_| Error::field("page_size", "must be 0 to 200"))?.min(SHOWN),
        };
        let id = self.notifications.id.clone();
        let read = move |store: &super::store::Store| {
            // The number first: what comes meanwhile is sent again by a watch from here, and not lost.
            let change = store.change()?;
            Ok((change, store.newest(&user, most, unread_only)?, store.unread(&user)?))
        };
        let (change, found, unread) = self.notifications.with(read).await.map_err(Error::from)?;
        Ok(Response::new(ListNotificationsResponse {
            notifications: found.iter().map(wire).collect(),
            unread: count(unread),
            cursor: cursor(&id, change),
        }))
    }

    async fn mark_notifications_read(
        &self,
        request: Request<MarkNotificationsReadRequest>,
    ) -> Result<Response<MarkNotificationsReadResponse>, Status> {
        let user = caller(&request)?.subject.clone();
        let ids = request.into_inner().notification_ids;
        if ids.len() > SHOWN {
            return Err(Error::field("notification_ids", format!("has at most {SHOWN}; leave it empty for all")).into());
        }
        let unread = self.notifications.mark_read(user, ids).await.map_err(Error::from)?;
        Ok(Response::new(MarkNotificationsReadResponse { unread: count(unread) }))
    }

    async fn get_push_key(&self, _: Request<GetPushKeyRequest>) -> Result<Response<GetPushKeyResponse>, Status> {
        let public_key = self.push.as_ref().map(|push| push.public_key().to_vec());
        Ok(Response::new(GetPushKeyResponse { public_key: public_key.unwrap_or_default().into() }))
    }

    async fn add_push_subscription(
        &self,
        request: Request<AddPushSubscriptionRequest>,
    ) -> Result<Response<AddPushSubscriptionResponse>, Status> {
        let user = caller(&request)?.subject.clone();
        let push = self.push.as_ref().ok_or(Error::PushDisabled)?;
        let AddPushSubscriptionRequest { endpoint, p256dh, auth } = request.into_inner();
        let (subscription, most) = (push.subscription(&endpoint, &p256dh, &auth)?, push.per_user());
        self.notifications.subscribe(user, subscription, most).await.map_err(Error::from)?;
        Ok(Response::new(AddPushSubscriptionResponse {}))
    }

    async fn remove_push_subscription(
        &self,
        request: Request<RemovePushSubscriptionRequest>,
    ) -> Result<Response<RemovePushSubscriptionResponse>, Status> {
        let user = caller(&request)?.subject.clone();
        let endpoint = request.into_inner().endpoint;
        self.notifications.unsubscribe(user, endpoint).await.map_err(Error::from)?;
        Ok(Response::new(RemovePushSubscriptionResponse {}))
    }

    async fn watch_notifications(
        &self,
        request: Request<WatchNotificationsRequest>,
    ) -> Result<Response<Self::WatchNotificationsStream>, Status> {
        let identity = caller(&request)?;
        let WatchNotificationsRequest { user, after_cursor } = request.into_inner();
        let user = match user.as_str() {
            "" => identity.subject.clone(),
            own if own == identity.subject => user,
            _ => {
                require(&identity, Role::Bridge, "bridge")?;
                user
            }
        };
        let used = self.services.shares.stream(&identity)?;
        let (out, steps) = mpsc::channel(IN_FLIGHT);
        let (services, notifications) = (self.services.clone(), self.notifications.clone());
        let expires = Instant::now() + time_left(&identity).min(LONGEST);
        services.clone().streams.spawn(async move {
            let watch =
                Watch { notifications: &notifications, user, out: &out, beat: services.config.bookmark_interval };
            let why = tokio::select! {
                ended = watch.run(&after_cursor) => match ended {
                    Ok(()) => return,
                    Err(error) => error.into(),
                },
                () = out.closed() => return,
                () = services.stopping.cancelled() => Error::Draining,
                () = tokio::time::sleep_until(expires) => TokenError::Expired.into(),
            };
            // The receiver may be gone.
            let _ = out.send(Err(why.into())).await;
        });
        Ok(Response::new(WithPermit::new(steps, used)))
    }
}

struct Watch<'a> {
    notifications: &'a NotificationInbox,
    user: String,
    out: &'a Sender,
    beat: std::time::Duration,
}

impl Watch<'_> {
    /// Tells what was missed, then what comes. Ends when nobody listens.
    async fn run(&self, after: &str) -> Result<(), StoreError> {
        let mut changes = self.notifications.changes(&self.user);
        let id = self.notifications.id.clone();
        let known = position(after, &id);
        let mut from = match known {
            Some(from) => from,
            None => {
                let user = self.user.clone();
                let read = move |store: &super::store::Store| Ok((store.change()?, store.newest(&user, SHOWN, false)?));
                let (change, mut newest) = self.notifications.with(read).await?;
                newest.reverse();
                if !self.send(&newest, cursor(&id, change), (true, true)).await? {
                    return Ok(());
                }
                change
            }
        };
        let mut live = known.is_none();
        loop {
            changes.mark_unchanged();
            let user = self.user.clone();
            let found = self.notifications.with(move |store| store.after(&user, from, SHOWN)).await?;
            if let Some(last) = found.last() {
                from = last.change;
                if !self.send(&found, cursor(&id, from), (false, false)).await? {
                    return Ok(());
                }
                continue;
            }
            if !std::mem::replace(&mut live, true) && !self.send(&[], cursor(&id, from), (false, true)).await? {
                return Ok(());
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return Ok(()) },
                () = tokio::time::sleep_until(next_tick(Instant::now() + self.beat)) => {
                    if !self.send(&[], cursor(&id, from), (false, true)).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Sends a message; `false` when the receiver is gone.
    async fn send(
        &self,
        notifications: &[StoredNotification],
        cursor: String,
        (whole, live): (bool, bool),
    ) -> Result<bool, StoreError> {
        let user = self.user.clone();
        let unread = count(self.notifications.with(move |store| store.unread(&user)).await?);
        let notifications = notifications.iter().map(wire).collect();
        let message = WatchNotificationsResponse { notifications, unread, cursor, whole, live };
        Ok(self.out.send(Ok(message)).await.is_ok())
    }
}

fn draft(by: &Identity, request: NotifyRequest) -> Result<Draft, Error> {
    let within = |field, text: &str, most| {
        (text.len() <= most).then_some(()).ok_or_else(|| Error::field(field, format!("has at most {most} bytes")))
    };
    within("title", &request.title, TITLE_BYTES)?;
    within("body", &request.body, BODY_BYTES)?;
    within("job_id", &request.job_id, ID_BYTES)?;
    within("request_id", &request.request_id, ID_BYTES)?;
    within("user", &request.user, SUBJECT_BYTES)?;
    if request.title.trim().is_empty() {
        return Err(Error::field("title", "must not be empty"));
    }
    let severity = match request.severity() {
        NotificationSeverity::Unspecified => NotificationSeverity::Info,
        severity => severity,
    };
    let id = match request.request_id.as_str() {
        "" => format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)),
        request => format!("by-{}-{request}", by.subject),
    };
    Ok(Draft {
        id,
        owner: Some(request.user).filter(|user| !user.is_empty()),
        kind: MESSAGE,
        severity: severity.into(),
        title: request.title,
        body: request.body,
        job: request.job_id,
        made: Timestamp::now(),
        revision: None,
    })
}

fn wire(notification: &StoredNotification) -> Notification {
    Notification {
        notification_id: notification.id.clone(),
        kind: notification.kind.clone(),
        severity: notification.severity,
        title: notification.title.clone(),
        body: notification.body.clone(),
        job_id: notification.job.clone(),
        create_time: Some(convert::time(notification.made)),
        read_time: notification.read.map(convert::time),
    }
}

fn cursor(store: &str, change: i64) -> String {
    format!("n{store}-{change}")
}

/// The number in a cursor of this store.
fn position(cursor: &str, store: &str) -> Option<i64> {
    cursor.strip_prefix('n')?.strip_prefix(store)?.strip_prefix('-')?.parse().ok().filter(|change| *change >= 0)
}

fn count(notifications: i64) -> i32 {
    i32::try_from(notifications).unwrap_or(i32::MAX)
}
