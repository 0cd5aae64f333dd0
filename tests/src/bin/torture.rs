//! Attacks a running Courant, writes down what every client was told, and checks the guarantees from that alone.

use std::process::ExitCode;

use clap::Parser as _;
use courant_tests::torture;

fn main() -> ExitCode {
    match torture::main(&torture::options::Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("torture: {error:#}");
            ExitCode::from(2)
        }
    }
}
