//! The PDF worker as a program of its own: takes PDF jobs from a Courant server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use courant_auth::{Role, Secret, Signer};
use courant_monitoring::{Monitor, MonitoringFlags, TelemetryFlags};
use courant_pdf::corpus::{CorpusOptions, End};
use courant_pdf::{ChildCommand, PdfConfig, PdfOptions, PdfWorker};
use courant_runtime::command_line::{self, ConfigFlags, Problems};
use courant_runtime::supervisor::Supervisor;
use courant_runtime::{Shutdown, exit_code, listen, notify_ready};
use courant_tls::ClientFlags;
use courant_worker::{Config, TokenSource};
use tokio_util::sync::CancellationToken;

const NAME: &str = "courant-pdf-worker";
/// How long a self-made token is valid; a fresh one is made for every call.
const TOKEN_LIFE: Duration = Duration::from_secs(300);

/// Takes PDF jobs from a Courant server, finds the zones of their pages, and writes the results.
#[derive(Parser)]
#[command(name = NAME, version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum Command {
    /// The isolated process that parses one document. Not for people.
    #[command(hide = true)]
    PdfChild,
    /// Read all PDFs below a folder and print a table of what came of them. For those who change the pipeline.
    #[command(hide = true)]
    Corpus(Corpus),
    /// Read one trusted PDF with pdfboss alone and print what that cost. Part of `corpus --bare`.
    #[command(hide = true)]
    Bare { document: PathBuf },
}

#[derive(Args)]
struct Corpus {
    folder: PathBuf,
    /// How many documents at once.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1024))]
    at_once: u32,
    /// Compare the words with those of poppler's pdftotext.
    #[arg(long)]
    compare: bool,
    /// A program that prints the text of the PDF it is given; poppler is believed where the two agree.
    #[arg(long, requires = "compare")]
    second: Option<PathBuf>,
    /// Name the words that differ in each document.
    #[arg(long, requires = "compare")]
    differences: bool,
    /// Measure pdfboss alone beside it, in a process without limits: only for documents that are trusted.
    #[arg(long)]
    bare: bool,
    /// How long a page may take, in seconds.
    #[arg(long, default_value_t = 30)]
    page_timeout_seconds: u64,
}

#[derive(Args)]
struct Options {
    /// The server's gRPC address; of several that share a log with commas between them: when one is gone, the next is used.
    #[arg(help_heading = "Addresses", long, env = "COURANT_SERVER", default_value = "http://127.0.0.1:50051")]
    server: String,
    #[command(flatten)]
    tls: ClientFlags,
    #[command(flatten)]
    access: Access,
    /// A name of its own among all workers, the same after a restart. Default: the host's name.
    #[arg(help_heading = "Workers", long, env = "COURANT_WORKER_ID")]
    worker_id: Option<String>,
    /// How many documents to process at once.
    #[arg(help_heading = "Workers", long, env = "COURANT_SLOTS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1024))]
    slots: u32,
    /// How long running jobs may go on after a stop was asked for, in seconds; then they are handed back.
    #[arg(help_heading = "Workers", long, env = "COURANT_GRACE_SECONDS", default_value_t = 15)]
    grace_seconds: u64,
    /// Address on which to answer `grpc.health.v1` probes: serving while jobs can come. Default: none.
    #[arg(help_heading = "Addresses", long, env = "COURANT_HEALTH_ADDR", value_name = "ADDR:PORT")]
    health_addr: Option<SocketAddr>,
    #[command(flatten)]
    configuration: ConfigFlags,
    #[command(flatten)]
    monitoring: MonitoringFlags,
    #[command(flatten)]
    telemetry: TelemetryFlags,
    #[command(flatten)]
    pdf: PdfOptions,
}

/// Where the token comes from: exactly one of these.
#[derive(Args)]
#[command(next_help_heading = "Sign-in")]
#[group(required = true, multiple = false)]
struct Access {
    /// A token with the role `worker`. Visible to others on this machine when given as a flag; prefer the environment.
    #[arg(long, env = "COURANT_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// A file with such a token, read again for every call.
    #[arg(long, env = "COURANT_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// The server's secret (HS256): the worker makes its own tokens.
    #[arg(long, env = "COURANT_SECRET_FILE")]
    secret_file: Option<PathBuf>,
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli: Cli = command_line::parse();
    if let Some(Command::PdfChild) = cli.command {
        return courant_pdf::child::main();
    }
    if let Some(Command::Corpus(corpus)) = &cli.command {
        return match read_corpus(corpus) {
            Ok(false) => ExitCode::FAILURE,
            read => exit_code(NAME, read.map(drop)),
        };
    }
    if let Some(Command::Bare { document }) = &cli.command {
        return exit_code(NAME, courant_pdf::corpus::bare::read(document));
    }
    if cli.options.configuration.check_config {
        return check_config(&cli.options).report(NAME);
    }
    exit_code(NAME, start(cli.options))
}

fn start(options: Options) -> anyhow::Result<()> {
    options.telemetry.clone().run((NAME, env!("CARGO_PKG_VERSION")), async |shutdown| work(options, shutdown).await)
}

