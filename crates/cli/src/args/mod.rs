//! The command line. Every flag has an environment variable `COURANT_…`; the texts here are what `--help` prints.

mod admin;
mod convert;
mod operate;
mod outputs;
mod transfer;
mod up;
mod webhooks;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::admin::{
    Admin, AdminCommand, AdminJobs, Audit, Bulk, CloseConnections, Connections, Explain, OperatorFlags, PauseLane,
    ResumeLane, SetLaneWeight, Verify,
};
pub use self::convert::Convert;
pub use self::operate::{WatchFlags, WorkerIds};
pub use self::outputs::{OutputArgs, Outputs, ParameterFlags};
pub use self::transfer::Backup;
#[cfg(feature = "nats")]
pub use self::transfer::{BeginEpoch, Migrate};
pub use self::up::Up;
pub use self::webhooks::{
    CreateWebhook, OneWebhook, ReplayWebhook, RotateSecret, UpdateWebhook, WebhookCommand, WebhookFlags, Webhooks,
};

/// Live document jobs: submit a PDF, watch it being processed, get the result.
#[derive(Parser)]
#[command(name = "courant", version, about, max_term_width = 100, propagate_version = true)]
#[command(after_help = "Start with `courant up`, then `courant submit FILE.pdf --watch` in another terminal.")]
pub struct Courant {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run everything in one process: the service, the web server and PDF workers
    Up(Box<Up>),
    /// Submit documents; prints one job id per line
    Submit(Box<Submit>),
    /// Convert a document in one call: submit it, wait, write the result
    Convert(Box<Convert>),
    /// Follow jobs until they end
    Watch(Watch),
    /// List jobs, newest first
    Jobs(Jobs),
    /// Show the queue, the busy workers and the estimated wait of a new job
    Queue(Queue),
    /// Cancel jobs, or all jobs of a batch
    Cancel(Cancel),
    /// Queue failed or cancelled jobs again; finished pages are kept
    Retry(Retry),
    /// Remove finished jobs before their time, with their documents and results
    Delete(Act),
    /// Show the state of a batch, or follow it until all its jobs have ended
    Batch(Batch),
    /// Show quotas and how much of them is used
    Quota(Quota),
    Result(ResultArgs),
    /// List what the workers have made of a document
    Outputs(Outputs),
    /// Download an output of a job
    Output(OutputArgs),
    /// Have events of your jobs sent to URLs: make, change, test and replay webhooks
    Webhooks(Box<Webhooks>),
    #[command(flatten)]
    Operator(OperatorCommand),
    /// Make a token from the secret of a data folder; prints only the token
    Token(Token),
    /// The isolated process that reads one PDF; started by workers
    #[command(hide = true)]
    PdfChild,
}

/// Commands of those who run a service.
#[derive(Subcommand)]
pub enum OperatorCommand {
    /// List workers and their jobs; needs the role `admin`
    Workers(WatchFlags),
    /// Drain workers: they finish their jobs and get no new ones, until they are resumed or the server restarts
    Drain(WorkerIds),
    /// Resume drained workers
    Resume(WorkerIds),
    /// Copy the log of a data folder to NATS, so that several servers can work on it. Cut off, it goes on when it is run again
    #[cfg(feature = "nats")]
    Migrate(Box<Migrate>),
    /// Copy all that a server has into a new folder, while it runs
    Backup(Box<Backup>),
    /// After a stream was put back with the tools of NATS: let clients that are ahead of it resync
    #[cfg(feature = "nats")]
    BeginEpoch(Box<BeginEpoch>),
    /// Show metrics of the server and its work; needs the role `admin`
    Metrics(WatchFlags),
    /// What operators do; needs the role `admin`
    Admin(Box<Admin>),
}

/// How to reach the service, and as whom.
#[derive(Args, Clone)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// The gRPC address, with https:// for TLS, or those of several servers with commas between them; default: that of the
    /// `courant up` on the data folder
    #[arg(long, env = "COURANT_SERVER", value_name = "ADDR:PORT")]
    pub server: Option<String>,

    /// The token; default: one made from the secret in the data folder
    #[arg(long, env = "COURANT_TOKEN", hide_env_values = true, value_name = "JWT")]
    pub token: Option<String>,

    /// Data folder of a `courant up` on this machine
    #[arg(long, env = "COURANT_DATA_DIR", default_value = "courant-data", value_name = "DIR")]
    pub data_dir: PathBuf,

    /// The user to act as when the token is made here; default: the login name
    #[arg(long, env = "COURANT_USER", value_name = "NAME")]
    pub user: Option<String>,

    #[command(flatten)]
    pub tls: courant_tls::ClientFlags,
}

