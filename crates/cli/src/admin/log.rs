//! `courant admin log` and `courant admin verify`.

use std::process::ExitCode;

use courant_proto::v1::verify_integrity_response::Message;
use courant_proto::v1::{GetLogInfoRequest, GetLogInfoResponse, IntegrityProgress, VerifyIntegrityRequest};
use serde_json::json;

use super::lanes::time;
use crate::args::{OperatorFlags, Verify};
use crate::connect::connect_admin;
use crate::failure::Failure;
use crate::out;

/// Prints what there is to know of the log.
pub async fn info(args: OperatorFlags) -> Result<ExitCode, Failure> {
    let mut admin = connect_admin(&args.connection).await?;
    let log = admin.get_log_info(GetLogInfoRequest {}).await?.into_inner();
    if args.json {
        out::line(object(&log))?
    } else {
        print(&log)?
    }
    Ok(ExitCode::SUCCESS)
}

fn print(log: &GetLogInfoResponse) -> Result<(), Failure> {
    let mib = |bytes: i64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let most = if log.max_bytes > 0 { format!(" of at most {}", mib(log.max_bytes)) } else { String::new() };
    out::line(format_args!("server    {}", log.server))?;
    out::line(format_args!("engine    {} in {}, on {} nodes", log.engine, log.location, log.replicas))?;
    out::line(format_args!("size      {}{most}, {} jobs", mib(log.size_bytes), log.jobs))?;
    out::line(format_args!("first     {} at {}", log.first_revision, time(log.first_time.as_ref())))?;
    out::line(format_args!("last      {} at {}", log.last_revision, time(log.last_time.as_ref())))?;
    out::line(format_args!("view      at {}", log.view_revision))?;
    out::line(format_args!("epoch     {}, the {}. of this log", log.epoch, log.epochs))
}

fn object(log: &GetLogInfoResponse) -> serde_json::Value {
    json!({
        "server": log.server,
        "engine": log.engine,
        "location": log.location,
        "sizeBytes": log.size_bytes,
        "maxBytes": (log.max_bytes > 0).then_some(log.max_bytes),
        "replicas": log.replicas,
        "jobs": log.jobs,
        "firstRevision": log.first_revision,
        "firstTime": log.first_time.map(|at| time(Some(&at))),
        "lastRevision": log.last_revision,
        "lastTime": log.last_time.map(|at| time(Some(&at))),
        "viewRevision": log.view_revision,
        "epoch": log.epoch,
        "epochs": log.epochs,
    })
}

/// Verifies log and files, and prints what is wrong.
pub async fn verify(args: Verify) -> Result<ExitCode, Failure> {
    let mut admin = connect_admin(&args.operator.connection).await?;
    let request = VerifyIntegrityRequest { filter: args.filter.unwrap_or_default(), bytes_per_second: args.rate };
    let mut answers = admin.verify_integrity(request).await?.into_inner();
    let json = args.operator.json;
    while let Some(answer) = answers.message().await? {
        match answer.message {
            Some(Message::Problem(problem)) if json => out::line(
                json!({ "jobId": problem.job_id, "file": problem.file, "code": problem.code, "message": problem.message }),
            )?,
            Some(Message::Problem(problem)) => {
                let (job, file, code) = (&problem.job_id, &problem.file, &problem.code);
                out::line(format_args!("{job:<26}  {file:<12}  {code:<10}  {}", problem.message))?;
            }
            Some(Message::Progress(now)) => eprintln!("{}", sentence(&now)),
            Some(Message::Summary(all)) => {
                out::line(if json { summary(&all).to_string() } else { sentence(&all) })?;
                return Ok(if all.problems == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
            None => {}
        }
    }
    Err(Failure::Incomplete("the end of the verification"))
}

fn sentence(now: &IntegrityProgress) -> String {
    let IntegrityProgress { entries, jobs, files, bytes, problems } = now;
    format!("{entries} entries of the log, {jobs} jobs, {files} files with {bytes} bytes: {problems} problems")
}

fn summary(all: &IntegrityProgress) -> serde_json::Value {
    json!({
        "entries": all.entries, "jobs": all.jobs, "files": all.files, "bytes": all.bytes, "problems": all.problems,
    })
}
