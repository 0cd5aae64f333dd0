//! How cost grows: `cargo run --release -p courant-server --example growth [--most N] [CURVE...]`.
//!
//! Six curves, each from few to many in steps of ten: waiting jobs, finished jobs, watched jobs, workers, owners, and the events
//! of one job. Each row is measured in a process of its own, on an SQLite log in a folder of its own, with everything that a
//! server keeps beside its jobs; what is left out is gRPC. Beside each figure is by which power of n it grew since the row
//! before, and at its end each curve says which figures grew worse than n log n. `docs/performance.md` explains the figures.

mod finished;
mod history;
mod measure;
mod owners;
mod report;
mod service;
mod waiting;
mod watched;
mod workers;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use clap::{Parser, ValueEnum};

use report::{Row, Table};

#[derive(Debug, Parser)]
struct Options {
    /// Which curves; none: all of them.
    #[arg(value_enum)]
    curves: Vec<Curve>,
    /// No row has more than so many.
    #[arg(long, default_value_t = 1_000_000)]
    most: usize,
    /// Where the logs of the rows are made: on a disk, not in memory. Each is removed after its row.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Fill a log for one row, or measure it: what this program starts itself for.
    #[arg(long, hide = true)]
    row: Option<usize>,
    #[arg(long, hide = true)]
    fill: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Curve {
    Waiting,
    Finished,
    Watched,
    Workers,
    Owners,
    History,
}

impl Curve {
    fn title(self) -> &'static str {
        match self {
            Self::Waiting => "waiting jobs",
            Self::Finished => "finished jobs",
            Self::Watched => "watched waiting jobs",
            Self::Workers => "workers",
            Self::Owners => "owners with waiting jobs",
            Self::History => "events of one job",
        }
    }

    fn sizes(self, most: usize) -> impl Iterator<Item = usize> {
        let (first, last) = match self {
            Self::Waiting | Self::Finished => (1_000, 1_000_000),
            Self::Watched | Self::Owners => (1, 100_000),
            Self::Workers => (1, 1_000),
            Self::History => (10, 100_000),
        };
        std::iter::successors(Some(first), |size| Some(size * 10)).take_while(move |size| *size <= last.min(most))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let Some(size) = options.row {
        let (Some(curve), Some(folder)) = (options.curves.first(), &options.folder) else { bail!("--row needs both") };
        return one_row(&options, *curve, size, folder).await;
    }
    let all = Curve::value_variants().to_vec();
    let chosen = if options.curves.is_empty() { all } else { options.curves.clone() };
    for curve in chosen {
        let mut table = Table::new(curve.title());
        for size in curve.sizes(options.most) {
            table.add(size, measure_apart(&options, curve, size)?);
            table.print_row();
        }
        table.print_end();
    }
    Ok(())
}

async fn one_row(options: &Options, curve: Curve, size: usize, folder: &Path) -> anyhow::Result<()> {
    if options.fill {
        return if curve == Curve::Finished { finished::fill(folder, size).await } else { Ok(()) };
    }
    let row = match curve {
        Curve::Waiting => waiting::row(folder, size).await?,
        Curve::Finished => finished::row(folder, size).await?,
        Curve::Watched => watched::row(folder, size).await?,
        Curve::Workers => workers::row(folder, size).await?,
        Curve::Owners => owners::row(folder, size, options.most).await?,
        Curve::History => history::row(folder, size).await?,
    };
    print!("{}", row.to_text());
    Ok(())
}

/// Runs this program again for one row: what a row finds in memory is its own.
fn measure_apart(options: &Options, curve: Curve, size: usize) -> anyhow::Result<Row> {
    let parent = options.folder.clone().unwrap_or_else(std::env::temp_dir);
    let folder = tempfile::Builder::new().prefix("courant-growth-").tempdir_in(parent)?;
    let name = curve.to_possible_value().context("it has a name")?.get_name().to_owned();
    let run = |more: &[&str]| -> anyhow::Result<String> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(&name).arg("--row").arg(size.to_string()).arg("--most").arg(options.most.to_string());
        command.arg("--folder").arg(folder.path()).args(more).stdout(Stdio::piped());
        let output = command.spawn()?.wait_with_output()?;
        anyhow::ensure!(output.status.success(), "{size} {} could not be measured", curve.title());
        Ok(String::from_utf8(output.stdout)?)
    };
    run(&["--fill"])?;
    Row::from_text(&run(&[])?)
}