#[derive(Args, Clone)]
#[command(next_help_heading = "Following")]
pub struct Following {
    /// How long to try to reach a service that does not answer before giving up
    #[arg(long, env = "COURANT_GIVE_UP_AFTER", default_value = "10m", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub give_up_after: Duration,

    /// Least time between two progress messages of a job; changes of state always come at once
    #[arg(long, env = "COURANT_MIN_INTERVAL", default_value = "200ms", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub min_interval: Duration,
}

#[derive(Args)]
pub struct Submit {
    /// The documents
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// The lane to queue in; large documents move to `large` by themselves
    #[arg(long, env = "COURANT_LANE", value_enum)]
    pub lane: Option<LaneName>,

    /// Follow the jobs until all have ended; exit code 1 unless all succeeded
    #[arg(long, short, env = "COURANT_WATCH")]
    pub watch: bool,

    /// Print JSON, one object per line
    #[arg(long, env = "COURANT_JSON")]
    pub json: bool,

    /// Group the jobs under this id
    #[arg(long, env = "COURANT_BATCH", value_name = "ID")]
    pub batch: Option<String>,

    /// How many jobs the batch will have, if more come than these files; 0 for not known
    #[arg(long, env = "COURANT_BATCH_SIZE", value_name = "N", requires = "batch")]
    pub batch_size: Option<i32>,

    /// Cancel a job when nobody has followed it for this long (1s to 1d)
    #[arg(long, env = "COURANT_CANCEL_WHEN_UNWATCHED", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub cancel_when_unwatched: Option<Duration>,

    /// Your own id of the document (one file only)
    #[arg(long, env = "COURANT_DOCUMENT_ID", value_name = "ID")]
    pub document_id: Option<String>,

    /// A label, KEY=VALUE; may be given several times
    #[arg(long = "label", env = "COURANT_LABELS", value_delimiter = ',', value_parser = label, value_name = "KEY=VALUE")]
    pub labels: Vec<(String, String)>,

    #[command(flatten)]
    pub parameters: ParameterFlags,

    /// Send the end of the jobs to this URL, signed with the secret of `courant webhooks rotate callback`
    #[arg(long, env = "COURANT_CALLBACK", value_name = "URL")]
    pub callback: Option<String>,

    /// A format to export; may be given several times; default: all
    #[arg(long = "format", env = "COURANT_FORMATS", value_enum, value_delimiter = ',')]
    pub formats: Vec<FormatName>,

    /// Makes the submit safe to repeat: the same id gives the same job (one file only); default: a new id
    #[arg(long, env = "COURANT_REQUEST_ID", value_name = "ID")]
    pub request_id: Option<String>,

    /// The kind of work; `pdf` is what the built-in workers do
    #[arg(long, env = "COURANT_KIND", value_name = "KIND")]
    pub kind: Option<String>,

    /// A file with the password of the documents; `-` for standard input
    #[arg(long, env = "COURANT_PASSWORD_FILE", value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// The user to submit for; needs the role `service`
    #[arg(long, env = "COURANT_OWNER", value_name = "USER")]
    pub owner: Option<String>,

    #[command(flatten)]
    pub following: Following,

    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Args)]
pub struct Watch {
    /// The jobs
    #[arg(required = true, value_name = "JOB")]
    pub jobs: Vec<String>,

    /// Print every event as one line of JSON, with its revision and cursor
    #[arg(long, env = "COURANT_JSON")]
    pub json: bool,

    /// Continue after this cursor (one job only); default: begin with the job as it is now
    #[arg(long, env = "COURANT_AFTER", value_name = "CURSOR")]
    pub after: Option<String>,

    #[command(flatten)]
    pub following: Following,

    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Args)]
pub struct Jobs {
    /// Only jobs in this state; may be given several times
    #[arg(long = "state", env = "COURANT_STATE", value_enum, value_delimiter = ',')]
    pub states: Vec<StateName>,

    /// Jobs of all users; needs the role `admin`
    #[arg(long, env = "COURANT_ALL")]
    pub all: bool,

    /// Only jobs of this batch
    #[arg(long, env = "COURANT_BATCH", value_name = "ID")]
    pub batch: Option<String>,

    /// Only jobs for which this holds, for example 'state = FAILED AND labels.team = "red"'
    #[arg(long, env = "COURANT_FILTER", value_name = "FILTER")]
    pub filter: Option<String>,

    /// How many at most; 0 for all
    #[arg(long, env = "COURANT_LIMIT", default_value_t = 50, value_name = "N")]
    pub limit: usize,

    /// Print JSON, one job per line
    #[arg(long, env = "COURANT_JSON")]
    pub json: bool,

    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Args)]
pub struct Queue {
    /// Keep running and show the queue whenever it changes
    #[arg(long, short, env = "COURANT_WATCH")]
    pub watch: bool,

    /// Print JSON, one state of the queue per line; times are seconds
    #[arg(long, env = "COURANT_JSON")]
    pub json: bool,

