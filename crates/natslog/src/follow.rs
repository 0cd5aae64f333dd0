//! Brings the stream's messages into the view, for as long as the log is open.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use tokio::sync::{Notify, watch};

use crate::durability;
use crate::server::{Server, Unavailable};
use crate::tail::Tail;
use crate::view::View;

/// The pause before the next consumer after one has failed.
const PAUSE: Duration = Duration::from_millis(50);

/// Follows until the log stops. A new connection means a new consumer at once: the old one may be gone, and would be missed only
/// after seconds. `behind` asks for one, too.
/// `following` says whether messages arrive.
pub(crate) async fn follow(
    server: Server,
    view: Arc<View>,
    mut made: watch::Receiver<u64>,
    behind: Arc<Notify>,
    following: watch::Sender<bool>,
) {
    while view.stopped().is_none() {
        made.mark_unchanged();
        tokio::select! {
            ended = deliver(&server, &view, &following) => {
                let Err(error) = ended;
                tracing::debug!(%error, "following the log again");
            }
            Ok(()) = made.changed() => on_connection(&server),
            () = view.until_stopped() => return,
            () = behind.notified() => tracing::warn!("entries of the log do not arrive; following it again"),
        }
        following.send_replace(false);
        tokio::time::sleep(PAUSE).await;
    }
}

/// The nodes of a cluster may be of different versions.
fn on_connection(server: &Server) {
    tracing::debug!("following the log again over a new connection");
    if let Err(error) = durability::check_server(&server.client.server_info()) {
        tracing::error!(%error, "the log goes on with a server that it would not be opened on");
    }
}

async fn deliver(server: &Server, view: &View, following: &watch::Sender<bool>) -> Result<Infallible, Unavailable> {
    let filter = vec![server.subjects.jobs(), server.subjects.notes(), server.subjects.dropped()];
    let from = DeliverPolicy::ByStartSequence { start_sequence: view.seen() + 1 };
    let mut tail = Tail::open(server, filter, from, false).await?;
    following.send_replace(true);
    loop {
        let page = tail.next().await?;
        view.take(page.into_iter().map(|(revision, message)| (revision, server.incoming(revision, message))).collect());
    }
}
