//! Attacks a running system and checks its guarantees.
//!
//! - [`plan`] decides from a seed what will be done; [`system`] runs the real programs behind proxies ([`proxy`]), on a
//!   disk and with a clock of their own ([`disk`]), and does it to them.
//! - A system has one of two shapes ([`shape`]): one server with the embedded log, or several on a log that NATS keeps
//!   ([`nats`]), on a network whose cables can be pulled ([`network`]). Clients, workers, records and rules are the same.
//! - [`clients`] and [`worker`] use the system and write down what they are told ([`record`], [`fact`]).
//! - [`verify`] judges by these records alone, so it can be tested by itself and run again on a kept folder.
//! - [`run`] puts it together; [`table`] says what came of it.
//!
//! A run is not the same twice: the operating system decides what happens at the same moment. The same seed gives the
//! same plan of faults, the same submits and the same behaviour of workers; the records say what came of it.

pub mod clients;
pub mod disk;
pub mod fact;
pub mod namespaces;
pub mod nats;
pub mod network;
pub mod options;
pub mod plan;
pub mod process;
pub mod proxy;
pub mod record;
pub mod run;
pub mod shape;
pub mod system;
pub mod table;
pub mod verify;
pub mod worker;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use options::{Attack, Command, Options};
use plan::Plan;
use shape::Shape;
use verify::{Kept, VerifyReport};

/// Does what the options say.
pub fn main(options: &Options) -> anyhow::Result<ExitCode> {
    match &options.command {
        Some(Command::Verify { folder }) => again(folder),
        None if options.attack.plan => {
            print!("{}", planned(&options.attack));
            Ok(ExitCode::SUCCESS)
        }
        None => {
            namespaces::with_own(options.attack.cluster);
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(attack(&options.attack))
        }
    }
}

fn planned(options: &Attack) -> Plan {
    Plan::new(options.seed, Duration::from_secs(options.seconds), options.faults, options.shape())
}

async fn attack(options: &Attack) -> anyhow::Result<ExitCode> {
    let (plan, home, begun) = (planned(options), options.home(), Instant::now());
    let ran = run::attack(options, &plan, &home).await?;
    let report = verify::verify(&Kept(&home.join(run::RECORDS)))?;
    println!("{}", table::table(&plan, &ran, &report, begun.elapsed()));
    let good = report.total() == 0 && !ran.interrupted;
    if report.total() > 0 {
        println!("{}", table::violations(&plan, &home, &report));
    } else if !options.keep {
        std::fs::remove_dir_all(home.join(run::RECORDS))?;
    }
    println!("{}", table::sum(&report));
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn again(folder: &Path) -> anyhow::Result<ExitCode> {
    let report: VerifyReport = verify::verify(&Kept(folder))?;
    let (mut seed, mut seconds, mut shape) = (0, 0, Shape::SINGLE);
    record::read(folder, |_, line| {
        if let record::Record::Begin { seed: of, seconds: long, cluster } = line.record {
            (seed, seconds, shape) = (of, long, Shape::of(cluster));
        }
    })?;
    let plan = Plan { seed, shape, length: Duration::from_secs(seconds), faults: Vec::new() };
    println!("{}", table::table(&plan, &run::Ran::default(), &report, Duration::ZERO));
    if report.total() == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}", table::violations(&plan, folder.parent().unwrap_or(folder), &report));
    Ok(ExitCode::FAILURE)
}
