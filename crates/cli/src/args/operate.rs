//! The flags of the commands for operators.

use std::time::Duration;

use clap::Args;

use super::Connection;

#[derive(Args)]
pub struct WatchFlags {
    /// Keep running and show it again whenever it changes
    #[arg(long, short, env = "COURANT_WATCH")]
    pub watch: bool,

    /// With --watch: time between two updates
    #[arg(long, env = "COURANT_INTERVAL", default_value = "2s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub interval: Duration,

    /// Print JSON, one object per line
    #[arg(long, env = "COURANT_JSON")]
    pub json: bool,

    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Args)]
pub struct WorkerIds {
    /// The workers, by the ids that `courant workers` lists
    #[arg(required = true, value_name = "WORKER")]
    pub workers: Vec<String>,

    /// Print JSON, one worker per line
    #[arg(long, env = "COURANT_JSON")]
    pub json: bool,

    #[command(flatten)]
    pub connection: Connection,
}
