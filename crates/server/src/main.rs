//! `courant-server`: the service by itself. Workers and bridges connect to it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
#[cfg(feature = "nats")]
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use courant_auth::{Secret, Trust, Verifier};
use courant_runtime::logging::{self, Format};
use courant_runtime::{Shutdown, exit_code, listen};
#[cfg(feature = "nats")]
use courant_server::nats::NatsFlags;
use courant_server::{Config, Server, data_dir};
use courant_tls::{ServerFlags, ServerTls};

/// Courant's server: takes jobs over gRPC, dispatches them to workers, and streams what happens to them
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// Address for gRPC
    #[arg(long, env = "COURANT_GRPC", default_value = "127.0.0.1:50051", value_name = "ADDR")]
    grpc: SocketAddr,
    /// File with the secret of HS256 tokens, mode 0600; default: DATA_DIR/secret, made on first start
    #[arg(long, env = "COURANT_SECRET_FILE", value_name = "FILE")]
    secret_file: Option<PathBuf>,
    #[command(flatten)]
    trust: Trust,
    #[command(flatten)]
    tls: ServerFlags,
    /// Let in only clients that show a certificate of this authority (mutual TLS), in PEM
    #[arg(long, env = "COURANT_TLS_CLIENT_CA", value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
    /// How long the server goes on serving after SIGTERM while it reports not ready, so that load balancers turn away first
    #[arg(long, env = "COURANT_LAME_DUCK", default_value = "5s", value_name = "TIME", value_parser = humantime::parse_duration)]
    lame_duck: Duration,
    #[command(flatten)]
    config: Config,
    #[cfg(feature = "nats")]
    #[command(flatten)]
    nats: NatsFlags,
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    data_dir::keep_private();
    let flags = Flags::parse();
    let filter = logging::filter_from_env("RUST_LOG");
    exit_code("courant-server", courant_runtime::run(filter, Format::Text, async |shutdown| run(flags, shutdown).await))
}

async fn run(flags: Flags, shutdown: Shutdown) -> anyhow::Result<()> {
    let secret_file = flags.secret_file.unwrap_or_else(|| flags.config.data_dir.join("secret"));
    data_dir::prepare(&flags.config.data_dir)?;
    let secret = Secret::load_or_create(&secret_file)?;
    let tls = flags.tls.load(flags.tls_client_ca)?;
    let verifier = Verifier::hs256(&secret).trusting(flags.trust.load().await?);
    #[cfg(feature = "nats")]
    if flags.nats.is_set() {
        let _lock = data_dir::lock(&flags.config.data_dir)?;
        let log = tokio::select! {
            log = flags.nats.open(&flags.config) => log?,
            () = shutdown.draining() => return Ok(()),
        };
        let server = Server::with_log(flags.config, verifier, Arc::new(log)).await?;
        return serve(server, flags.grpc, tls, flags.lame_duck, shutdown).await;
    }
    let server = Server::open(flags.config, verifier).await?;
    serve(server, flags.grpc, tls, flags.lame_duck, shutdown).await
}

async fn serve(
    server: Server,
    grpc: SocketAddr,
    tls: Option<ServerTls>,
    lame_duck: Duration,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let listener = listen("grpc", grpc).await?;
    tracing::info!(address = %listener.local_addr()?, tls = tls.is_some(), "serving gRPC");
    Ok(server.with_tls(tls).with_lame_duck(lame_duck).serve(listener, shutdown).await?)
}
