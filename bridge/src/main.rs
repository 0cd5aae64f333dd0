//! `courant-bridge`: reads the configuration, binds, runs until told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use courant_auth::{Issuer, Role, Secret, Signer, Trust, Verifier};
use courant_bridge::{Config, Flags, Limits};
use courant_monitoring::{MonitoringFlags, TelemetryFlags};
use courant_runtime::command_line::{self, ConfigFlags, Problems};
use courant_runtime::{Shutdown, exit_code, listen, notify_ready};
use courant_tls::{ClientFiles, ServerFlags};

/// The browser edge of Courant: WebSocket, uploads, downloads and the console.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Address and port to listen on for browsers.
    #[arg(
        help_heading = "Addresses",
        long,
        visible_alias = "http",
        env = "COURANT_HTTP",
        default_value = "127.0.0.1:8080"
    )]
    listen: SocketAddr,
    /// Address of the server (gRPC); of several that share a log with commas between them: when one is gone, the next is used.
    #[arg(
        help_heading = "Addresses",
        long,
        alias = "core",
        env = "COURANT_SERVER",
        default_value = "http://127.0.0.1:50051"
    )]
    server: String,
    /// File with the secret that tokens are signed with, shared with the server.
    #[arg(help_heading = "Sign-in", long, env = "COURANT_SECRET_FILE")]
    secret_file: PathBuf,
    #[command(flatten)]
    trust: Trust,
    #[command(flatten)]
    tls: ServerFlags,
    /// Certificates of the authorities that the server (https://…) is verified against, in PEM; default: those of this system.
    #[arg(help_heading = "TLS", long, alias = "core-ca", env = "COURANT_SERVER_CA", value_name = "FILE")]
    server_ca: Option<PathBuf>,
    /// Certificate chain for the server if it asks for one (mutual TLS), in PEM.
    #[arg(
        help_heading = "TLS",
        long,
        alias = "core-cert",
        env = "COURANT_SERVER_CERT",
        value_name = "FILE",
        requires = "server_key"
    )]
    server_cert: Option<PathBuf>,
    /// Its private key, in PEM.
    #[arg(
        help_heading = "TLS",
        long,
        alias = "core-key",
        env = "COURANT_SERVER_KEY",
        value_name = "FILE",
        requires = "server_cert"
    )]
    server_key: Option<PathBuf>,
    #[command(flatten)]
    configuration: ConfigFlags,
    #[command(flatten)]
    monitoring: MonitoringFlags,
    #[command(flatten)]
    telemetry: TelemetryFlags,
    #[command(flatten)]
    flags: Flags,
    /// Bytes of an uploaded document.
    #[arg(help_heading = "Documents", long, env = "COURANT_MAX_DOCUMENT_BYTES", default_value_t = Limits::DEFAULT.upload_bytes)]
    max_document_bytes: u64,
}

const NAME: &str = "courant-bridge";

/// How long the bridge's own tokens live; a new one is made for every watch.
const OWN_TOKEN: Duration = Duration::from_secs(24 * 3600);

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args: Args = command_line::parse();
    if args.configuration.check_config {
        return check_config(args).report(NAME);
    }
    exit_code(NAME, start(args))
}

/// What would keep it from starting.
fn check_config(args: Args) -> Problems {
    let mut problems = Problems::default();
    args.telemetry.check(&mut problems);
    problems.check("--secret-file", Secret::load(&args.secret_file));
    problems.check("--jwt-keys", args.trust.check());
    problems.check_files(&args.tls.files(), args.tls.load(None));
    let files =
        [("--server-ca", &args.server_ca), ("--server-cert", &args.server_cert), ("--server-key", &args.server_key)];
    problems
        .check_files(&files.map(|(flag, file)| (flag, file.as_deref())), args.server_files().load_for(&args.server));
    if problems.found().is_empty() {
        problems.check("--server", config(args, None).and_then(|config| Ok(config.check()?)));
    }
    problems
}

impl Args {
    fn server_files(&self) -> ClientFiles {
        let identity = self.server_cert.clone().zip(self.server_key.clone());
        ClientFiles { ca: self.server_ca.clone(), identity }
    }
}

fn start(args: Args) -> anyhow::Result<()> {
    args.telemetry.clone().run((NAME, env!("CARGO_PKG_VERSION")), async |shutdown| run(args, shutdown).await)
}

async fn run(args: Args, shutdown: Shutdown) -> anyhow::Result<()> {
    let (address, monitoring) = (args.listen, args.monitoring.clone());
    let trusted = args.trust.load().await?;
    let config = config(args, trusted)?;
    config.check()?;
    let _monitoring = monitoring.serve(&config.monitor).await?;
    let listener = listen("listen", address).await?;
    tracing::info!(listen = %listener.local_addr()?, server = %config.server, "listening");
    notify_ready();
    Ok(courant_bridge::run(listener, config, shutdown).await?)
}

fn config(args: Args, trusted: Option<Issuer>) -> anyhow::Result<Config> {
    let secret = Secret::load(&args.secret_file)?;
    let signer = Signer::hs256(&secret);
    let token = move || {
        // Fails only for a subject of a wrong length. An empty token is refused by the server, and said in the log.
        signer.sign("courant-bridge", &[Role::Bridge], OWN_TOKEN).unwrap_or_default()
    };
    let server_tls = args.server_files().load_for(&args.server)?;
    let mut config = Config::new(args.server, Verifier::hs256(&secret).trusting(trusted), Arc::new(token));
    #[cfg(feature = "console")]
    {
        config.console = courant_console::file;
    }
    config.tls = args.tls.load(None)?;
    config.server_tls = server_tls;
    args.flags.apply(&mut config);
    config.limits.upload_bytes = args.max_document_bytes;
    Ok(config)
}