/// What would keep it from starting. A child is started once, as at every start.
fn check_config(options: &Options) -> Problems {
    let mut problems = Problems::default();
    options.telemetry.check(&mut problems);
    let worker_id = options.worker_id.clone().unwrap_or_else(host_name);
    let token = problems.check_files(&options.access.files(), token_source(&options.access, &worker_id));
    let tls = problems.check_files(&options.tls.files(), options.tls.load_for(&options.server));
    let child = ChildCommand::this_program().context("cannot find this program's own file");
    if let Some(child) = problems.check("PDF processing", child) {
        problems.check("PDF processing", options.pdf.config(child));
    }
    if let (Some(token), Some(tls)) = (token, tls) {
        let config =
            Config { tls, slots: options.slots, ..Config::new(options.server.clone(), token, worker_id, ["pdf"]) };
        problems.check("--server or --worker-id", config.check());
    }
    problems
}

/// Whether no child died or hung.
#[tokio::main]
async fn read_corpus(corpus: &Corpus) -> anyhow::Result<bool> {
    let mut config = PdfConfig::new(ChildCommand::this_program().context("cannot find this program's own file")?);
    config.page_timeout = Duration::from_secs(corpus.page_timeout_seconds);
    let options = CorpusOptions {
        at_once: corpus.at_once as usize,
        compare: corpus.compare,
        second: corpus.second.clone(),
        bare: corpus.bare,
    };
    let table = courant_pdf::corpus::run(&corpus.folder, &config, &options, |row| {
        if row.end != End::Ok {
            println!("{}: {:?}", row.name, row.end);
        }
        if let Some(compared) = row.compared.as_ref().filter(|compared| corpus.differences && compared.f1 < 1.0) {
            let agreed = if compared.agreed == Some(false) { " (the second reader disagrees)" } else { "" };
            println!("{:.3} {}{agreed}", compared.f1, row.name);
            println!("      missing: {}", compared.missing.join(" "));
            println!("      surplus: {}", compared.surplus.join(" "));
        }
    })
    .await
    .with_context(|| format!("cannot read {}", corpus.folder.display()))?;
    println!("{table}");
    Ok(table.is_clean())
}

async fn work(options: Options, shutdown: Shutdown) -> anyhow::Result<()> {
    let worker_id = options.worker_id.clone().unwrap_or_else(host_name);
    let child = ChildCommand::this_program().context("cannot find this program's own file")?;
    let handler = PdfWorker::new(options.pdf.config(child)?);
    let config = Config {
        tls: options.tls.load_for(&options.server)?,
        slots: options.slots,
        parts: handler.takes_parts(),
        max_job_duration: handler.max_job_duration(),
        software: concat!("courant-pdf-worker/", env!("CARGO_PKG_VERSION")).to_owned(),
        grace: Duration::from_secs(options.grace_seconds),
        ..Config::new(options.server.clone(), token_source(&options.access, &worker_id)?, worker_id, ["pdf"])
    };
    let drained = CancellationToken::new();
    tokio::spawn({
        let (shutdown, drained) = (shutdown.clone(), drained.clone());
        async move {
            shutdown.draining().await;
            drained.cancel();
        }
    });
    let ended = CancellationToken::new();
    let _end = ended.clone().drop_guard();
    let background = Supervisor::new(ended.clone());
    let monitor = Monitor::new(NAME, env!("CARGO_PKG_VERSION"));
    handler.register(&monitor);
    config.metrics.register(&monitor);
    if let Some(tls) = config.tls.clone() {
        monitor.add_certificate("to_server", move || tls.expiry());
    }
    let _monitoring = options.monitoring.serve(&monitor).await?;
    background.keep("status", courant_worker::follow_status(config.status.clone(), monitor.clone()));
    if let Some(address) = options.health_addr {
        let listener = listen("health-addr", address).await?;
        tracing::info!(address = %listener.local_addr()?, "answering health probes");
        let serving = courant_pdf::health::serve(listener, config.status.clone(), monitor.health().clone(), ended);
        background.keep("health", async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "health probes cannot be answered");
            }
        });
    }
    notify_ready();
    tokio::select! {
        worked = courant_worker::run(config, Arc::new(handler), drained) => Ok(worked?),
        failed = background.failed() => Err(failed.into()),
        // Children die with their parent.
        () = shutdown.ended() => Ok(()),
    }
}

impl Access {
    /// The files that are named, each with its flag.
    fn files(&self) -> [(&'static str, Option<&Path>); 3] {
        let (token, secret) = (self.token_file.as_deref(), self.secret_file.as_deref());
        [("--token", None), ("--token-file", token), ("--secret-file", secret)]
    }
}

fn token_source(access: &Access, worker_id: &str) -> anyhow::Result<TokenSource> {
    if let Some(token) = access.token.clone() {
        return Ok(Arc::new(move || token.clone()));
    }
    if let Some(path) = access.token_file.clone() {
        std::fs::read_to_string(&path).with_context(|| format!("cannot read the token file {}", path.display()))?;
        return Ok(Arc::new(move || std::fs::read_to_string(&path).unwrap_or_default().trim().to_owned()));
    }
    let Some(path) = &access.secret_file else { bail!("no token: give --token, --token-file or --secret-file") };
    let (signer, subject) = (Signer::hs256(&Secret::load(path)?), format!("worker:{worker_id}"));
    signer.sign(&subject, &[Role::Worker], TOKEN_LIFE)?;
    Ok(Arc::new(move || signer.sign(&subject, &[Role::Worker], TOKEN_LIFE).unwrap_or_default()))
}

/// The host's name, as far as it can be an id.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let id: String = name.chars().map(plain).take(64).collect();
    if id.is_empty() { "pdf-worker".into() } else { id }
}
