//! Accepting for a gRPC server: handshakes go on beside each other, so that a slow one holds nobody up.
//!
//! A connection counts from its first moment. Until it has sent what every HTTP/2 client sends first it may be closed for a
//! newer one; later it is closed when it has had no call for long.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use courant_runtime::logging::Occasional;
use futures::Stream;
use futures::stream::unfold;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, Id, JoinSet};

use crate::connection::{Connection, PREFACE};
use crate::limits::{ConnectionLimits, Network, Permit, Permits, network};
use crate::server::Protocol;
use crate::{ServerTls, Socket};

/// Connections at once that have not sent the preface yet; over it the oldest of them are closed.
const HANDSHAKES: usize = 512;
/// Those of one address.
const HANDSHAKES_PER_ADDRESS: usize = 64;
/// Pause after a failed accept: mostly a lack of file descriptors, which passes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that are ready to speak gRPC.
pub fn incoming(
    listener: TcpListener,
    tls: Option<ServerTls>,
    limits: &ConnectionLimits,
) -> impl Stream<Item = Result<Connection>> + use<> {
    let acceptor = Acceptor {
        permits: Permits::new(limits),
        tls,
        handshake: limits.grpc_handshake_timeout,
        idle: limits.grpc_idle_timeout,
        handshakes: JoinSet::new(),
        pending: Vec::new(),
        refused: Occasional::default(),
        failed: Occasional::default(),
    };
    unfold((listener, acceptor), |(listener, mut acceptor)| async {
        let ready = loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((socket, peer)) => acceptor.begin(socket, peer),
                    Err(error) => {
                        acceptor.failed.log(|left_out| tracing::warn!(%error, left_out, "accept failed"));
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(ended) = acceptor.handshakes.join_next_with_id() => {
                    if let Some(connection) = acceptor.end(ended) {
                        break connection;
                    }
                }
            }
        };
        Some((Ok(ready), (listener, acceptor)))
    })
}

struct Acceptor {
    permits: Arc<Permits>,
    tls: Option<ServerTls>,
    handshake: Duration,
    idle: Duration,
    handshakes: JoinSet<Result<Connection>>,
    /// Those in `handshakes`, the oldest first.
    pending: Vec<Pending>,
    refused: Occasional,
    failed: Occasional,
}

struct Pending {
    id: Id,
    from: Network,
    task: AbortHandle,
}

impl Acceptor {
    fn begin(&mut self, socket: TcpStream, peer: SocketAddr) {
        let from = network(peer.ip());
        self.close_oldest(from);
        let Some(permit) = self.permits.take(from) else {
            let line = |left_out| {
                tracing::warn!(%peer, left_out, "too many connections (--grpc-max-connections, --grpc-max-connections-per-address)");
            };
            return self.refused.log(line);
        };
        let (tls, handshake, idle) = (self.tls.clone(), self.handshake, self.idle);
        let task = self
            .handshakes
            .spawn(async move { tokio::time::timeout(handshake, read_preface(socket, tls, permit, idle)).await? });
        self.pending.push(Pending { id: task.id(), from, task });
    }

    /// Lets the oldest go that has not sent the preface: whoever means to call has sent it in a moment.
    fn close_oldest(&mut self, from: Network) {
        let of_this = self.pending.iter().filter(|pending| pending.from == from).count();
        let oldest = if of_this >= HANDSHAKES_PER_ADDRESS {
            self.pending.iter().position(|pending| pending.from == from)
        } else if self.pending.len() >= HANDSHAKES {
            Some(0)
        } else {
            None
        };
        if let Some(oldest) = oldest {
            self.pending.remove(oldest).task.abort();
        }
    }

    fn end(
        &mut self,
        ended: std::result::Result<(Id, Result<Connection>), tokio::task::JoinError>,
    ) -> Option<Connection> {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        self.pending.retain(|pending| pending.id != id);
        match ended {
            Ok((_, Ok(connection))) => return Some(connection),
            Ok((_, Err(error))) => tracing::debug!(%error, "a connection ended before its first call"),
            Err(error) => tracing::debug!(%error, "a connection was closed for a newer one before its first call"),
        }
        None
    }
}

async fn read_preface(socket: TcpStream, tls: Option<ServerTls>, permit: Permit, idle: Duration) -> Result<Connection> {
    // Small answers must not wait for the client's delayed acknowledgement.
    socket.set_nodelay(true)?;
    let mut socket = match tls {
        Some(tls) => tls.accept(socket, Protocol::Http2).await?,
        None => Socket::Plain(socket),
    };
    let mut first = [0; PREFACE.len()];
    let mut read = 0;
    while read < first.len() {
        match socket.read(&mut first[read..]).await? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            more => read += more,
        }
        if first[..read] != PREFACE[..read] {
            return Err(Error::other("not HTTP/2"));
        }
    }
    Ok(Connection::new(socket, permit, idle))
}
