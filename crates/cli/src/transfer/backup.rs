//! `courant backup`.

use std::process::ExitCode;

use courant_server::transfer::FilesReport;
use courant_server::transfer::backup::{Backup, BackupReport, backup};

use super::progress::{Line, counted, files};
use crate::args;
use crate::failure::Failure;
use crate::out;

/// Makes a folder with all that a server has.
pub async fn run(args: args::Backup) -> Result<ExitCode, Failure> {
    let plan = Backup {
        #[cfg(feature = "nats")]
        nats: nats(&args)?,
        data_dir: args.data_dir,
        objects: args.objects,
        to: args.to,
    };
    let line = Line::new();
    let done = backup(plan, &mut |step| line.show(step)).await;
    line.end();
    let done = done?;
    if args.json {
        out::line(serde_json::to_string(&done)?)?;
    } else {
        print(&done)?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(feature = "nats")]
fn nats(args: &args::Backup) -> Result<Option<courant_natslog::Options>, Failure> {
    if args.log.is_empty() {
        return Ok(None);
    }
    let options = args.nats.options(&args.log);
    options.map(Some).map_err(|error| Failure::Start(crate::failure::root(&error)))
}

fn print(done: &BackupReport) -> Result<(), Failure> {
    let BackupReport { folder, jobs, events, small_files, .. } = done;
    let log = format!("{} with {}", counted(*jobs, "job"), counted(*events, "event"));
    out::line(format!("backed up {log} into {}, {:.1} s", folder.display(), done.seconds))?;
    let say = |what: &str, text: String| out::line(format!("  {what:<13} {text}"));
    let FilesReport { files: count, bytes, .. } = done.files;
    say("small files", counted(*small_files, "file") + " in the log")?;
    match &done.objects_elsewhere {
        Some(url) => say("files", format!("not copied from {url}; back that store up now, after the log"))?,
        None => say("files", files(count, bytes))?,
    }
    if !done.copied.is_empty() {
        say("also", done.copied.join(", "))?;
    }
    for key in &done.keys_elsewhere {
        say("not there", format!("{key}: keep the file that the servers have with the backup"))?;
    }
    out::line("The folder holds keys and documents: keep it as safe as the data folder. Restore it with")?;
    out::line(format!("  courant up --data-dir {}", folder.display()))?;
    out::line(format!("  courant migrate --data-dir {} --log nats://…", folder.display()))
}