    /// Least time between two updates with --watch
    #[arg(long, env = "COURANT_MIN_INTERVAL", default_value = "1s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub min_interval: Duration,

    /// How long to try to reach a service that does not answer before giving up
    #[arg(long, env = "COURANT_GIVE_UP_AFTER", default_value = "10m", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub give_up_after: Duration,

    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Args)]
pub struct Cancel {
    /// The jobs
    #[arg(required_unless_present = "batch", value_name = "JOB")]
    pub jobs: Vec<String>,

    /// Cancel every unfinished job of this batch
    #[arg(long, env = "COURANT_CANCEL_BATCH", value_name = "ID", conflicts_with = "jobs")]
    pub batch: Option<String>,

    /// The owner of the batch; needs the role `admin` when it is somebody else
    #[arg(long, env = "COURANT_BATCH_OWNER", value_name = "USER", requires = "batch")]
    pub owner: Option<String>,

    /// Print JSON, one job or batch per line
    #[arg(long, env = "COURANT_JSON")]
    pub json: bool,

    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Args)]
pub struct Batch {
    /// The batch
    #[arg(value_name = "ID")]
    pub batch: String,

    /// Follow it until all its jobs have ended; exit code 1 unless all succeeded
    #[arg(long, short, env = "COURANT_WATCH")]
    pub watch: bool,

    /// The owner of the batch; needs the role `admin` when it is somebody else's
    #[arg(long, env = "COURANT_OWNER", value_name = "USER")]
    pub owner: Option<String>,

    /// Print JSON, one state per line
    #[arg(long, env = "COURANT_JSON")]
    pub json: bool,

    #[command(flatten)]
    pub following: Following,

    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Args)]
pub struct Quota {
    /// The user; needs the role `admin` when it is somebody else's
    #[arg(long, env = "COURANT_OWNER", value_name = "USER")]
    pub owner: Option<String>,

    /// Print JSON, one quota per line
    #[arg(long, env = "COURANT_JSON")]
    pub json: bool,

    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Args)]
pub struct Act {
    /// The jobs
    #[arg(required = true, value_name = "JOB")]
    pub jobs: Vec<String>,

    /// Print JSON, one job per line
    #[arg(long, env = "COURANT_JSON")]
    pub json: bool,

    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Args)]
pub struct Retry {
    /// A file with the password of the documents, which is not kept from one try to the next; `-` for standard input
    #[arg(long, env = "COURANT_PASSWORD_FILE", value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    #[command(flatten)]
    pub act: Act,
}

#[derive(Args)]
pub struct ResultArgs {
    /// The job
    #[arg(value_name = "JOB")]
    pub job: String,

    /// The format
    #[arg(long, short, env = "COURANT_FORMAT", value_enum, default_value_t = FormatName::Md)]
    pub format: FormatName,

    /// Write to this file, all or nothing; default: standard output
    #[arg(long, short, env = "COURANT_OUTPUT", value_name = "FILE")]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Args)]
pub struct Token {
    /// Data folder of a `courant up`; its secret is made if there is none
    #[arg(long, env = "COURANT_DATA_DIR", default_value = "courant-data", value_name = "DIR")]
    pub data_dir: PathBuf,

    /// The user the token speaks for
    #[arg(long, env = "COURANT_SUB", value_name = "USER")]
    pub sub: String,

    /// A role: admin, service, worker or bridge; may be given several times
    #[arg(long = "role", env = "COURANT_ROLES", value_delimiter = ',', value_name = "ROLE")]
    pub roles: Vec<courant_auth::Role>,

    /// How long the token is valid
    #[arg(long, env = "COURANT_TTL", default_value = "1h", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub ttl: Duration,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum LaneName {
    Premium,
    Normal,
    Large,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum StateName {
    Queued,
    Running,
    Cancelling,
    Succeeded,
    Failed,
    Cancelled,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum FormatName {
    /// Pages, zones and text
    Json,
    Md,
    Txt,
    /// One self-contained HTML page
    Html,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a label looks like KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Courant::command().debug_assert();
    }

    #[test]
    fn every_flag_has_an_environment_variable_and_a_help_text() {
        let all = Courant::command();
        let nested = all.get_subcommands().flat_map(|command| command.get_subcommands());
        for command in all.get_subcommands().chain(nested) {
            for flag in command.get_arguments().filter(|flag| flag.get_long().is_some()) {
                let name = flag.get_id().as_str();
                if matches!(name, "help" | "version") {
                    continue;
                }
                let variable = flag.get_env().and_then(|name| name.to_str()).unwrap_or_default();
                assert!(variable.starts_with("COURANT_"), "{} --{name}", command.get_name());
                assert!(flag.get_help().is_some(), "{} --{name}", command.get_name());
            }
        }
    }
}
