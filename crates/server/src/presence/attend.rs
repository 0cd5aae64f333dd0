//! The stream of one bridge, from hello to the end.

use std::sync::Arc;
use std::time::Duration;

use courant_auth::TokenError;
use courant_proto::v1::attend_request::Message;
use courant_proto::v1::{AttendRequest, AttendResponse};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Code, Status, Streaming};

use super::checked;
use super::registry::{BridgeRegistration, PresenceRegistry, UserUpdate};
use crate::audit;
use crate::error::Error;
use crate::services::Services;

/// How long a stream may take to say hello.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// Messages under way to one bridge; more wait as users.
const IN_FLIGHT: usize = 16;
/// The longest a stream may live, whatever its token says.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

type Out = mpsc::Sender<Result<AttendResponse, Status>>;

/// Serves the stream; what goes to the bridge comes out of the receiver.
pub fn start(
    services: Arc<Services>,
    presence: Arc<PresenceRegistry>,
    inbound: Streaming<AttendRequest>,
    token_left: Duration,
) -> mpsc::Receiver<Result<AttendResponse, Status>> {
    let (out, responses) = mpsc::channel(IN_FLIGHT);
    services.clone().streams.spawn(audit::carry(async move {
        let expires = Instant::now() + token_left.min(LONGEST);
        if let Err(error) = serve(&services, &presence, inbound, &out, expires).await {
            tracing::debug!(%error, "a bridge's stream ended");
            // The receiver may be gone.
            let _ = out.send(Err(error.into())).await;
        }
    }));
    responses
}

async fn serve(
    services: &Services,
    presence: &Arc<PresenceRegistry>,
    mut inbound: Streaming<AttendRequest>,
    out: &Out,
    expires: Instant,
) -> Result<(), Error> {
    let first = tokio::time::timeout(HELLO_WITHIN, receive(&mut inbound))
        .await
        .map_err(|_| Error::WrongOrder("no hello came in time"))??;
    let Some(Message::Hello(hello)) = first else {
        return Err(Error::WrongOrder("the first message must be the hello"));
    };
    let hello = checked::hello(hello)?;
    let bridge = hello.bridge_id.clone();
    tracing::info!(%bridge, software = %hello.software, "bridge connected");
    audit::record_now("bridge.connect", Code::Ok, None, Some(&bridge));
    let registration = presence.register(hello);
    // Side by side: a bridge that waits for us to read must not wait for itself.
    let served = tokio::select! {
        reported = receive_reports(services, &registration, &mut inbound) => reported,
        () = send(&registration, out) => Ok(()),
        () = out.closed() => Ok(()),
        () = registration.replaced.cancelled() => Ok(()),
        () = services.stopping.cancelled() => Err(Error::Draining),
        () = tokio::time::sleep_until(expires) => Err(TokenError::Expired.into()),
    };
    tracing::info!(%bridge, "bridge disconnected");
    audit::record_now("bridge.disconnect", Code::Ok, None, Some(&bridge));
    served
}

async fn receive_reports(
    services: &Services,
    registration: &BridgeRegistration,
    inbound: &mut Streaming<AttendRequest>,
) -> Result<(), Error> {
    let mut surplus = 0_u64;
    while let Some(message) = receive(inbound).await? {
        match message {
            Message::Hello(_) => return Err(Error::WrongOrder("the hello comes once")),
            Message::Counts(counts) => registration.counts(checked::counts(counts)?),
            Message::User(user) => {
                let user = checked::user(user, services.config.presence.presence_devices_per_user)?;
                if registration.user(user) == UserUpdate::TooManyUsers {
                    if surplus == 0 {
                        tracing::warn!("a bridge has more users than --presence-users-per-bridge: some are not shown");
                    }
                    surplus += 1;
                }
            }
        }
    }
    Ok(())
}

async fn send(registration: &BridgeRegistration, out: &Out) {
    loop {
        let users = tokio::select! {
            users = registration.send_queue.next() => users,
            users = registration.closing.next() => {
                for user in users {
                    let close = AttendResponse { elsewhere: None, close_user: user.to_string() };
                    if out.send(Ok(close)).await.is_err() {
                        return;
                    }
                }
                continue;
            }
        };
        for user in users {
            let Ok(permit) = out.reserve().await else { return };
            // Read only now that it can be sent, so that it is current.
            if let Some(elsewhere) = registration.elsewhere(&user) {
                permit.send(Ok(AttendResponse { elsewhere: Some(elsewhere), close_user: String::new() }));
            }
        }
    }
}

/// The next message; `None` at the end of the stream, however it comes.
async fn receive(inbound: &mut Streaming<AttendRequest>) -> Result<Option<Message>, Error> {
    loop {
        match inbound.message().await {
            // A message of a newer protocol: nothing this server knows.
            Ok(Some(AttendRequest { message: None })) => {}
            Ok(Some(AttendRequest { message })) => return Ok(message),
            Ok(None) => return Ok(None),
            Err(status) => return Err(Error::field("message", format!("cannot be read: {}", status.message()))),
        }
    }
}
