//! Accepting for a gRPC server: handshakes go on beside each other, so that a slow one holds nobody up.
//!
//! A connection counts from its first moment. Until it has sent what every HTTP/2 client sends first, or the beginning of a request of
//! HTTP/1.1 where that is spoken, it may be closed for a newer one; later it is closed when it has had no call for long.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use courant_runtime::logging::Occasional;
use futures::Stream;
use futures::stream::unfold;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, Id, JoinSet};

use crate::connection::{Connection, PREFACE};
use crate::limits::{ConnectionLimits, Network, Permits, network};
use crate::server::Protocol;
use crate::{ServerTls, Socket};

/// Connections at once that have not sent the preface yet; over it the oldest of them are closed.
const HANDSHAKES: usize = 512;
/// Those of one address.
const HANDSHAKES_PER_ADDRESS: usize = 64;
/// The longest head of the first request of a connection of HTTP/1.1.
const HEAD_BYTES: usize = 16 << 10;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
/// Pause after a failed accept: mostly a lack of file descriptors, which passes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that are ready to speak gRPC, over HTTP/2; or also gRPC-Web over HTTP/1.1, if the protocol has that.
pub fn incoming(
    listener: TcpListener,
    tls: Option<ServerTls>,
    limits: &ConnectionLimits,
    protocol: Protocol,
) -> impl Stream<Item = Result<Connection>> + use<> {
    let acceptor = Acceptor {
        permits: Permits::new(limits),
        tls,
        protocol,
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
    protocol: Protocol,
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
        let (tls, protocol, handshake, idle) = (self.tls.clone(), self.protocol, self.handshake, self.idle);
        let task = self.handshakes.spawn(async move {
            let first = tokio::time::timeout(handshake, read_first(socket, tls, protocol));
            let (socket, first) = first.await??;
            Ok(Connection::new(socket, first, permit, idle))
        });
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

async fn read_first(socket: TcpStream, tls: Option<ServerTls>, protocol: Protocol) -> Result<(Socket, Bytes)> {
    // Small answers must not wait for the client's delayed acknowledgement.
    socket.set_nodelay(true)?;
    let mut socket = match tls {
        Some(tls) => tls.accept(socket, protocol).await?,
        None => Socket::Plain(socket),
    };
    let first = read_beginning(&mut socket, protocol).await?;
    Ok((socket, first))
}

/// The preface of HTTP/2, or the whole head of the first request of HTTP/1.1: until then it is a handshake, with its time and its place.
async fn read_beginning(socket: &mut Socket, protocol: Protocol) -> Result<Bytes> {
    let mut first = BytesMut::with_capacity(PREFACE.len());
    while !first.starts_with(&PREFACE) {
        let before = first.len();
        if socket.read_buf(&mut first).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if PREFACE.starts_with(&first) {
            continue;
        }
        // Methods are written in capitals.
        if protocol == Protocol::Http2 || !first[0].is_ascii_uppercase() {
            return Err(Error::other("not HTTP/2"));
        }
        if first[before.saturating_sub(END_OF_HEAD.len() - 1)..]
            .windows(END_OF_HEAD.len())
            .any(|end| end == END_OF_HEAD)
        {
            break;
        }
        if first.len() > HEAD_BYTES {
            return Err(Error::other("the head of the first request is too long"));
        }
    }
    Ok(first.freeze())
}
