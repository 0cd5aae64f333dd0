//! What the tool can be told.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::plan::Faults;
use super::shape::Shape;

/// Attacks a running Courant, writes down what every client was told, and checks the guarantees from that alone
#[derive(Parser, Debug)]
#[command(name = "torture")]
pub struct Options {
    /// What to do; without it: attack
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to attack
    #[command(flatten)]
    pub attack: Attack,
}

/// What else can be done.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Judges the records of an earlier run again
    Verify {
        /// The folder with the records
        folder: PathBuf,
    },
}

/// How to attack.
#[derive(Args, Clone, Debug)]
pub struct Attack {
    /// Decides what happens: the same seed gives the same plan of faults, submits and behaviour
    #[arg(long, env = "COURANT_TORTURE_SEED", default_value_t = 1)]
    pub seed: u64,
    /// How long faults happen; the calm after them and the verdict come on top
    #[arg(long, env = "COURANT_TORTURE_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: u64,
    /// Where records and the programs' logs go; default: torture-SEED or torture-cluster-SEED in the system's folder for temporary files
    #[arg(long, env = "COURANT_TORTURE_DIR", value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// How long jobs may take to end once all is calm, in seconds
    #[arg(long, default_value_t = 120)]
    pub calm: u64,
    /// Which faults
    #[arg(long, value_enum, default_value_t = Faults::All)]
    pub faults: Faults,
    /// Attack several servers on one log, kept by several NATS servers, instead of one server with its own
    #[arg(long, env = "COURANT_TORTURE_CLUSTER")]
    pub cluster: bool,
    /// Only print the plan of faults
    #[arg(long)]
    pub plan: bool,
    /// Keep the records of a run without violations too
    #[arg(long)]
    pub keep: bool,
    /// Another server, for testing the tool
    #[arg(long, hide = true)]
    pub server: Option<PathBuf>,
    /// A flag for that server
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub server_flag: Vec<String>,
}

impl Attack {
    /// What is attacked.
    pub fn shape(&self) -> Shape {
        Shape::of(self.cluster)
    }

    /// The folder for everything.
    pub fn home(&self) -> PathBuf {
        let of = if self.cluster { "-cluster" } else { "" };
        self.folder.clone().unwrap_or_else(|| std::env::temp_dir().join(format!("torture{of}-{}", self.seed)))
    }
}
