//! What the log knows at opening: the newest entry of each job, by its header alone.

use async_nats::jetstream::consumer::DeliverPolicy;

use crate::server::{Server, Unavailable};
use crate::tail::Tail;
use crate::view::{Heads, Incoming};

/// The heads of all jobs, and the revision they are true for.
pub(crate) async fn heads(server: &Server, history: u64) -> Result<(Heads, u64), Unavailable> {
    let (mut heads, mut applied) = (Heads::new(history), 0);
    // First: a tombstone that goes while the others are read was announced before.
    heads.drop_tombstones(server.leader_dropped().await?);
    let mut tail = Tail::open(server, vec![server.subjects.jobs()], DeliverPolicy::LastPerSubject, true).await?;
    // A consumer of nothing would never say that it has delivered all.
    let mut left = tail.pending;
    while left > 0 {
        let page = tail.next().await?;
        if page.is_empty() {
            // Entries that were replaced meanwhile are not delivered; what replaced them is.
            break;
        }
        left = left.saturating_sub(page.len() as u64);
        for (revision, message) in page {
            if let Incoming::Entry(stored) = server.incoming(revision, message) {
                heads.apply(&stored);
            }
            applied = applied.max(revision);
        }
    }
    let dropped = heads.dropped();
    heads.drop_tombstones(dropped);
    Ok((heads, applied))
}
