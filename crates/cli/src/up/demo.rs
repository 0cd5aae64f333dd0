//! `courant up --demo FILE`: one document through the whole of it, as a client would send it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use courant_proto::v1::ResultFormat;
use tokio_util::sync::CancellationToken;

use crate::args::{Command, Courant, Submit};
use crate::connect::connect;
use crate::failure::Failure;
use crate::follow::Follower;
use crate::home::Home;
use crate::result::Wanted;
use crate::{out, result, submit, view};

/// Submits the file, shows its progress and keeps its Markdown. Stops early when the whole is told to stop.
pub async fn run(file: PathBuf, home: Home, user: String, shutdown: CancellationToken) -> Result<(), Failure> {
    tokio::select! {
        done = process(&file, &home, &user) => done,
        () = shutdown.cancelled() => Ok(()),
    }
}

async fn process(file: &Path, home: &Home, user: &str) -> Result<(), Failure> {
    let args = as_typed(file, home, user)?;
    out::line(format_args!("\nProcessing {} as an example …", file.display()))?;
    let answer = submit::submit(file, &args, None).await?;
    let job = answer.job.ok_or(Failure::Incomplete("the job"))?;
    let follower = Follower {
        job_id: job.job_id.clone(),
        connection: args.connection.clone(),
        following: args.following.clone(),
        cursor: answer.cursor,
    };
    let code = view::follow(vec![follower], view::for_output(false).as_mut()).await?;
    if code != ExitCode::SUCCESS {
        return Ok(());
    }
    let folder = home.absolute().join("demo");
    std::fs::create_dir_all(&folder).map_err(|source| Failure::File { path: folder.clone(), source })?;
    let kept = folder.join("result.md");
    let mut client = connect(&args.connection).await?;
    result::save(&mut client, &job.job_id, &Wanted::Result(ResultFormat::Markdown), &kept).await?;
    out::line(format_args!("\nThe result is in {}", kept.display()))?;
    out::line("Open the console link above to send your own. Ctrl-C stops.")
}

/// The same as if the person had typed `courant submit --data-dir … FILE`.
fn as_typed(file: &Path, home: &Home, user: &str) -> Result<Submit, Failure> {
    let (file, dir) = (file.as_os_str(), home.path().as_os_str());
    let typed = ["courant".as_ref(), "submit".as_ref(), "--user".as_ref(), user.as_ref(), "--data-dir".as_ref(), dir];
    let typed = typed.into_iter().chain(["--".as_ref(), file]);
    match Courant::try_parse_from(typed).map(|parsed| parsed.command) {
        Ok(Command::Submit(args)) => Ok(*args),
        Ok(_) => Err(Failure::Incomplete("a submit command")),
        Err(error) => Err(Failure::Start(error.to_string())),
    }
}
