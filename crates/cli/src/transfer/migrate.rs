//! `courant migrate` and `courant begin-epoch`.

use std::process::ExitCode;

use courant_server::transfer::FilesReport;
use courant_server::transfer::migrate::{FilesOutcome, Migration, MigrationReport, migrate};
use indicatif::HumanBytes;

use super::progress::{Line, counted, files};
use crate::args::{BeginEpoch, Migrate};
use crate::failure::{Failure, root};
use crate::out;

/// Copies a log to NATS.
pub async fn run(args: Migrate) -> Result<ExitCode, Failure> {
    let nats = args.nats.options(&args.log).map_err(|error| Failure::Start(root(&error)))?;
    let plan = Migration {
        data_dir: args.data_dir.clone(),
        nats,
        objects: args.objects,
        objects_credentials_file: args.objects_credentials_file,
        dry_run: args.dry_run,
    };
    let line = Line::new();
    let done = migrate(plan, &mut |step| line.show(step)).await;
    line.end();
    let done = done?;
    if args.json {
        out::line(serde_json::to_string(&done)?)?;
    } else {
        print(&done, &args.data_dir.display().to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(done: &MigrationReport, data: &str) -> Result<(), Failure> {
    let MigrationReport { stream, jobs, events, seconds, .. } = done;
    let does = match (done.dry_run, done.resumed) {
        (true, _) => "would copy",
        (false, true) => "copied (going on with an earlier run)",
        (false, false) => "copied",
    };
    let log =
        format!("{} with {} ({})", counted(*jobs, "job"), counted(*events, "event"), HumanBytes(done.event_bytes));
    out::line(format!("{does} {log} into the stream {stream}, {seconds:.1} s"))?;
    let say = |what: &str, text: String| out::line(format!("  {what:<13} {text}"));
    say("small files", files(done.small_files, done.small_file_bytes))?;
    say("files", of_files(&done.files, done.dry_run))?;
    if done.verified {
        say("checked", "all events and small files were read back; counts and checksums are the same".into())?;
    }
    for (what, text) in left_out(done) {
        say(what, text)?;
    }
    out::line("not copied; give these to each server:")?;
    say("tokens", format!("--secret-file {data}/secret"))?;
    say(
        "passwords",
        format!("--password-key-file {data}/password.key (sealed passwords of documents need this very key)"),
    )?;
    say("notifications", "each server makes its own; notices.db and push.key stay in the data folder".into())?;
    if done.verified {
        out::line(format!("{data} is as it was. Do not start a server on its log again: the two would go apart"))?;
    }
    Ok(())
}

fn of_files(outcome: &FilesOutcome, dry_run: bool) -> String {
    let count = |FilesReport { files: count, bytes, .. }: &FilesReport| files(*count, *bytes);
    match outcome {
        FilesOutcome::None => "none in the data folder; give the servers the --objects that this one had".to_owned(),
        FilesOutcome::Stay { folder, counted } => format!(
            "{} stay in {}; give --objects to copy them to where all servers reach them",
            count(counted),
            folder.display()
        ),
        FilesOutcome::Copied { to, counted } if dry_run => format!("{} would be copied to {to}", count(counted)),
        FilesOutcome::Copied { to, counted } => {
            format!("{} copied to {to}, {} of them before", count(counted), counted.unchanged)
        }
    }
}

/// What nobody will find there.
fn left_out(done: &MigrationReport) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if done.removed_jobs > 0 {
        lines.push((
            "left out",
            format!("marks of {}: nobody needs them there", counted(done.removed_jobs, "removed job")),
        ));
    }
    if done.left_out_events > 0 {
        let oldest = counted(done.left_out_events, "oldest event");
        lines.push(("left out", format!("{oldest} of jobs with more than a stream keeps of one")));
    }
    if done.unfinished_uploads > 0 {
        let uploads = counted(done.unfinished_uploads, "unfinished upload");
        lines.push(("left out", format!("{uploads}: their senders begin again")));
    }
    if let FilesOutcome::Copied { counted: FilesReport { without_job: left @ 1.., .. }, .. } = done.files {
        lines.push(("left out", format!("{} of jobs that are not there any more", counted(left, "file"))));
    }
    lines
}

/// Begins an epoch of the stream, so that clients that are ahead of it resync.
pub async fn begin_epoch(args: BeginEpoch) -> Result<ExitCode, Failure> {
    args.nats.begin_epoch(&args.log).await.map_err(|error| Failure::Start(root(&error)))?;
    out::line(format!(
        "the stream {} has a new epoch: cursors beyond its end are answered with a resync. Servers that had it open stop; start them again",
        args.nats.stream()
    ))?;
    Ok(ExitCode::SUCCESS)
}
