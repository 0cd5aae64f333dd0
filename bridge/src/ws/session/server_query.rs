//! Calls to the server for one connection.

use courant_proto::v1;

use crate::api_error::ApiError;
use crate::server::Server;
use crate::wire::service::Statistics;

/// A call to the server with the user's token.
pub(super) enum ServerQuery {
    Statistics,
    MarkRead(Vec<String>),
}

pub(super) enum Answer {
    Statistics(Box<Statistics>),
    Done,
}

impl ServerQuery {
    pub(super) async fn run(self, server: &Server, token: &str) -> Result<Answer, ApiError> {
        match self {
            Self::Statistics => {
                let request = server.call_as(v1::GetSystemMetricsRequest {}, token)?;
                let answer = server.admin().get_system_metrics(request).await?.into_inner();
                Ok(Answer::Statistics(Box::new(Statistics::from(&answer.metrics.unwrap_or_default()))))
            }
            Self::MarkRead(notification_ids) => {
                let request = server.call_as(v1::MarkNotificationsReadRequest { notification_ids }, token)?;
                server.notifications().mark_notifications_read(request).await?;
                Ok(Answer::Done)
            }
        }
    }
}
