//! Accepting for a gRPC server: handshakes go on beside each other, so that a slow one holds nobody up.

use std::io::Result;
use std::time::Duration;

use futures::Stream;
use futures::stream::unfold;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::server::Protocol;
use crate::{ServerTls, Socket};

/// Handshakes at once. More wait in the listen queue.
const HANDSHAKES: usize = 512;
/// Pause after a failed accept: mostly a lack of file descriptors, which passes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that are ready to speak gRPC.
pub fn incoming(listener: TcpListener, tls: Option<ServerTls>) -> impl Stream<Item = Result<Socket>> {
    unfold((listener, tls, JoinSet::new()), |(listener, tls, mut hands)| async {
        let ready = loop {
            tokio::select! {
                accepted = listener.accept(), if hands.len() < HANDSHAKES => match accepted {
                    Ok((socket, _)) => drop(hands.spawn(shake(socket, tls.clone()))),
                    Err(error) => {
                        tracing::warn!(%error, "accept failed");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(Ok(shaken)) = hands.join_next() => match shaken {
                    Ok(socket) => break socket,
                    Err(error) => tracing::debug!(%error, "no TLS came about"),
                },
            }
        };
        Some((Ok(ready), (listener, tls, hands)))
    })
}

async fn shake(socket: TcpStream, tls: Option<ServerTls>) -> Result<Socket> {
    // Small answers must not wait for the client's delayed acknowledgement.
    socket.set_nodelay(true)?;
    match tls {
        Some(tls) => tls.accept(socket, Protocol::Http2).await,
        None => Ok(Socket::Plain(socket)),
    }
}
