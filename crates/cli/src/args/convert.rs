//! The flags of `courant convert`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Connection, Following, FormatName, LaneName, ParameterFlags, Submit, label};

#[derive(Args)]
pub struct Convert {
    /// The document
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Write to this file, all or nothing; `-`, or left out: standard output
    #[arg(long, short, env = "COURANT_OUTPUT", value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// The format of the result
    #[arg(long, env = "COURANT_FORMAT", value_enum, default_value = "md")]
    pub format: FormatName,

    /// An output of the workers, by its name, in place of a format
    #[arg(long, env = "COURANT_OUTPUT_NAME", value_name = "NAME")]
    pub output_name: Option<String>,

    /// How long to wait; the job goes on after it; default: until the job has ended
    #[arg(long, env = "COURANT_WAIT", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub wait: Option<Duration>,

    /// Cancel the job when this command is ended while it waits
    #[arg(long, env = "COURANT_CANCEL_ON_DISCONNECT")]
    pub cancel_on_disconnect: bool,

    /// The lane to queue in; large documents move to `large` by themselves
    #[arg(long, env = "COURANT_LANE", value_enum)]
    pub lane: Option<LaneName>,

    /// A label, KEY=VALUE; may be given several times
    #[arg(long = "label", env = "COURANT_LABELS", value_delimiter = ',', value_parser = label, value_name = "KEY=VALUE")]
    pub labels: Vec<(String, String)>,

    #[command(flatten)]
    pub parameters: ParameterFlags,

    /// Makes the call safe to repeat: the same id gives the same job; default: a new id
    #[arg(long, env = "COURANT_REQUEST_ID", value_name = "ID")]
    pub request_id: Option<String>,

    /// The kind of work; `pdf` is what the built-in workers do
    #[arg(long, env = "COURANT_KIND", value_name = "KIND")]
    pub kind: Option<String>,

    /// A file with the password of the document; `-` for standard input
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

impl Convert {
    /// The same as flags of a submit.
    pub fn submit(&self) -> Submit {
        Submit {
            files: vec![self.file.clone()],
            lane: self.lane,
            watch: false,
            json: false,
            batch: None,
            batch_size: None,
            cancel_when_unwatched: None,
            document_id: None,
            labels: self.labels.clone(),
            parameters: self.parameters.clone(),
            callback: None,
            // Of a result, the format is added to the call; of an output all are made.
            formats: Vec::new(),
            request_id: self.request_id.clone(),
            kind: self.kind.clone(),
            password_file: self.password_file.clone(),
            owner: self.owner.clone(),
            following: self.following.clone(),
            connection: self.connection.clone(),
        }
    }
}
