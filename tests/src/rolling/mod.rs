//! `make rolling`: every server, bridge and worker is stopped and started again, one after another, while browsers and services
//! work behind a real ingress. It tells the longest wait of any client, each answer that was an error, and whether anything was lost.

mod browser;
mod parts;
mod requests;
mod rpc;
mod tally;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use courant_proto::v1::JobState;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::parts::Parts;
use self::tally::Tally;
use crate::grpc::Jobs;
use crate::ingress::Kind;
use crate::within;

/// The user whose jobs they all are.
const USER: &str = "demo";
/// Between two restarts: longer than the ingress takes to send something to a part again.
const BETWEEN: Duration = Duration::from_secs(3);
/// Before the first restart, so that all clients work.
const WARM: Duration = Duration::from_secs(2);

/// Restarts every part of a running system, one after another, under load.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Options {
    /// What stands in front of bridges and servers.
    #[arg(long, value_enum, default_value_t = Kind::Nginx)]
    ingress: Kind,
    /// One server with an embedded log, instead of three on a NATS cluster.
    #[arg(long)]
    embedded: bool,
    /// Clients that submit over HTTP, each one document at a time.
    #[arg(long, default_value_t = 3)]
    http_clients: usize,
    /// Services that submit and follow over gRPC, each one document at a time.
    #[arg(long, default_value_t = 2)]
    grpc_clients: usize,
    /// Browsers that follow all of the jobs over a WebSocket.
    #[arg(long, default_value_t = 10)]
    browsers: usize,
    /// How often every part is restarted.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
}

/// What a client has.
#[derive(Clone)]
struct Client {
    tally: Arc<Tally>,
    /// Cancelled when no more work begins.
    stop: CancellationToken,
    token: String,
    http: String,
    grpc: String,
    number: usize,
}

pub fn main(options: &Options) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(options))
}

async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let mut parts = Parts::start(options).await?;
    let (tally, stop, watched) = (Arc::new(Tally::default()), CancellationToken::new(), CancellationToken::new());
    let client = |number, stop: &CancellationToken| {
        anyhow::Ok(Client {
            tally: tally.clone(),
            stop: stop.clone(),
            token: parts.shared.token(USER, &[])?,
            http: parts.ingress.http.clone(),
            grpc: parts.ingress.grpc.clone(),
            number,
        })
    };
    let (mut browsers, mut workload) = (JoinSet::new(), JoinSet::new());
    for number in 0..options.browsers {
        browsers.spawn(browser::follow(client(number, &watched)?));
    }
    for number in 0..options.http_clients {
        workload.spawn(requests::work(client(number, &stop)?));
    }
    for number in 0..options.grpc_clients {
        workload.spawn(rpc::work(client(number, &stop)?));
    }
    let began = Instant::now();
    tokio::time::sleep(WARM).await;
    for _ in 0..options.rounds {
        for part in parts.all() {
            let restarting = Instant::now();
            parts.restart(part).await?;
            let (at, took) = (began.elapsed().as_secs_f64(), restarting.elapsed().as_secs_f64());
            println!(
                "{at:6.1} s  {part} was restarted in {took:.1} s; longest wait so far {:.2} s",
                tally.longest().as_secs_f64()
            );
            tokio::time::sleep(BETWEEN).await;
        }
    }
    stop.cancel();
    while let Some(ended) = workload.join_next().await {
        ended??;
    }
    let jobs = Jobs::connect(&parts.ingress.grpc, &parts.shared.token(USER, &[])?).await?;
    for id in tally.jobs() {
        let job = within("a job to end", jobs.ended(&id)).await?;
        if job.state() != JobState::Succeeded {
            tally.violation(format!("job {id} is {}: {:?}", job.state().as_str_name(), job.error));
        }
    }
    watched.cancel();
    while let Some(seen) = browsers.join_next().await {
        seen??.check(&tally);
    }
    println!("\n{tally}");
    let clean = tally.is_clean(options.embedded);
    println!(
        "{}",
        if clean { "Nothing was lost, and no answer was an error." } else { "Not everything went well; see above." }
    );
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
