//! The flags of the audit log.

use std::path::{Path, PathBuf};

use clap::Args;

/// The name of the audit log in the data folder.
const NAME: &str = "audit.jsonl";

/// Where the audit log is, and how much of it is kept.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Audit log")]
pub struct AuditConfig {
    /// File of the audit log, one line of JSON for each event; older files have .1, .2, … behind its name. Default:
    /// DATA_DIR/audit.jsonl
    #[arg(long, env = "COURANT_AUDIT_LOG", value_name = "FILE")]
    pub audit_log: Option<PathBuf>,

    /// Bytes of a file of the audit log, after which a new one is begun (65536 to 1099511627776)
    #[arg(long, env = "COURANT_AUDIT_LOG_BYTES", default_value_t = 16 << 20, value_name = "BYTES")]
    pub audit_log_bytes: u64,

    /// Files of the audit log that are kept, with the one that is written (2 to 1000)
    #[arg(long, env = "COURANT_AUDIT_LOG_FILES", default_value_t = 10, value_name = "N")]
    pub audit_log_files: usize,

    /// Events per second of one user, on average, that are written into the audit log one by one; of more the number is
    /// written (1 to 100000)
    #[arg(long, env = "COURANT_AUDIT_RATE_PER_USER", default_value_t = 100, value_name = "N")]
    pub audit_rate_per_user: u32,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { audit_log: None, audit_log_bytes: 16 << 20, audit_log_files: 10, audit_rate_per_user: 100 }
    }
}

impl AuditConfig {
    /// The file that is written.
    pub fn file(&self, data_dir: &Path) -> PathBuf {
        self.audit_log.clone().unwrap_or_else(|| data_dir.join(NAME))
    }

    /// A value that cannot work, by its flag.
    pub fn problem(&self) -> Option<(&'static str, &'static str)> {
        let rules = [
            (
                "--audit-log-bytes",
                !(65_536..=1 << 40).contains(&self.audit_log_bytes),
                "must be 65536 to 1099511627776",
            ),
            ("--audit-log-files", !(2..=1000).contains(&self.audit_log_files), "must be 2 to 1000"),
            ("--audit-rate-per-user", !(1..=100_000).contains(&self.audit_rate_per_user), "must be 1 to 100000"),
        ];
        rules.into_iter().find(|(_, broken, _)| *broken).map(|(flag, _, problem)| (flag, problem))
    }
}
