//! The command line of a program and its configuration file: parsed, checked without starting (`--check-config`), and written as
//! manual pages, shell completions and example files for packages.

mod config_example;
mod config_file;
mod config_value;
mod generate;
mod help;
mod problems;
mod short_names;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Command, Parser};

pub use problems::Problems;
use problems::WRONG;

/// A first argument that no help shows: packages are made with it.
const GENERATE: &str = "--generate";

/// Where the configuration is and whether it is only checked, for programs that run until they are stopped.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Configuration")]
pub struct ConfigFlags {
    /// File with flags by their long names, in TOML: lease = "30s". Flags that are typed and variables win over it; default: none
    #[arg(long, env = "COURANT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Say what is wrong with flags, environment variables, the configuration file and the files they name, and exit without
    /// starting: with 0 when nothing is, else with 2
    #[arg(long, env = "COURANT_CHECK_CONFIG")]
    pub check_config: bool,
}

/// Parses the command line with the configuration file that it names; what is wrong with them ends the program with 2. `--generate
/// FOLDER` instead of flags writes the manual pages, completions and example configurations of the program and ends it.
pub fn parse<P: Parser>() -> P {
    let mut given = std::env::args_os().skip(1);
    if given.next().is_some_and(|first| first == GENERATE) {
        std::process::exit(generate_into::<P>(given.next()));
    }
    let command = command::<P>();
    let name = command.get_name().to_owned();
    let args = config_file::with_file(&command, std::env::args_os().collect()).unwrap_or_else(|problems| {
        problems.iter().for_each(|problem| eprintln!("{name}: {problem}"));
        std::process::exit(WRONG.into());
    });
    let matches = command.get_matches_from(args);
    P::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn command<P: Parser>() -> Command {
    help::with_short_help(short_names::with_short_names(P::command()))
}

/// The exit code.
fn generate_into<P: Parser>(folder: Option<OsString>) -> i32 {
    let Some(folder) = folder else {
        eprintln!("{GENERATE} needs the folder to write manual pages, completions and example configurations to");
        return 2;
    };
    match generate::write(command::<P>(), Path::new(&folder)) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{GENERATE} {}: {error}", folder.display());
            1
        }
    }
}
