//! `courant admin backup`: a backup, and a line of it in the audit log of the server: the `courant up` that runs on the data folder,
//! or the one of `COURANT_SERVER` and `COURANT_TOKEN`.

use std::process::ExitCode;

use courant_proto::v1::{AuditEvent, RecordAuditEventsRequest};

use crate::args::{Backup, Connection};
use crate::connect::connect_admin;
use crate::failure::Failure;
use crate::transfer;

/// Makes a folder with all that a server has.
pub async fn run(args: Backup) -> Result<ExitCode, Failure> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let connection = Connection {
        server: set("COURANT_SERVER"),
        tls: courant_tls::ClientFlags::default(),
        token: set("COURANT_TOKEN"),
        data_dir: args.data_dir.clone(),
        user: None,
    };
    let target = args.to.display().to_string();
    let made = transfer::backup(args).await;
    let code = if made.is_ok() { "OK" } else { "UNKNOWN" };
    if let Err(failure) = record(&connection, target, code).await {
        eprintln!("courant: the backup is not in the audit log: {failure}");
    }
    made
}

async fn record(connection: &Connection, target: String, code: &str) -> Result<(), Failure> {
    let action = "backup.create".to_owned();
    let event = AuditEvent { action, target, code: code.to_owned(), ..AuditEvent::default() };
    let mut admin = connect_admin(connection).await?;
    admin.record_audit_events(RecordAuditEventsRequest { events: vec![event] }).await?;
    Ok(())
}
