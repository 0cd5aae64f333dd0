//! `courant-server`: the service by itself. Workers and bridges connect to it.

use std::net::SocketAddr;
#[cfg(feature = "nats")]
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
#[cfg(feature = "nats")]
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use courant_auth::{Secret, Trust, Verifier};
#[cfg(feature = "nats")]
use courant_joblog::log::ReadError;
use courant_monitoring::{Monitor, MonitoringFlags, TelemetryFlags};
use courant_runtime::command_line::{self, ConfigFlags, Problems};
use courant_runtime::{Shutdown, exit_code, listen, notify_ready};
#[cfg(feature = "nats")]
use courant_server::StartError;
#[cfg(feature = "nats")]
use courant_server::nats::NatsFlags;
#[cfg(feature = "nats")]
use courant_server::services::OpenError;
use courant_server::{Config, Server, check, data_dir};
use courant_tls::{ServerFlags, ServerTls};

/// Courant's server: takes jobs over gRPC, dispatches them to workers, and streams what happens to them
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// Address for gRPC
    #[arg(
        help_heading = "Addresses",
        long,
        env = "COURANT_GRPC",
        default_value = "127.0.0.1:50051",
        value_name = "ADDR"
    )]
    grpc: SocketAddr,
    /// File with the secret of HS256 tokens, mode 0600; default: DATA_DIR/secret, made on first start
    #[arg(help_heading = "Sign-in", long, env = "COURANT_SECRET_FILE", value_name = "FILE")]
    secret_file: Option<PathBuf>,
    #[command(flatten)]
    trust: Trust,
    #[command(flatten)]
    tls: ServerFlags,
    /// Let in only clients that show a certificate of this authority (mutual TLS), in PEM
    #[arg(help_heading = "TLS", long, env = "COURANT_TLS_CLIENT_CA", value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
    /// Web origins whose pages may call by gRPC-Web, as a browser writes them (https://app.example); comma list. With any, the port also
    /// speaks HTTP/1.1
    #[arg(help_heading = "Browsers", long, env = "COURANT_ALLOW_ORIGIN", value_delimiter = ',', value_name = "ORIGIN")]
    allow_origin: Vec<String>,
    /// How long the server goes on serving after SIGTERM while it reports not ready, so that load balancers turn away first
    #[arg(help_heading = "Start and stop", long, env = "COURANT_LAME_DUCK", default_value = "5s", value_name = "TIME", value_parser = humantime::parse_duration)]
    lame_duck: Duration,
    /// Address on which KEDA asks how many workers are needed (its external scaler API), without tokens; TLS as for gRPC [default:
    /// none]
    #[arg(help_heading = "Addresses", long, env = "COURANT_SCALER_ADDR", value_name = "ADDR:PORT")]
    scaler_addr: Option<SocketAddr>,
    #[command(flatten)]
    configuration: ConfigFlags,
    #[command(flatten)]
    monitoring: MonitoringFlags,
    #[command(flatten)]
    telemetry: TelemetryFlags,
    #[command(flatten)]
    config: Config,
    #[cfg(feature = "nats")]
    #[command(flatten)]
    nats: NatsFlags,
}

const NAME: &str = "courant-server";

/// The pause before a log on NATS that could not be read is opened again.
#[cfg(feature = "nats")]
const TRY_AGAIN: Duration = Duration::from_secs(2);

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    data_dir::keep_private();
    let flags: Flags = command_line::parse();
    if flags.configuration.check_config {
        return check_config(&flags).report(NAME);
    }
    exit_code(NAME, start(flags))
}

fn start(flags: Flags) -> anyhow::Result<()> {
    flags.telemetry.clone().run((NAME, env!("CARGO_PKG_VERSION")), async |shutdown| run(flags, shutdown).await)
}

