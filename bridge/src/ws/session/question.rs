//! What is asked of the core for one connection.

use courant_proto::v1;

use crate::fault::Fault;
use crate::server::Server;
use crate::wire::service::Figures;

/// What is asked of the core with the user's token.
pub(super) enum Question {
    Figures,
    MarkRead(Vec<String>),
}

/// What it says.
pub(super) enum Answer {
    Figures(Box<Figures>),
    Done,
}

impl Question {
    pub(super) async fn put(self, server: &Server, token: &str) -> Result<Answer, Fault> {
        match self {
            Self::Figures => {
                let request = server.call_as(v1::GetSystemMetricsRequest {}, token)?;
                let answer = server.admin().get_system_metrics(request).await?.into_inner();
                Ok(Answer::Figures(Box::new(Figures::from(&answer.metrics.unwrap_or_default()))))
            }
            Self::MarkRead(notification_ids) => {
                let request = server.call_as(v1::MarkNotificationsReadRequest { notification_ids }, token)?;
                server.notices().mark_notifications_read(request).await?;
                Ok(Answer::Done)
            }
        }
    }
}
