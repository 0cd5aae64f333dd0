//! The topic `notifications`: those of one user, new and read, from the server, which keeps them.
//!
//! One watch on the server for each subscription: it goes at the client's pace, and holds nothing here.

use std::sync::Arc;

use courant_proto::v1::{self, GapReason};
use futures::{StreamExt, TryStreamExt};

use crate::api_error::ApiError;
use crate::server::Server;
use crate::topic::scope::Scope;
use crate::topic::upstream::{Content, Update, Updates};
use crate::wire::encode::Push;
use crate::wire::message::NotificationEvent;
use crate::wire::service::Notification;

/// Follows the notifications of the scope's owner.
pub async fn follow(server: &Server, scope: &Scope, after: &str) -> Result<Updates, ApiError> {
    let request = v1::WatchNotificationsRequest { user: scope.owner.clone(), after_cursor: after.to_owned() };
    let lease = server.stream_channel();
    let stream = lease.notifications().watch_notifications(server.stream_own(request)?).await?.into_inner();
    let mut reader = Reader { topic: scope.name(), continues: !after.is_empty(), live: false };
    let updates = stream.map_err(ApiError::from).map_ok(move |message| {
        // Held as long as the stream.
        let _ = &lease;
        futures::stream::iter(reader.updates(message).into_iter().map(Ok))
    });
    Ok(updates.try_flatten().boxed())
}

struct Reader {
    topic: Arc<str>,
    /// Whether the subscriber has something already, which a whole list replaces.
    continues: bool,
    live: bool,
}

impl Reader {
    fn updates(&mut self, message: v1::WatchNotificationsResponse) -> Vec<Update> {
        let v1::WatchNotificationsResponse { notifications, unread, cursor, whole, live } = message;
        let mut updates = Vec::with_capacity(notifications.len() + 2);
        if whole && self.continues {
            updates.push(Update::new(Content::Gap(GapReason::LogReplaced)));
        }
        self.continues = true;
        let last = notifications.len();
        for (index, notification) in (1..).zip(&notifications) {
            // Of those that come together only the last moves on.
            let cursor = if index == last { cursor.clone() } else { String::new() };
            let body = NotificationEvent {
                topic: self.topic.clone(),
                cursor: (index == last).then(|| cursor.clone()),
                unread,
                notification: Notification::from(notification),
            };
            let push = Push::notification(&self.topic, &notification.notification_id, body);
            updates.push(Update { cursor, content: Content::Event(push) });
        }
        let was_live = self.live;
        self.live |= live;
        let content = match (live, was_live) {
            (true, false) => Content::Live(0),
            (true, true) if last == 0 => Content::Bookmark,
            (false, _) if last == 0 => Content::Nothing,
            (true, true) | (false, _) => return updates,
        };
        updates.push(Update { cursor, content });
        updates
    }
}
