//! A rolling restart of every part, under load.

use std::process::ExitCode;

use clap::Parser as _;
use courant_tests::rolling;

fn main() -> ExitCode {
    match rolling::main(&rolling::Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("rolling: {error:#}");
            ExitCode::FAILURE
        }
    }
}
