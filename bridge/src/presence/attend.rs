//! The stream on which this bridge tells the core who is connected, and hears of its users elsewhere. Taken up again
//! whenever it breaks, and all is told anew.

use std::sync::Arc;
use std::time::Duration;

use courant_proto::v1::attend_request::Message;
use courant_proto::v1::{AttendRequest, AttendResponse, BridgeCounts, BridgeHello};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::book::Book;
use crate::backoff::pause;
use crate::config::Times;
use crate::fault::Fault;
use crate::metrics::Metrics;
use crate::server::Server;

/// Messages under way to the core; more wait as users.
const IN_FLIGHT: usize = 16;
/// Between two looks at what this bridge counts.
const COUNT_EVERY: Duration = Duration::from_secs(1);

type Out = mpsc::Sender<AttendRequest>;

/// What a bridge needs to tell the server of itself.
pub struct Attendance<C> {
    /// Where to tell it.
    pub server: Server,
    /// Who is connected here.
    pub book: Arc<Book>,
    /// Names the bridge among others; new at each start.
    pub bridge: Arc<str>,
    /// Counts connections and topics.
    pub counts: C,
    /// How long to wait between attempts.
    pub times: Times,
    /// Where losses are counted.
    pub metrics: Metrics,
}

impl<C: Fn() -> BridgeCounts> Attendance<C> {
    /// Attends for ever.
    pub async fn run(&self) {
        let mut losses = 0;
        loop {
            if let Err(fault) = self.attend(&mut losses).await {
                tracing::debug!(%fault, losses, "presence lost");
            }
            self.book.lost();
            self.metrics.upstream_losses.inc();
            losses = losses.saturating_add(1);
            tokio::time::sleep(pause(losses, self.times.backoff)).await;
        }
    }

    async fn attend(&self, losses: &mut u32) -> Result<(), Fault> {
        let (out, inbox) = mpsc::channel(IN_FLIGHT);
        let request = self.server.stream_own(ReceiverStream::new(inbox))?;
        let hello = BridgeHello {
            bridge_id: self.bridge.to_string(),
            software: concat!("courant-bridge/", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        // There is room for it.
        let _ = out.send(message(Message::Hello(hello))).await;
        let told = self.server.system_presence().attend(request).await?.into_inner();
        *losses = 0;
        self.book.begin();
        // Side by side: while the core waits for us to read, we must not wait for it.
        tokio::select! {
            heard = hear(&self.book, told) => heard,
            () = tell(&self.book, &out) => Ok(()),
            () = count(&self.counts, &out) => Ok(()),
        }
    }
}

async fn hear(book: &Book, mut told: Streaming<AttendResponse>) -> Result<(), Fault> {
    while let Some(AttendResponse { elsewhere }) = told.message().await? {
        if let Some(elsewhere) = elsewhere {
            book.told(elsewhere);
        }
    }
    Ok(())
}

async fn tell(book: &Book, out: &Out) {
    loop {
        for user in book.untold().await {
            let Ok(room) = out.reserve().await else { return };
            // Read when there is room for it, so that it is what is true then.
            room.send(message(Message::User(book.report(&user))));
        }
    }
}

async fn count(counts: &impl Fn() -> BridgeCounts, out: &Out) {
    let mut told: Option<BridgeCounts> = None;
    let mut looks = tokio::time::interval(COUNT_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let counts = counts();
        if told.as_ref() != Some(&counts) {
            if out.send(message(Message::Counts(counts.clone()))).await.is_err() {
                return;
            }
            told = Some(counts);
        }
    }
}

fn message(message: Message) -> AttendRequest {
    AttendRequest { message: Some(message) }
}
