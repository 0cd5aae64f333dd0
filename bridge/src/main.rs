//! `courant-bridge`: reads the configuration, binds, runs until told to stop.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use courant_auth::{Issuer, Role, Secret, Signer, Trust, Verifier};
use courant_bridge::Config;
use courant_tls::{ClientFiles, ServerFlags};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// The browser edge of Courant: WebSocket, uploads, downloads and the console.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where to listen for browsers.
    #[arg(long, visible_alias = "http", env = "COURANT_HTTP", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The server.
    #[arg(long, env = "COURANT_CORE", default_value = "http://127.0.0.1:50051")]
    core: String,
    /// The secret that tokens are signed with, shared with the server.
    #[arg(long, env = "COURANT_SECRET_FILE")]
    secret_file: PathBuf,
    #[command(flatten)]
    trust: Trust,
    #[command(flatten)]
    tls: ServerFlags,
    /// Whose certificates to believe the server (https://…), in PEM; default: the authorities of this system.
    #[arg(long, env = "COURANT_CORE_CA", value_name = "FILE")]
    core_ca: Option<PathBuf>,
    /// Certificate chain to show the server if it asks for one (mutual TLS), in PEM.
    #[arg(long, env = "COURANT_CORE_CERT", value_name = "FILE", requires = "core_key")]
    core_cert: Option<PathBuf>,
    /// Its private key, in PEM.
    #[arg(long, env = "COURANT_CORE_KEY", value_name = "FILE", requires = "core_cert")]
    core_key: Option<PathBuf>,
    /// Another origin that may open WebSockets, for example https://app.example. May be given several times.
    #[arg(long, env = "COURANT_ALLOW_ORIGIN", value_delimiter = ',')]
    allow_origin: Vec<String>,
    /// Take clients' addresses from X-Forwarded-For. Only behind a proxy that sets it.
    #[arg(long, env = "COURANT_TRUST_FORWARDED")]
    trust_forwarded: bool,
    /// Connections that speak HTTP at once.
    #[arg(long, env = "COURANT_MAX_HTTP_CONNECTIONS", default_value_t = 4_000)]
    max_http_connections: usize,
    /// WebSocket connections at once.
    #[arg(long, env = "COURANT_MAX_CONNECTIONS", default_value_t = 10_000)]
    max_connections: usize,
    /// WebSocket connections of one user.
    #[arg(long, env = "COURANT_MAX_CONNECTIONS_PER_USER", default_value_t = 100)]
    max_connections_per_user: usize,
    /// WebSocket connections from one address.
    #[arg(long, env = "COURANT_MAX_CONNECTIONS_PER_ADDRESS", default_value_t = 1_000)]
    max_connections_per_address: usize,
    /// New WebSocket connections from one address in a minute.
    #[arg(long, env = "COURANT_MAX_ATTEMPTS_PER_MINUTE", default_value_t = 6_000)]
    max_attempts_per_minute: u32,
    /// HTTP requests from one address in a second.
    #[arg(long, env = "COURANT_MAX_REQUESTS_PER_SECOND", default_value_t = 2_000)]
    max_requests_per_second: u32,
    /// Messages one connection may send in a second.
    #[arg(long, env = "COURANT_MAX_MESSAGES_PER_SECOND", default_value_t = 50)]
    max_messages_per_second: u32,
    /// Subscriptions of one connection.
    #[arg(long, env = "COURANT_MAX_SUBSCRIPTIONS", default_value_t = 128)]
    max_subscriptions: usize,
    /// Bytes of a message from a browser.
    #[arg(long, env = "COURANT_MAX_MESSAGE_BYTES", default_value_t = 64 << 10)]
    max_message_bytes: usize,
    /// Bytes that may wait for one slow connection.
    #[arg(long, env = "COURANT_OUTBOX_BYTES", default_value_t = 1 << 20)]
    outbox_bytes: usize,
    /// Bytes of an uploaded document.
    #[arg(long, env = "COURANT_MAX_DOCUMENT_BYTES", default_value_t = 512 << 20)]
    max_document_bytes: u64,
    /// Time between protocol pings; who misses two is dropped.
    #[arg(long, env = "COURANT_PING_INTERVAL", default_value = "30s", value_parser = humantime::parse_duration)]
    ping_interval: Duration,
    /// Time for all connections to end when the bridge is stopped.
    #[arg(long, env = "COURANT_DRAIN", default_value = "10s", value_parser = humantime::parse_duration)]
    drain: Duration,
    /// What to log: a level, or levels by module.
    #[arg(long, env = "COURANT_LOG", default_value = "info")]
    log: String,
}

/// How long the bridge's own tokens live; a new one is made for every watch.
const OWN_TOKEN: Duration = Duration::from_secs(24 * 3600);

fn main() -> ExitCode {
    match start(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("courant-bridge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn start(args: Args) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&args.log).with_context(|| format!("--log {:?} is not a filter", args.log))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let listen = args.listen;
    let trusted = args.trust.load().await?;
    let config = config(args, trusted)?;
    config.check()?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    courant_bridge::raise_open_files();
    tracing::info!(listen = %listener.local_addr()?, core = %config.core, "the bridge is open");
    let shutdown = CancellationToken::new();
    tokio::spawn(stop_on_signal(shutdown.clone())?);
    Ok(courant_bridge::run(listener, config, shutdown).await?)
}

fn config(args: Args, trusted: Option<Issuer>) -> anyhow::Result<Config> {
    let secret = Secret::load(&args.secret_file)?;
    let signer = Signer::hs256(&secret);
    let token = move || {
        // Fails only for a subject of a wrong length. An empty token is refused by the core, and said in the log.
        signer.sign("courant-bridge", &[Role::Bridge], OWN_TOKEN).unwrap_or_default()
    };
    let files = ClientFiles { ca: args.core_ca, identity: args.core_cert.zip(args.core_key) };
    let core_tls = files.load_for(&args.core)?;
    let mut config = Config::new(args.core, Verifier::hs256(&secret).trusting(trusted), Arc::new(token));
    config.tls = args.tls.load(None)?;
    config.core_tls = core_tls;
    config.allow_origins = args.allow_origin;
    config.trust_forwarded = args.trust_forwarded;
    let limits = &mut config.limits;
    limits.connections = args.max_connections;
    limits.sockets = args.max_http_connections;
    limits.connections_per_user = args.max_connections_per_user;
    limits.connections_per_address = args.max_connections_per_address;
    limits.attempts_per_minute = args.max_attempts_per_minute;
    limits.requests_per_second = args.max_requests_per_second;
    limits.messages_per_second = args.max_messages_per_second;
    limits.subscriptions = args.max_subscriptions;
    limits.message_bytes = args.max_message_bytes;
    limits.outbox_bytes = args.outbox_bytes;
    limits.upload_bytes = args.max_document_bytes;
    config.times.ping = args.ping_interval;
    config.times.drain = args.drain;
    Ok(config)
}

fn stop_on_signal(shutdown: CancellationToken) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        shutdown.cancel();
    })
}
