//! `courant admin explain`.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use courant_bridge::wire::names;
use courant_proto::v1::{ExplainJobRequest, ExplainJobResponse, JobWait, PassedBy};
use serde_json::json;

use super::lanes::time;
use crate::args::Explain;
use crate::connect::connect_admin;
use crate::failure::Failure;
use crate::out;

/// Prints why a job waits or waited.
pub async fn run(args: Explain) -> Result<ExitCode, Failure> {
    let mut admin = connect_admin(&args.operator.connection).await?;
    let found = admin.explain_job(ExplainJobRequest { job_id: args.job }).await?.into_inner();
    if args.operator.json {
        out::line(object(&found))?
    } else {
        print(&found)?
    }
    Ok(ExitCode::SUCCESS)
}

fn print(found: &ExplainJobResponse) -> Result<(), Failure> {
    let ExplainJobResponse { job_id, owner, kind, position, .. } = found;
    let place = if *position > 0 { format!(", place {position} in its queue") } else { String::new() };
    let (state, lane) = (names::state(found.state()), names::lane(found.lane()));
    out::line(format_args!("{job_id}  {state}{place}; {kind} of {owner} in the lane {lane}"))?;
    for reason in &found.reasons {
        out::line(format_args!("  {:<16}  {}", reason.code, reason.message))?;
    }
    out::line("waited")?;
    for wait in &found.waits {
        out::line(format_args!("  {}", waited(wait)))?;
    }
    let lacks = if found.complete { "" } else { " (of the part of the log that is there and was looked through)" };
    out::line(format_args!("started during the last wait{lacks}"))?;
    out::line(format_args!("  {} jobs that were queued before it", found.started_before))?;
    for group in &found.passed_by {
        out::line(format_args!("  {}", passed(group)))?;
    }
    Ok(())
}

fn waited(wait: &JobWait) -> String {
    let moment = |time: Option<prost_types::Timestamp>| time.and_then(|time| SystemTime::try_from(time).ok());
    let begin = moment(wait.begin_time).unwrap_or(SystemTime::UNIX_EPOCH);
    let end = moment(wait.end_time);
    let took = end.unwrap_or_else(SystemTime::now).duration_since(begin).unwrap_or_default();
    let took = humantime::format_duration(Duration::from_millis(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)));
    let then = match (end, wait.attempt) {
        (None, _) => "and waits still".to_owned(),
        (Some(_), 0) => "until it ended".to_owned(),
        (Some(_), attempt) => format!("until attempt {attempt}"),
    };
    let since = time(wait.begin_time.as_ref());
    let due = wait.not_before_time.map(|due| format!(", not to be started before {}", time(Some(&due))));
    format!("{took} from {since} ({}) {then}{}", wait.cause.to_lowercase(), due.unwrap_or_default())
}

fn passed(group: &PassedBy) -> String {
    let why = match group.code.as_str() {
        "OTHER_LANE" => "by the weight of their lane",
        "OTHER_OWNER" => "because owners take turns",
        "SAME_OWNER" => "while this one was not due, or at another server",
        other => other,
    };
    let retries = if group.retries > 0 { format!(", {} of them retries", group.retries) } else { String::new() };
    let lane = names::lane(group.lane());
    format!("{} jobs queued after it: of {} in the lane {lane}{retries}, {why}", group.jobs, group.owner)
}

fn object(found: &ExplainJobResponse) -> serde_json::Value {
    let reasons = found.reasons.iter().map(|reason| json!({ "code": reason.code, "message": reason.message }));
    let waits = found.waits.iter().map(|wait| {
        json!({
            "beginTime": time(wait.begin_time.as_ref()),
            "endTime": wait.end_time.map(|end| time(Some(&end))),
            "attempt": wait.attempt,
            "cause": wait.cause,
            "notBeforeTime": wait.not_before_time.map(|due| time(Some(&due))),
        })
    });
    let passed = found.passed_by.iter().map(|group| {
        json!({
            "lane": names::lane(group.lane()),
            "owner": group.owner,
            "jobs": group.jobs,
            "retries": group.retries,
            "code": group.code,
        })
    });
    json!({
        "jobId": found.job_id,
        "owner": found.owner,
        "kind": found.kind,
        "lane": names::lane(found.lane()),
        "state": names::state(found.state()),
        "position": found.position,
        "reasons": reasons.collect::<Vec<_>>(),
        "waits": waits.collect::<Vec<_>>(),
        "passedBy": passed.collect::<Vec<_>>(),
        "startedBefore": found.started_before,
        "complete": found.complete,
    })
}
