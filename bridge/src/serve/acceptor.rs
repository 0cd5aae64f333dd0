//! Accepts connections up to the limits. Waits for nothing but the next one: one over a limit is refused beside.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use courant_runtime::logging::Occasional;
use courant_runtime::{raise_open_files, warn_if_too_few_open_files};
use courant_tls::{Protocol, ServerTls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::conversation::converse;
use super::refusals::{LINGER, Refusals, UNASKED};
use crate::app::{App, Peer};
use crate::http::router;
use crate::metrics::Limit;
use crate::request::problem::Problem;
use crate::sockets::{Sockets, refusal};

/// Pause after a failed accept: mostly a lack of file descriptors, which passes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections at once that are told, without TLS, that there are too many. Each is a file descriptor and a few KiB of the
/// kernel; at most an eighth of the open files that the process may have.
const REFUSALS: usize = 4096;
/// The same under TLS, where each is a handshake and some ten KiB; more are closed without an answer.
const TLS_REFUSALS: usize = 1024;
/// Of these from one address.
const TLS_REFUSALS_PER_ADDRESS: usize = 256;
/// Open files besides connections of clients: those to the server, and what every process has.
const OTHER_FILES: usize = 256;

pub(super) struct Acceptor {
    app: Arc<App>,
    router: Router,
    sockets: Arc<Sockets>,
    refusals: Refusals,
    tls_refusals: Arc<Sockets>,
    answers: Answers,
}

/// What is said to those who find no place.
struct Answers {
    full: Bytes,
    full_for_address: Bytes,
}

impl Acceptor {
    pub(super) fn new(app: &Arc<App>) -> Self {
        let limits = &app.config.limits;
        let refusals = most_refusals();
        warn_if_too_few_open_files(
            &[("--max-http-connections", limits.sockets), ("--max-connections", limits.connections)],
            refusals + OTHER_FILES,
        );
        // Behind a proxy all come from its address.
        let per_address = |all, one| if app.config.trust_forwarded { all } else { one };
        let tls_refusals_per_address = per_address(TLS_REFUSALS, TLS_REFUSALS_PER_ADDRESS);
        Self {
            app: app.clone(),
            router: router(app.clone()),
            sockets: Sockets::new(limits.sockets, per_address(limits.sockets, limits.sockets_per_address)),
            refusals: Refusals::new(refusals),
            tls_refusals: Sockets::new(TLS_REFUSALS, tls_refusals_per_address),
            answers: Answers { full: answer(Limit::Sockets), full_for_address: answer(Limit::SocketsPerAddress) },
        }
    }

    pub(super) async fn accept(&mut self, listener: &TcpListener) -> Infallible {
        let mut failures = Occasional::default();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.refusals.due() => {
                    self.refusals.proceed();
                    continue;
                }
            };
            match accepted {
                Ok((socket, peer)) => self.handle_socket(socket, peer),
                Err(error) => {
                    failures.log(|left_out| tracing::warn!(%error, left_out, "accept failed"));
                    // Whoever waits to be let in needs the file descriptors more.
                    self.refusals.close_all();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn handle_socket(&mut self, socket: TcpStream, peer: SocketAddr) {
        let address = peer.ip().to_canonical();
        let permit = match self.sockets.acquire(address) {
            Ok(permit) => permit,
            Err(limit) => return self.refuse(limit, socket, address),
        };
        let (app, router) = (self.app.clone(), self.router.clone());
        self.app.spawn(async move { converse(app, router, socket, Peer(address), permit).await });
    }

    fn refuse(&mut self, limit: Limit, socket: TcpStream, address: IpAddr) {
        self.app.permits.refused(limit, None, address);
        let answer = match limit {
            Limit::SocketsPerAddress => &self.answers.full_for_address,
            _ => &self.answers.full,
        };
        let Some(tls) = self.app.config.tls.clone() else { return self.refusals.refuse(socket, answer.clone()) };
        let Ok(permit) = self.tls_refusals.acquire(address) else { return };
        let answer = answer.clone();
        self.app.spawn(async move {
            if let Err(error) = refuse_by_tls(&tls, socket, &answer).await {
                tracing::debug!(%error, "refusal could not be sent");
            }
            drop(permit);
        });
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.refusals.close_all();
    }
}

fn most_refusals() -> usize {
    let files = raise_open_files().and_then(|files| usize::try_from(files).ok());
    files.map_or(REFUSALS, |files| REFUSALS.min(files / 8))
}

/// The whole answer, as HTTP/1.1.
fn answer(limit: Limit) -> Bytes {
    let problem = Problem::from(&refusal(limit));
    // Text and numbers can always be written.
    let body = serde_json::to_string(&problem).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\nretry-after: 1\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        problem.status,
        problem.title,
        body.len()
    );
    Bytes::from(answer)
}

/// The same under TLS. Offers HTTP/1.1 alone: the answer is written by hand.
async fn refuse_by_tls(tls: &ServerTls, socket: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    let mut socket = tls.accept(socket, Protocol::Http1).await?;
    // Some clients take an answer that comes before their request for a fault.
    let mut scratch = [0; 4096];
    if let Ok(read) = timeout(UNASKED, socket.read(&mut scratch)).await {
        read?;
    }
    let told = async {
        socket.write_all(answer).await?;
        socket.shutdown().await?;
        // A socket that is closed with unread bytes is reset, and the answer would be lost.
        while socket.read(&mut scratch).await? > 0 {}
        Ok(())
    };
    timeout(LINGER, told).await?
}
