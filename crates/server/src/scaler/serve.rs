//! The scaler on its own address.

use std::time::Duration;

use courant_proto::keda::external_scaler_server::ExternalScalerServer;
use courant_tls::{ConnectionLimits, CountCalls, ServerTls};
use tokio::net::TcpListener;

use super::service::Scaler;

/// Connections at once, and from one address: KEDA's operator has one or two for each object that it scales.
const CONNECTIONS: (usize, usize) = (256, 64);
/// How long a connection may take for its first words, and stay without a call.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));
/// Calls of one connection at once.
const CALLS: u32 = 64;
/// HTTP/2 pings to clients that are silent, and how long they may take to answer.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// A reference to an object is a few hundred bytes.
const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// Answers KEDA for ever.
pub async fn serve(scaler: Scaler, listener: TcpListener, tls: Option<ServerTls>) {
    let limits = ConnectionLimits {
        grpc_max_connections: CONNECTIONS.0,
        grpc_max_connections_per_address: CONNECTIONS.1,
        grpc_handshake_timeout: PATIENCE.0,
        grpc_idle_timeout: PATIENCE.1,
    };
    let router = tonic::transport::Server::builder()
        .max_concurrent_streams(Some(CALLS))
        .http2_keepalive_interval(Some(KEEPALIVE.0))
        .http2_keepalive_timeout(Some(KEEPALIVE.1))
        .layer(CountCalls)
        .add_service(ExternalScalerServer::new(scaler).max_decoding_message_size(MAX_MESSAGE_BYTES));
    if let Err(error) =
        router.serve_with_incoming(courant_tls::incoming(listener, tls, &limits, courant_tls::Protocol::Http2)).await
    {
        tracing::error!(%error, "the scaler cannot be served");
    }
}
