//! The command line of a program: parsed, checked without starting (`--check-config`), and written as manual pages and shell
//! completions for packages.

mod generate;
mod problems;
mod short_names;

use std::ffi::OsString;
use std::path::Path;

use clap::{Args, Parser};

pub use problems::Problems;

/// A first argument that no help shows: packages are made with it.
const GENERATE: &str = "--generate";

/// The flag that checks a configuration, for programs that run until they are stopped.
#[derive(Args, Clone, Copy, Debug)]
pub struct CheckFlag {
    /// Say what is wrong with flags, environment variables and the files they name, and exit without starting: with 0 when
    /// nothing is, else with 2
    #[arg(long, env = "COURANT_CHECK_CONFIG")]
    pub check_config: bool,
}

/// Parses the command line; what is wrong with it ends the program with 2. `--generate FOLDER` instead of flags writes the manual
/// pages and completions of the program and ends it.
pub fn parse<P: Parser>() -> P {
    let mut given = std::env::args_os().skip(1);
    if given.next().is_some_and(|first| first == GENERATE) {
        std::process::exit(generate_into::<P>(given.next()));
    }
    let matches = short_names::with_short_names(P::command()).get_matches();
    P::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// The exit code.
fn generate_into<P: Parser>(folder: Option<OsString>) -> i32 {
    let Some(folder) = folder else {
        eprintln!("{GENERATE} needs the folder to write manual pages and completions to");
        return 2;
    };
    match generate::write(short_names::with_short_names(P::command()), Path::new(&folder)) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{GENERATE} {}: {error}", folder.display());
            1
        }
    }
}
