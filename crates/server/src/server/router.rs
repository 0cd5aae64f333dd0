//! The services on one port.

use std::sync::Arc;
use std::time::Duration;

use courant_monitoring::{CountGrpcCalls, GrpcCalls};
use courant_proto::v1::admin_service_server::AdminServiceServer;
use courant_proto::v1::job_service_server::JobServiceServer;
use courant_proto::v1::notification_service_server::NotificationServiceServer;
use courant_proto::v1::presence_service_server::PresenceServiceServer;
use courant_proto::v1::queue_service_server::QueueServiceServer;
use courant_proto::v1::upload_service_server::UploadServiceServer;
use courant_proto::v1::webhook_service_server::WebhookServiceServer;
use courant_proto::v1::worker_service_server::WorkerServiceServer;
use courant_tls::CountCalls;
use tonic::codec::CompressionEncoding::{Gzip, Zstd};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::Router;
use tower::layer::util::{Identity, Stack};

use super::browsers::ForBrowsers;
use super::errors::ServeError;
use super::open::Server;
use crate::admin::Admin;
use crate::audit::AuditCalls;
use crate::auth::AuthInterceptor;
use crate::incoming_body::MAX_PIECE_MESSAGE;
use crate::jobs::Jobs;
use crate::notifications::Notifications;
use crate::presence::{self, Presences};
use crate::queue::Queues;
use crate::uploads::Uploads;
use crate::webhooks::Webhooks;
use crate::worker::Workers;

/// The largest message: pieces of documents are at most 1 MiB, pages with their zones stay below 4.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// Bytes of one stream that its call has not taken yet. They count as one of its user's streams (`--streams-per-user`).
const STREAM_WINDOW: u32 = 64 << 10;
/// The same of all streams on a connection: so many calls may wait, for memory or for the store, before they hold up the others. A
/// bridge has the uploads of all its users on one connection.
const CONNECTION_WINDOW: u32 = 256 * STREAM_WINDOW;
/// HTTP/2 pings to clients that are silent, and how long they may take to answer.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// A router that counts its calls, for their connections and for operators, and writes them into the audit log.
pub(super) type CountedRouter =
    Router<Stack<AuditCalls, Stack<CountGrpcCalls, Stack<ForBrowsers, Stack<CountCalls, Identity>>>>>;

impl Server {
    pub(super) async fn router(&self, calls: &GrpcCalls) -> Result<CountedRouter, ServeError> {
        let guard = AuthInterceptor::new(self.verifier.clone());
        let workers =
            WorkerServiceServer::new(Workers { services: self.services.clone(), registry: self.registry.clone() })
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .accept_compressed(Gzip)
                .accept_compressed(Zstd);
        let admin = AdminServiceServer::new(Admin::new(
            self.services.clone(),
            self.registry.clone(),
            self.peers.clone(),
            self.presence.clone(),
        ));
        let notifications = NotificationServiceServer::new(Notifications {
            services: self.services.clone(),
            notifications: self.notifications.clone(),
            push: self.push.clone(),
        });
        let webhooks =
            WebhookServiceServer::new(Webhooks { services: self.services.clone(), sender: self.webhooks.clone() });
        let presences = Presences { services: self.services.clone(), presence: self.presence.clone() };
        let presence = PresenceServiceServer::new(presences).max_decoding_message_size(presence::MAX_MESSAGE_BYTES);
        let uploads = UploadServiceServer::new(Uploads(self.services.clone()))
            .max_decoding_message_size(MAX_PIECE_MESSAGE)
            .accept_compressed(Gzip)
            .accept_compressed(Zstd);
        let describe = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(courant_proto::DESCRIPTORS)
        };
        Ok(tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE.0))
            .http2_keepalive_timeout(Some(KEEPALIVE.1))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(Some(self.services.config.max_streams))
            .accept_http1(self.browsers.is_on())
            .layer(CountCalls)
            .layer(self.browsers.clone())
            .layer(calls.layer())
            .layer(AuditCalls(self.services.audit.clone()))
            .add_service(InterceptedService::new(self.jobs(), guard.clone()))
            .add_service(InterceptedService::new(workers, guard.clone()))
            .add_service(InterceptedService::new(admin, guard.clone()))
            .add_service(InterceptedService::new(self.queue(), guard.clone()))
            .add_service(InterceptedService::new(notifications, guard.clone()))
            .add_service(InterceptedService::new(presence, guard.clone()))
            .add_service(InterceptedService::new(webhooks, guard.clone()))
            .add_service(InterceptedService::new(uploads, guard))
            .add_service(describe().build_v1()?)
            .add_service(describe().build_v1alpha()?))
    }

    fn jobs(&self) -> JobServiceServer<Jobs> {
        JobServiceServer::new(Jobs {
            services: self.services.clone(),
            registry: self.registry.clone(),
            verifier: self.verifier.clone(),
        })
        .max_decoding_message_size(MAX_PIECE_MESSAGE)
        .accept_compressed(Gzip)
        .accept_compressed(Zstd)
        .send_compressed(Gzip)
        .send_compressed(Zstd)
    }

    fn queue(&self) -> QueueServiceServer<Queues> {
        QueueServiceServer::new(Queues {
            services: self.services.clone(),
            registry: self.registry.clone(),
            now: Arc::default(),
        })
        .accept_compressed(Gzip)
        .accept_compressed(Zstd)
        .send_compressed(Gzip)
        .send_compressed(Zstd)
    }
}
