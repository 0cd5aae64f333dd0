//! Logs from one place to another: `courant migrate`, `courant backup` and `courant begin-epoch`.

use std::path::PathBuf;

use clap::Args;
#[cfg(feature = "nats")]
use courant_server::nats::{NatsSettings, server_url};

#[cfg(feature = "nats")]
#[derive(Args)]
pub struct Migrate {
    /// Data folder with the log to copy; its server must be stopped. Nothing in it is changed
    #[arg(long, env = "COURANT_DATA_DIR", default_value = "courant-data", value_name = "DIR")]
    pub data_dir: PathBuf,

    /// NATS servers to copy it to: nats://HOST:PORT, or tls://HOST:PORT to demand TLS
    #[arg(long, env = "COURANT_LOG_URL", value_name = "URL,…", value_delimiter = ',', value_parser = server_url, required = true)]
    pub log: Vec<String>,

    /// Where the servers on NATS will have documents and results (s3://…, gs://…, az://…, file:///…): they are copied there
    /// from DATA_DIR/objects. Default: they stay where they are
    #[arg(long, env = "COURANT_OBJECTS", value_name = "URL")]
    pub objects: Option<String>,

    /// Credentials of an S3 store, as AWS writes them to ~/.aws/credentials
    #[arg(long, env = "COURANT_OBJECTS_CREDENTIALS_FILE", value_name = "FILE")]
    pub objects_credentials_file: Option<PathBuf>,

    /// Say what would be done, and do nothing
    #[arg(long, env = "COURANT_DRY_RUN")]
    pub dry_run: bool,

    /// Print what was done as one JSON object
    #[arg(long, env = "COURANT_JSON")]
    pub json: bool,

    #[command(flatten)]
    pub nats: NatsSettings,
}

#[derive(Args)]
pub struct Backup {
    /// Data folder of the server, which may run: its log, documents, results, notifications and keys
    #[arg(long, env = "COURANT_DATA_DIR", default_value = "courant-data", value_name = "DIR")]
    pub data_dir: PathBuf,

    /// NATS servers that keep the log, if it is not in the data folder
    #[cfg(feature = "nats")]
    #[arg(long, env = "COURANT_LOG_URL", value_name = "URL,…", value_delimiter = ',', value_parser = server_url)]
    pub log: Vec<String>,

    /// Where documents and results are, if not in DATA_DIR/objects. Of a folder (file:///…) they are copied; of another store
    /// they are not
    #[arg(long, env = "COURANT_OBJECTS", value_name = "URL")]
    pub objects: Option<String>,

    /// The folder to make; it must not exist. It is a data folder, for `courant up` or `courant migrate`
    #[arg(long, env = "COURANT_BACKUP_TO", value_name = "FOLDER")]
    pub to: PathBuf,

    /// Print what was copied as one JSON object
    #[arg(long, env = "COURANT_JSON")]
    pub json: bool,

    #[cfg(feature = "nats")]
    #[command(flatten)]
    pub nats: NatsSettings,
}

#[cfg(feature = "nats")]
#[derive(Args)]
pub struct BeginEpoch {
    /// NATS servers that keep the log
    #[arg(long, env = "COURANT_LOG_URL", value_name = "URL,…", value_delimiter = ',', value_parser = server_url, required = true)]
    pub log: Vec<String>,

    #[command(flatten)]
    pub nats: NatsSettings,
}
