//! `make cluster`: three NATS servers, three servers, two bridges behind nginx and four workers on this machine. Documents are processed
//! while a server and the leader of the NATS stream are killed in front of whoever looks on; then it is checked that nothing was lost.

mod check;
mod parts;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use self::parts::Parts;

/// Starts a cluster on this machine and kills parts of it while it works.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Options {
    /// The document that is processed.
    #[arg(long, default_value = "tests/fixtures/pdf/cc-by-sa-4.0/pages-120.pdf", value_name = "FILE")]
    sample: PathBuf,
    /// How often it is submitted.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(2..=200))]
    jobs: u32,
    /// The port of nginx on 127.0.0.1, for browsers; 0: any.
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    port: u16,
    /// End when it is shown, instead of serving on until Ctrl-C.
    #[arg(long)]
    exit: bool,
}

pub fn main(options: &Options) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(options))
}

async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let document = std::fs::read(&options.sample)
        .map_err(|error| anyhow::anyhow!("--sample {}: {error}", options.sample.display()))?;
    let mut parts = Parts::start(options.port).await?;
    println!("\nConsole: {}\n", parts.console()?);
    let shown = tokio::select! {
        shown = story::tell(&mut parts, &document, options.jobs) => shown?,
        stopped = tokio::signal::ctrl_c() => return stopped.map(|()| ExitCode::SUCCESS).map_err(Into::into),
    };
    println!("{shown}");
    if !options.exit {
        println!(
            "\nThe cluster goes on; open the console, or send it documents of your own:\n  {}",
            parts.submit_command()?
        );
        println!("Ctrl-C stops it.");
        tokio::signal::ctrl_c().await?;
    }
    Ok(if shown.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
