//! A server with one planted fault, to see that `torture` finds it. Everything but the log is the real server.

mod faulty;
mod unsynced;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use courant_auth::{Secret, Verifier};
use courant_runtime::{Shutdown, logging};
use courant_server::{Config, Server};
use tokio::net::TcpListener;

use faulty::Faulty;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Fault {
    None,
    /// Who goes on from a cursor does not hear of some events.
    Dropped,
    /// Some events happen twice.
    Doubled,
    /// Some events of the history have changed places.
    Swapped,
    /// The newest jobs are gone after a start.
    Lost,
    /// Some attempts are given out twice.
    TwoClaims,
    /// Some pages make the percent fall.
    PercentBack,
    /// Some events are told to others as well.
    Leaked,
    /// Some small documents are not stored with the entry of their job.
    DocumentLost,
    /// Some small artifacts are not stored.
    ArtifactLost,
    /// Of some submits that start at once only the submit is stored.
    HalvedSubmit,
    /// Of some pages that are appended together only the first half is stored.
    HalvedPages,
    /// Of some pages that are appended together the first two have changed places.
    SwappedPages,
    /// Of pages that are appended together one is missing, and its report is acknowledged with the others.
    PageDropped,
    /// Of the ends of jobs that are appended together some are not, and are acknowledged with the others.
    EndsSkipped,
    /// Appends of several entries survive a crash only when they are some seconds old.
    UnsyncedBatch,
    /// Reports of pages are acknowledged some time before they are appended.
    AcknowledgedEarly,
}

/// The server's flags and the fault
#[derive(Parser)]
struct Flags {
    #[arg(long)]
    grpc: SocketAddr,
    #[arg(long)]
    secret_file: PathBuf,
    #[arg(long, value_enum)]
    fault: Fault,
    #[command(flatten)]
    config: Config,
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    courant_runtime::run(logging::default_filter(), logging::Format::Text, async move |shutdown| {
        serve(flags, shutdown).await
    })
}

async fn serve(flags: Flags, shutdown: Shutdown) -> anyhow::Result<()> {
    let verifier = Verifier::hs256(&Secret::load_or_create(&flags.secret_file)?);
    let log = Faulty::open(Server::open_log(&flags.config)?, flags.fault, &flags.config.data_dir).await?;
    let server = Server::with_log(flags.config, verifier, Arc::new(log)).await?;
    let listener = TcpListener::bind(flags.grpc).await?;
    tracing::info!(address = %listener.local_addr()?, "serving gRPC");
    Ok(server.serve(listener, shutdown).await?)
}
