//! The stream on which this bridge tells the server who is connected, and learns where else its users are. Opened again
//! whenever it breaks; then everything is sent again.

use std::sync::Arc;
use std::time::Duration;

use courant_proto::v1::attend_request::Message;
use courant_proto::v1::{AttendRequest, AttendResponse, BridgeCounts, BridgeHello};
use courant_runtime::Backoff;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::local::LocalPresence;
use crate::api_error::ApiError;
use crate::config::{FIRST_PAUSE, Times};
use crate::metrics::Metrics;
use crate::server::Server;

/// Messages under way to the server; more wait as users.
const IN_FLIGHT: usize = 16;
/// Between two ticks at what this bridge counts.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);

type Out = mpsc::Sender<AttendRequest>;

/// What a bridge needs to register with the server.
pub struct BridgeRegistration<C> {
    pub server: Server,
    /// Who is connected here.
    pub presence: Arc<LocalPresence>,
    /// Names the bridge among others; new at each start.
    pub bridge: Arc<str>,
    /// Counts connections and topics.
    pub counts: C,
    /// Closes the connections of a user.
    pub close: Arc<dyn Fn(&str) + Send + Sync>,
    /// How long to wait between attempts.
    pub times: Times,
    /// Where losses are counted.
    pub metrics: Metrics,
}

impl<C: Fn() -> BridgeCounts> BridgeRegistration<C> {
    pub async fn run(&self) {
        let mut backoff = Backoff::new(FIRST_PAUSE, self.times.backoff);
        for stream in 1.. {
            if let Err(error) = self.register(stream, &mut backoff).await {
                tracing::debug!(%error, losses = backoff.failures(), "presence stream lost, retrying");
            }
            self.presence.server_lost();
            self.metrics.upstream_losses.inc();
            tokio::time::sleep(backoff.pause()).await;
        }
    }

    async fn register(&self, stream: u64, backoff: &mut Backoff) -> Result<(), ApiError> {
        let (out, inbox) = mpsc::channel(IN_FLIGHT);
        let request = self.server.stream_own(ReceiverStream::new(inbox))?;
        let hello = BridgeHello {
            bridge_id: self.bridge.to_string(),
            software: concat!("courant-bridge/", env!("CARGO_PKG_VERSION")).to_owned(),
            stream,
        };
        // There is room for it.
        let _ = out.send(message(Message::Hello(hello))).await;
        let sent = self.server.system_presence().attend(request).await?.into_inner();
        backoff.reset();
        self.presence.server_connected();
        // Side by side: while the server waits for us to read, we must not wait for it.
        tokio::select! {
            received = receive(&self.presence, &*self.close, sent) => received,
            () = send_users(&self.presence, &out) => Ok(()),
            () = send_counts(&self.counts, &out) => Ok(()),
        }
    }
}

async fn receive(
    presence: &LocalPresence,
    close: &(dyn Fn(&str) + Send + Sync),
    mut sent: Streaming<AttendResponse>,
) -> Result<(), ApiError> {
    while let Some(AttendResponse { elsewhere, close_user }) = sent.message().await? {
        if let Some(elsewhere) = elsewhere {
            presence.apply(elsewhere);
        }
        if !close_user.is_empty() {
            tracing::info!(user = %close_user, "an operator has connections closed");
            close(&close_user);
        }
    }
    Ok(())
}

async fn send_users(presence: &LocalPresence, out: &Out) {
    loop {
        for user in presence.next_unreported().await {
            let Ok(slot) = out.reserve().await else { return };
            // Read when there is slot for it, so that it is what is true then.
            slot.send(message(Message::User(presence.report(&user))));
        }
    }
}

async fn send_counts(counts: &impl Fn() -> BridgeCounts, out: &Out) {
    let mut sent: Option<BridgeCounts> = None;
    let mut ticks = tokio::time::interval(COUNT_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let counts = counts();
        if sent.as_ref() != Some(&counts) {
            if out.send(message(Message::Counts(counts.clone()))).await.is_err() {
                return;
            }
            sent = Some(counts);
        }
    }
}

fn message(message: Message) -> AttendRequest {
    AttendRequest { message: Some(message) }
}
