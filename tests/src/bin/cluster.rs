//! A whole cluster on this machine, and what happens when parts of it are killed.

use std::process::ExitCode;

use clap::Parser as _;
use courant_tests::cluster;

fn main() -> ExitCode {
    match cluster::main(&cluster::Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}
