//! `courant jobs`.

use std::process::ExitCode;

use courant_auth::Role;
use courant_bridge::wire::{job::Job as JobJson, names};
use courant_proto::v1::{Job, JobState, ListJobsRequest};

use crate::args::{Jobs, OperatorFlags};
use crate::connect::{Client, connect, connect_jobs};
use crate::failure::Failure;
use crate::out;
use crate::view::{percent, sentence};

/// The largest page the service gives.
const PAGE: usize = 1000;
const NAME_WIDTH: usize = 28;

/// Prints a table or JSON lines, newest job first.
pub async fn run(args: Jobs) -> Result<ExitCode, Failure> {
    let owner = if args.all { "-" } else { "" };
    show(connect(&args.connection).await?, &args, owner).await
}

async fn show(mut client: Client, args: &Jobs, owner: &str) -> Result<ExitCode, Failure> {
    let wanted = if args.limit == 0 { usize::MAX } else { args.limit };
    let (mut shown, mut page_token, mut header_due) = (0, String::new(), !args.json);
    while shown < wanted {
        let answer = client.list_jobs(request(args, owner, wanted - shown, page_token)).await?.into_inner();
        if std::mem::take(&mut header_due) {
            let (job, name) = ("JOB", "DOCUMENT");
            out::line(format_args!("{job:<26}  STATE        DONE  LANE     {name:<NAME_WIDTH$}  DETAILS"))?;
        }
        for job in &answer.jobs {
            print(job, args.json)?;
        }
        shown += answer.jobs.len();
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists the jobs of a user, or of all (`-`), as an operator.
pub async fn list_of(
    owner: &str,
    filter: Option<String>,
    limit: usize,
    operator: OperatorFlags,
) -> Result<ExitCode, Failure> {
    let OperatorFlags { json, connection } = operator;
    let client = connect_jobs(&connection, &[Role::Admin]).await?;
    let args = Jobs { states: Vec::new(), all: true, batch: None, filter, limit, json, connection };
    show(client, &args, owner).await
}

fn request(args: &Jobs, owner: &str, wanted: usize, page_token: String) -> ListJobsRequest {
    ListJobsRequest {
        page_size: i32::try_from(wanted.min(PAGE)).unwrap_or(i32::MAX),
        page_token,
        states: args.states.iter().map(|state| JobState::from(*state).into()).collect(),
        owner: owner.to_owned(),
        batch_id: args.batch.clone().unwrap_or_default(),
        filter: args.filter.clone().unwrap_or_default(),
        ..ListJobsRequest::default()
    }
}

/// One job: a line of the table, or of JSON.
pub fn print(job: &Job, json: bool) -> Result<(), Failure> {
    if json {
        return out::line(serde_json::to_string(&JobJson::from(job))?);
    }
    let name: String = job.filename.chars().filter(|c| !c.is_control()).take(NAME_WIDTH).collect();
    let (state, lane) = (names::state(job.state()), names::lane(job.lane()));
    let what = sentence(job);
    let (id, percent) = (&job.job_id, percent(job));
    out::line(format_args!("{id}  {state:<10}  {percent:>3.0} %  {lane:<7}  {name:<NAME_WIDTH$}  {what}"))
}
