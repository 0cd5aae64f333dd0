//! `courant admin …`: what operators do.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::Connection;

#[derive(Args)]
pub struct Admin {
    #[command(subcommand)]
    pub command: AdminCommand,
}

#[derive(Subcommand)]
pub enum AdminCommand {
    /// Show who did what, newest first: the audit log of the server that answers
    Audit(Audit),
}

#[derive(Args)]
pub struct Audit {
    /// Only events for which this holds, for example 'action = "job.*" AND code != OK'
    #[arg(long, env = "COURANT_FILTER", value_name = "FILTER")]
    pub filter: Option<String>,

    /// Only what this user did
    #[arg(long, env = "COURANT_AUDIT_ACTOR", value_name = "USER")]
    pub actor: Option<String>,

    /// Only what was done to this job
    #[arg(long, env = "COURANT_AUDIT_JOB", value_name = "JOB")]
    pub job: Option<String>,

    /// Only what was done within this time, such as 2h
    #[arg(long, env = "COURANT_AUDIT_SINCE", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub since: Option<Duration>,

    /// How many at most; 0 for all
    #[arg(long, env = "COURANT_LIMIT", default_value_t = 50, value_name = "N")]
    pub limit: usize,

    /// Print JSON, one event per line, as in the file
    #[arg(long, env = "COURANT_JSON")]
    pub json: bool,

    #[command(flatten)]
    pub connection: Connection,
}
