//! `courant convert`: from a document to its result in one call.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use courant_proto::v1::convert_document_header::Result as WantedPart;
use courant_proto::v1::convert_document_request::Part as RequestPart;
use courant_proto::v1::convert_document_response::Part;
use courant_proto::v1::{
    ConvertDocumentHeader, ConvertDocumentRequest, ConvertDocumentResponse, Job, JobState, SubmitJobHeader,
    SubmitJobResponse,
};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::mpsc;
use tonic::Streaming;

use crate::args::Convert;
use crate::connect::connect;
use crate::failure::Failure;
use crate::follow::Follower;
use crate::password;
use crate::result::{self, Piece, Pieces, Wanted};
use crate::submit::{self, SubmitError};

/// More than any service allows: it cuts this to what it does.
const LONGEST: Duration = Duration::from_secs(3600);

/// Submits the file, waits, and writes the result.
pub async fn run(args: Convert) -> Result<ExitCode, Failure> {
    let header = header(&args).await?;
    let give_up_after = args.following.give_up_after;
    let outcome = submit::repeat(give_up_after, || attempt(&args, &header)).await?;
    let to = args.output.as_deref().filter(|path| *path != Path::new("-"));
    match outcome {
        Outcome::Result(pieces) => result::write(pieces, to).await?,
        Outcome::Failed(job) => return Err(failed(&job)),
        Outcome::Unfinished(now) => {
            let SubmitJobResponse { job, cursor } = *now;
            let job = job.ok_or(Failure::Incomplete("the job"))?;
            if args.wait.is_some() {
                return Err(Failure::Unfinished(job.job_id));
            }
            let job = follow(&args, job.job_id, cursor).await?;
            if job.state() != JobState::Succeeded {
                return Err(failed(&job));
            }
            let mut client = connect(&args.connection).await?;
            result::write(result::pieces(&mut client, &job.job_id, &wanted(&args)).await?, to).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn wanted(args: &Convert) -> Wanted {
    match &args.output_name {
        Some(name) => Wanted::Output(name.clone()),
        None => Wanted::Result(args.format.into()),
    }
}

async fn header(args: &Convert) -> Result<ConvertDocumentHeader, Failure> {
    let password = password::read(args.password_file.as_deref()).await?;
    let submit = SubmitJobHeader { password, ..submit::header(&args.file, &args.submit()).await? };
    let wanted = match wanted(args) {
        Wanted::Result(format) => WantedPart::Format(format.into()),
        Wanted::Output(name) => WantedPart::Output(name),
    };
    Ok(ConvertDocumentHeader {
        submit: Some(submit),
        result: Some(wanted),
        wait: prost_types::Duration::try_from(args.wait.unwrap_or(LONGEST)).ok(),
        cancel_on_disconnect: args.cancel_on_disconnect,
    })
}

/// What has come of the call.
enum Outcome {
    Result(Pieces),
    Unfinished(Box<SubmitJobResponse>),
    Failed(Box<Job>),
}

async fn attempt(args: &Convert, header: &ConvertDocumentHeader) -> Result<Outcome, SubmitError> {
    let mut client = connect(&args.connection).await.map_err(SubmitError::Final)?;
    let header = ConvertDocumentRequest { part: Some(RequestPart::Header(header.clone())) };
    let chunk = |chunk| ConvertDocumentRequest { part: Some(RequestPart::Chunk(chunk)) };
    let answer = submit::send(&args.file, header, chunk, |body| client.convert_document(body)).await?;
    outcome(answer.into_inner()).await
}

async fn outcome(mut answer: Streaming<ConvertDocumentResponse>) -> Result<Outcome, SubmitError> {
    while let Some(message) = answer.message().await? {
        match message.part {
            Some(Part::Header(header)) => {
                let rest = answer.map_ok(|message| match message.part {
                    Some(Part::Chunk(chunk)) => Some(Piece::Chunk(chunk)),
                    _ => None,
                });
                let first = futures::stream::once(async { Ok(Some(Piece::Header(header.sha256))) });
                return Ok(Outcome::Result(first.chain(rest).boxed()));
            }
            Some(Part::Unfinished(now)) => return Ok(Outcome::Unfinished(Box::new(now))),
            Some(Part::Failed(job)) => return Ok(Outcome::Failed(Box::new(job))),
            Some(Part::Submitted(_) | Part::Chunk(_)) | None => {}
        }
    }
    Err(SubmitError::Final(Failure::Incomplete("the result")))
}

/// Waits for the end of a job that took longer than one call may.
async fn follow(args: &Convert, job_id: String, cursor: String) -> Result<Job, Failure> {
    let (connection, following) = (args.connection.clone(), args.following.clone());
    let (updates, mut seen) = mpsc::channel(1);
    let unread = tokio::spawn(async move { while seen.recv().await.is_some() {} });
    let job = Follower { job_id, connection, following, cursor }.run(updates).await;
    unread.abort();
    job
}

fn failed(job: &Job) -> Failure {
    let why =
        job.error.as_ref().map_or("it was cancelled".to_owned(), |error| format!("{} ({})", error.message, error.code));
    Failure::JobFailed { job: job.job_id.clone(), why }
}
