//! The worker's own health, for probes: `grpc.health.v1` on an address of its own.
//!
//! Serving means that the worker can be given jobs now. A worker that is cut off, hears nothing, is drained or is
//! stopping is not, though its process lives and finishes what it has. Ask it whether a worker is *ready*; to restart one
//! that is not would only lose it its jobs.

use std::time::Duration;

use courant_monitoring::HealthBoard;
use courant_tls::{ConnectionLimits, CountCalls};
use courant_worker::StatusBoard;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Connections at once, and from one address: a few probes, each with a connection or two.
const CONNECTIONS: (usize, usize) = (256, 64);
/// How long a connection may take for its first words, and stay without a call.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));
/// Calls of one connection at once: checks, and a watch or two.
const CALLS: u32 = 16;
/// HTTP/2 pings to probes that are silent, and how long they may take to answer.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// Serves the health of a worker until it is stopped; the name of the service is empty. Beside it is what else is on the board.
pub async fn serve(
    listener: TcpListener,
    status: StatusBoard,
    board: HealthBoard,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let mut status = status.watch();
    board.set("", status.borrow_and_update().is_ready());
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
        .add_service(board.service());
    let stopped = async {
        while status.changed().await.is_ok() {
            board.set("", status.borrow_and_update().is_ready());
        }
        // The board is ours too, so this is not reached before the end.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        served = router.serve_with_incoming(courant_tls::incoming(listener, None, &limits, courant_tls::Protocol::Http2)) => served,
        () = stopped => Ok(()),
        () = stop.cancelled() => Ok(()),
    }
}
