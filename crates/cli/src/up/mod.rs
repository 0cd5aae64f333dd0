//! `courant up`: everything in one process, on one folder.
//!
//! Owns the order of starting and stopping. The parts speak to each other over loopback exactly as they would on several
//! machines; nothing here may reach into one of them.

mod check;
mod demo;
mod parts;
mod ready;

use std::io::IsTerminal as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use courant_auth::{Role, Secret, Signer, Verifier};
use courant_monitoring::{Endpoint, Monitor};
use courant_pdf::{ChildCommand, PdfWorker};
use courant_runtime::{Shutdown, listen, notify_ready};
use courant_server::Server;
use courant_tls::ServerTls;
use courant_worker::WorkerMetrics;

use self::parts::{Parts, ServerEndpoint};
use crate::args::Up;
use crate::failure::Failure;
use crate::home::{Home, RunningService, RunningTls, user_name};

/// What the parts show each other; made for each call or connection.
const PART_TOKEN_TTL: Duration = Duration::from_secs(3600);

/// Runs until it has been stopped, or until a part ends by itself.
pub fn run(args: Up) -> Result<ExitCode, Failure> {
    if args.configuration.check_config {
        return Ok(check::check_config(&args)?.report("courant"));
    }
    args.telemetry.clone().run(("courant", env!("CARGO_PKG_VERSION")), async |shutdown| run_parts(args, shutdown).await)
}

async fn run_parts(args: Up, shutdown: Shutdown) -> Result<ExitCode, Failure> {
    let home = Home::open(&args.server.data_dir)?;
    let secret = home.secret()?;
    let trusted = args.trust.load().await.map_err(|error| Failure::Start(error.to_string()))?;
    let verifier = Verifier::hs256(&secret).trusting(trusted);
    let tls = args.tls.load(args.tls_client_ca.clone())?;
    // Before the log is read, which may take long: a probe at the start sees that it goes on.
    let monitor = Monitor::new("courant", env!("CARGO_PKG_VERSION"));
    let monitoring = args.monitoring.serve(&monitor).await?;
    let server = Server::open(args.server.clone(), verifier.clone()).await;
    let server = server.map_err(|error| Failure::Start(error.to_string()))?;
    let grpc = listen("grpc", args.grpc).await?;
    let http = listen("http", args.http).await?;
    let (grpc_address, http_address) = (reachable(grpc.local_addr()?), reachable(http.local_addr()?));
    let endpoint = ServerEndpoint {
        url: format!("{}://{grpc_address}", if tls.is_some() { "https" } else { "http" }),
        tls: tls.as_ref().map(ServerTls::as_client),
    };

    let mut bridge = bridge(&args, &endpoint, &secret, verifier)?;
    bridge.monitor = monitor.clone();
    let lame_duck = bridge.times.lame_duck;
    let mut parts = Parts::new(shutdown.clone(), lame_duck);
    let workers = args.workers.map_or_else(default_workers, usize::from);
    let local: Vec<String> = (1..=workers).map(|number| format!("local-{number}")).collect();
    let server = server.with_stopping_workers(&local);
    let server = server
        .with_tls(tls.clone())
        .with_lame_duck(lame_duck)
        .with_monitor(monitor.clone())
        .with_allowed_origins(&args.bridge.allow_origin);
    parts.server(server, grpc);
    parts.bridge(http, bridge);
    let pdf = pdf_worker(&args)?;
    pdf.register(&monitor);
    let worker_metrics = WorkerMetrics::default();
    worker_metrics.register(&monitor);
    for id in &local {
        let token = source(&secret, "worker", Role::Worker);
        parts.worker(&endpoint, id, token, &pdf, &worker_metrics);
    }

    let grpc_shown = if tls.is_some() { endpoint.url.clone() } else { grpc_address.to_string() };
    let running_tls = tls.as_ref().map(|tls| RunningTls::of(tls.files()));
    let (pid, http_shown) = (std::process::id(), http_address.to_string());
    home.write_running(&RunningService { pid, grpc: grpc_shown.clone(), http: http_shown, tls: running_tls })?;
    let user = user_name(args.user.as_deref());
    // What goes to a file or a pipe may be collected and read by others for longer than the token lives.
    let shown = args.print_link || std::io::stdout().is_terminal();
    let link_token = shown.then(|| Signer::hs256(&secret).sign(&user, &[], args.link_ttl)).transpose()?;
    let here = format!("{}://{http_address}", if tls.is_some() { "https" } else { "http" });
    let console = args.bridge.public_url.clone().unwrap_or(here);
    let token = link_token.as_deref();
    let metrics = monitoring.as_ref().map(Endpoint::address);
    ready::Ready { grpc: &grpc_shown, console: &console, token, user: &user, home: &home, workers, metrics }.print()?;
    notify_ready();
    if let Some(file) = args.demo {
        parts.demo(|stop| demo::run(file, home.clone(), user, stop));
    }
    let ended = parts.until_end().await;
    home.remove_running();
    ended.map(|()| ExitCode::SUCCESS)
}

/// What all PDF workers here share. This very program is the isolated child, as `courant pdf-child`.
fn pdf_worker(args: &Up) -> Result<PdfWorker, Failure> {
    let config = args.pdf.config(ChildCommand::this_program()?);
    Ok(PdfWorker::new(config.map_err(|error| Failure::Start(error.to_string()))?))
}

fn bridge(
    args: &Up,
    endpoint: &ServerEndpoint,
    secret: &Secret,
    verifier: Verifier,
) -> Result<courant_bridge::Config, Failure> {
    let token = source(secret, "bridge", Role::Bridge);
    let mut config = courant_bridge::Config::new(&endpoint.url, verifier, token);
    config.console = courant_console::file;
    config.server_tls.clone_from(&endpoint.tls);
    config.tls = args.tls.load(None)?;
    args.bridge.clone().apply(&mut config);
    config.limits.upload_bytes = args.server.max_document_bytes;
    config.check().map_err(|error| Failure::Start(error.to_string()))?;
    Ok(config)
}

/// The address to give to people and parts: one cannot connect to 0.0.0.0 everywhere.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    address
}

fn source(secret: &Secret, subject: &'static str, role: Role) -> Arc<dyn Fn() -> String + Send + Sync> {
    let signer = Signer::hs256(secret);
    Arc::new(move || match signer.sign(subject, &[role], PART_TOKEN_TTL) {
        Ok(token) => token,
        Err(error) => {
            // The other side refuses the empty token, and says so in its own log.
            tracing::error!(%error, "no token could be made");
            String::new()
        }
    })
}

fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