/// What would keep it from starting.
fn check_config(flags: &Flags) -> Problems {
    let mut problems = Problems::default();
    check::check(&flags.config, &mut problems);
    check::check_secret("--secret-file", &flags.secret_file(), &flags.config.data_dir, &mut problems);
    let client_ca = ("--tls-client-ca", flags.tls_client_ca.as_deref());
    problems.check_files(
        &[flags.tls.files().as_slice(), &[client_ca]].concat(),
        flags.tls.load(flags.tls_client_ca.clone()),
    );
    problems.check("--jwt-keys", flags.trust.check());
    flags.telemetry.check(&mut problems);
    #[cfg(feature = "nats")]
    check::check_nats(&flags.nats, &mut problems);
    problems
}

impl Flags {
    fn secret_file(&self) -> PathBuf {
        self.secret_file.clone().unwrap_or_else(|| self.config.data_dir.join("secret"))
    }
}

async fn run(flags: Flags, shutdown: Shutdown) -> anyhow::Result<()> {
    let secret_file = flags.secret_file();
    data_dir::prepare(&flags.config.data_dir)?;
    let secret = Secret::load_or_create(&secret_file)?;
    // Before the log is read, which may take long: a probe at the start sees that it goes on.
    let monitor = Monitor::new("courant-server", env!("CARGO_PKG_VERSION"));
    let _monitoring = flags.monitoring.serve(&monitor).await?;
    let tls = flags.tls.load(flags.tls_client_ca)?;
    let verifier = Verifier::hs256(&secret).trusting(flags.trust.load().await?);
    let addresses = Addresses { grpc: flags.grpc, scaler: flags.scaler_addr };
    #[cfg(feature = "nats")]
    if flags.nats.is_set() {
        if let Some(chain) = flags.nats.certificate().map(Path::to_owned) {
            monitor.add_certificate("to_nats", move || courant_tls::file_expiry(&chain));
        }
        let _lock = data_dir::lock(&flags.config.data_dir)?;
        let server = tokio::select! {
            server = open_on_nats(&flags.nats, flags.config, verifier) => server?,
            () = shutdown.draining() => return Ok(()),
        };
        let server = server.with_monitor(monitor).with_allowed_origins(&flags.allow_origin);
        return serve(server, addresses, tls, flags.lame_duck, shutdown).await;
    }
    let server = Server::open(flags.config, verifier).await?;
    let server = server.with_monitor(monitor).with_allowed_origins(&flags.allow_origin);
    serve(server, addresses, tls, flags.lame_duck, shutdown).await
}

/// A server whose log is on NATS. NATS may go away again while the jobs are read: then it is waited for, as it is before.
#[cfg(feature = "nats")]
async fn open_on_nats(flags: &NatsFlags, config: Config, verifier: Verifier) -> anyhow::Result<Server> {
    loop {
        let log = Arc::new(flags.open(&config).await?);
        match Server::with_log(config.clone(), verifier.clone(), log).await {
            Err(StartError::Services(OpenError::Read(error @ ReadError::Storage { .. }))) => {
                tracing::warn!(%error, "waiting for NATS");
            }
            opened => return Ok(opened?),
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

/// Where it listens.
struct Addresses {
    grpc: SocketAddr,
    scaler: Option<SocketAddr>,
}

async fn serve(
    server: Server,
    addresses: Addresses,
    tls: Option<ServerTls>,
    lame_duck: Duration,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let listener = listen("grpc", addresses.grpc).await?;
    let scaler = match addresses.scaler {
        Some(address) => Some(listen("scaler-addr", address).await?),
        None => None,
    };
    if let Some(scaler) = &scaler {
        tracing::info!(address = %scaler.local_addr()?, "answering KEDA");
    }
    tracing::info!(address = %listener.local_addr()?, tls = tls.is_some(), "serving gRPC");
    notify_ready();
    Ok(server.with_tls(tls).with_scaler(scaler).with_lame_duck(lame_duck).serve(listener, shutdown).await?)
}
