//! The connection to NATS.

use std::path::Path;
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event};
use tokio::sync::watch;

use crate::options::{Login, OpenError, Options, Tls};

/// The longest pause between two tries to get a connection back.
const RETRY: Duration = Duration::from_millis(500);
/// After this long without a word a server is asked whether it is there.
const PING: Duration = Duration::from_secs(5);

/// A connection, and a number that grows with each time it was made again.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) made: watch::Receiver<u64>,
}

/// Connects as this login.
pub(crate) async fn connect(options: &Options, login: &Login) -> Result<Connection, OpenError> {
    let (count, made) = watch::channel(0);
    let settings = secured(authenticated(ConnectOptions::new(), login).await?, &options.tls)?
        .name("courant")
        .connection_timeout(options.connect_timeout)
        .request_timeout(Some(options.request_timeout))
        .ping_interval(PING)
        .reconnect_delay_callback(|tries| RETRY.min(Duration::from_millis(50) * u32::try_from(tries).unwrap_or(10)))
        .event_callback(move |event| {
            on_event(&event, &count);
            std::future::ready(())
        });
    let connecting = settings.connect(options.servers.clone());
    // The client tries all servers one after another, each with its own time.
    let all = options.connect_timeout * u32::try_from(options.servers.len()).unwrap_or(1) + options.request_timeout;
    let servers = || options.servers.join(", ");
    let failed = |reason: String| OpenError::Connect { servers: servers(), reason };
    let client = tokio::time::timeout(all, connecting).await.map_err(|_| failed("it takes too long".into()))?.map_err(
        |error| match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                OpenError::Login { servers: servers(), reason: error.to_string() }
            }
            _ => failed(error.to_string()),
        },
    )?;
    Ok(Connection { client, made })
}

fn on_event(event: &Event, count: &watch::Sender<u64>) {
    match event {
        Event::Connected => {
            count.send_modify(|count| *count += 1);
            tracing::debug!("connected to NATS");
        }
        Event::Disconnected => tracing::warn!("NATS is away; trying to reach it"),
        Event::ServerError(error) => tracing::warn!(%error, "NATS refuses something"),
        Event::SlowConsumer(_) => tracing::warn!("messages of NATS were dropped, and are asked for again"),
        other => tracing::debug!(event = %other, "NATS"),
    }
}

async fn authenticated(settings: ConnectOptions, login: &Login) -> Result<ConnectOptions, OpenError> {
    Ok(match login {
        Login::None => settings,
        Login::Password { user, password } => settings.user_and_password(user.clone(), password.clone()),
        Login::Token(token) => settings.token(token.clone()),
        Login::Credentials(path) => settings.credentials_file(path).await.map_err(|error| OpenError::File {
            path: path.clone(),
            reason: error.to_string(),
            wanted: ".creds file",
        })?,
    })
}

fn secured(mut settings: ConnectOptions, tls: &Tls) -> Result<ConnectOptions, OpenError> {
    if let Some(ca) = &tls.ca {
        readable(ca)?;
        settings = settings.add_root_certificates(ca.clone());
    }
    if let Some((certificate, key)) = &tls.client {
        readable(certificate)?;
        readable(key)?;
        settings = settings.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(settings.require_tls(tls.required))
}

/// The client would say of a missing file only that TLS failed.
fn readable(path: &Path) -> Result<(), OpenError> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string());
    let found = bytes.and_then(|bytes| match bytes.windows(10).any(|part| part == b"-----BEGIN") {
        true => Ok(()),
        false => Err("nothing in it begins with -----BEGIN".into()),
    });
    found.map_err(|reason| OpenError::File { path: path.to_owned(), reason, wanted: "PEM file" })
}
