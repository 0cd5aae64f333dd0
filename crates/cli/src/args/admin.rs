//! `courant admin …`: what operators do.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Backup, Connection, LaneName, Quota, WatchFlags, WorkerIds};

#[derive(Args)]
pub struct Admin {
    #[command(subcommand)]
    pub command: AdminCommand,
}

#[derive(Subcommand)]
pub enum AdminCommand {
    /// Show who did what, newest first: the audit log of the server that answers
    Audit(Audit),
    /// Explain why a job waits, how long it waited before each attempt, and who was started meanwhile
    Explain(Explain),
    /// List the lanes, with what waits in them and whether they are paused
    Lanes(OperatorFlags),
    /// Pause a lane: nothing in it is given to a worker until it is resumed, also after restarts. Jobs that run go on
    PauseLane(PauseLane),
    /// Resume a lane
    ResumeLane(ResumeLane),
    /// Set how often a lane is served against the others, from the next job on and also after restarts
    SetLaneWeight(SetLaneWeight),
    /// List workers and their jobs
    Workers(WatchFlags),
    /// Drain workers: they finish their jobs and get no new ones, until they are resumed or the server restarts
    DrainWorker(WorkerIds),
    /// Resume drained workers
    ResumeWorker(WorkerIds),
    /// List jobs of all users, newest first
    Jobs(AdminJobs),
    /// Cancel jobs of any user, by their ids or by a filter
    CancelJobs(Bulk),
    /// Queue failed or cancelled jobs of any user again, by their ids or by a filter
    RetryJobs(Bulk),
    /// Remove finished jobs of any user, with their documents and results, by their ids or by a filter
    DeleteJobs(Bulk),
    /// Show quotas of a user and how much of them is used
    Quota(Quota),
    /// Show how large the log is, where it begins and ends, and in which engine it is
    Log(OperatorFlags),
    /// Copy all that a server has into a new folder, while it runs
    Backup(Box<Backup>),
    /// Verify that the log can be read, and that documents and results are there and unchanged; exit code 1 if not
    Verify(Verify),
    /// List who is connected: the bridges, or the devices of a user
    Connections(Connections),
    /// Close all connections of users, at all bridges. Their clients may come again while their tokens are good
    CloseConnections(CloseConnections),
    /// List the topics that are followed most, over all bridges
    Topics(OperatorFlags),
}

#[derive(Args)]
pub struct OperatorFlags {
    /// Print JSON, one object per line
    #[arg(long, env = "COURANT_JSON")]
    pub json: bool,

    #[command(flatten)]
    pub connection: Connection,
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

#[derive(Args)]
pub struct Explain {
    /// The job
    #[arg(value_name = "JOB")]
    pub job: String,

    #[command(flatten)]
    pub operator: OperatorFlags,
}

#[derive(Args)]
pub struct PauseLane {
    /// The lane
    #[arg(value_enum)]
    pub lane: LaneName,

    /// Why, for other operators
    #[arg(long, env = "COURANT_REASON", value_name = "TEXT")]
    pub reason: Option<String>,

    #[command(flatten)]
    pub operator: OperatorFlags,
}

#[derive(Args)]
pub struct ResumeLane {
    /// The lane
    #[arg(value_enum)]
    pub lane: LaneName,

    #[command(flatten)]
    pub operator: OperatorFlags,
}

#[derive(Args)]
pub struct SetLaneWeight {
    /// The lane
    #[arg(value_enum)]
    pub lane: LaneName,

    /// 1 to 1000, or `default` for what the flags of the servers say
    #[arg(value_name = "WEIGHT", value_parser = weight)]
    pub weight: i32,

    #[command(flatten)]
    pub operator: OperatorFlags,
}

/// 0 stands for the default.
fn weight(text: &str) -> Result<i32, String> {
    match (text, text.parse()) {
        ("default", _) => Ok(0),
        (_, Ok(weight @ 1..=1000)) => Ok(weight),
        _ => Err("write a number from 1 to 1000, or default".to_owned()),
    }
}

#[derive(Args)]
pub struct AdminJobs {
    /// Only jobs of this user
    #[arg(long, env = "COURANT_OWNER", value_name = "USER")]
    pub owner: Option<String>,

    /// Only jobs for which this holds, for example 'state = FAILED AND labels.team = "red"'
    #[arg(long, env = "COURANT_FILTER", value_name = "FILTER")]
    pub filter: Option<String>,

    /// How many at most; 0 for all
    #[arg(long, env = "COURANT_LIMIT", default_value_t = 50, value_name = "N")]
    pub limit: usize,

    #[command(flatten)]
    pub operator: OperatorFlags,
}

#[derive(Args)]
pub struct Bulk {
    /// The jobs
    #[arg(required_unless_present = "filter", value_name = "JOB")]
    pub jobs: Vec<String>,

    /// All jobs for which this holds instead, newest first: 'owner = "alice" AND state = QUEUED'
    #[arg(long, env = "COURANT_FILTER", value_name = "FILTER", conflicts_with = "jobs")]
    pub filter: Option<String>,

    /// With --filter: how many at most (1 to 10000). More is an error, and nothing is done
    #[arg(long, env = "COURANT_LIMIT", default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,

    /// Show the jobs, and do nothing
    #[arg(long, env = "COURANT_DRY_RUN")]
    pub dry_run: bool,

    #[command(flatten)]
    pub operator: OperatorFlags,
}

#[derive(Args)]
pub struct Verify {
    /// Only jobs for which this holds; default: all
    #[arg(long, env = "COURANT_FILTER", value_name = "FILTER")]
    pub filter: Option<String>,

    /// Bytes per second that are read at most (1048576 to 10737418240)
    #[arg(long, env = "COURANT_VERIFY_RATE", default_value_t = 64 << 20, value_name = "BYTES")]
    pub rate: i64,

    #[command(flatten)]
    pub operator: OperatorFlags,
}

#[derive(Args)]
pub struct Connections {
    /// The devices of this user, instead of all bridges
    #[arg(long, env = "COURANT_OWNER", value_name = "USER")]
    pub owner: Option<String>,

    #[command(flatten)]
    pub operator: OperatorFlags,
}

#[derive(Args)]
pub struct CloseConnections {
    /// The users
    #[arg(required = true, value_name = "USER")]
    pub users: Vec<String>,

    #[command(flatten)]
    pub operator: OperatorFlags,
}
