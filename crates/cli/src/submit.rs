//! `courant submit`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use courant_bridge::wire::job::Job as JobJson;
use courant_proto::v1::submit_job_request::Part;
use courant_proto::v1::{Lane, Password, ResultFormat, SubmitJobHeader, SubmitJobRequest, SubmitJobResponse};
use courant_runtime::hex;
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::args::{Connection, Submit};
use crate::connect::connect;
use crate::failure::{Failure, passes};
use crate::follow::Follower;
use crate::{out, parameters, password, view};

const PIECE_BYTES: usize = 256 << 10;
/// Pieces read ahead of the network; when it is full the reading waits.
const PIECES_AHEAD: usize = 4;
const WAIT: Duration = Duration::from_millis(500);

/// Submits every file, then follows the jobs if asked to.
pub async fn run(args: Submit) -> Result<ExitCode, Failure> {
    for (given, flag) in [(args.request_id.is_some(), "--request-id"), (args.document_id.is_some(), "--document-id")] {
        if given && args.files.len() > 1 {
            return Err(Failure::OneOnly { flag, thing: "file" });
        }
    }
    let mut followers = Vec::new();
    let password = password::read(args.password_file.as_deref()).await?;
    for file in &args.files {
        let answer = submit(file, &args, password.clone()).await?;
        let job = answer.job.ok_or(Failure::Incomplete("the job"))?;
        if args.json {
            out::line(serde_json::json!({ "job": JobJson::from(&job), "cursor": answer.cursor }))?;
        } else {
            out::line(&job.job_id)?;
        }
        followers.push(Follower {
            job_id: job.job_id,
            connection: args.connection.clone(),
            following: args.following.clone(),
            cursor: answer.cursor,
        });
    }
    if !args.watch {
        return Ok(ExitCode::SUCCESS);
    }
    view::follow(followers, view::for_output(args.json).as_mut()).await
}

/// Submits one file. Safe to repeat, because every submit has a request id: it is repeated while the service is away.
pub async fn submit(file: &Path, args: &Submit, password: Option<Password>) -> Result<SubmitJobResponse, Failure> {
    let header = SubmitJobHeader { password, ..header(file, args).await? };
    repeat(args.following.give_up_after, || attempt(file, &header, &args.connection)).await
}

/// Repeats a call while the service is away.
pub async fn repeat<T, F: Future<Output = Result<T, SubmitError>>>(
    give_up_after: Duration,
    attempt: impl Fn() -> F,
) -> Result<T, Failure> {
    let begun = Instant::now();
    let mut last_reason = None;
    loop {
        match attempt().await {
            Err(SubmitError::Unavailable(failure)) if begun.elapsed() < give_up_after => {
                let why = failure.to_string();
                if last_reason.as_ref() != Some(&why) {
                    eprintln!("courant: {why}; trying again for up to {}", humantime::format_duration(give_up_after));
                }
                last_reason = Some(why);
                tokio::time::sleep(WAIT).await;
            }
            Err(SubmitError::Unavailable(failure) | SubmitError::Final(failure)) => return Err(failure),
            Ok(answer) => return Ok(answer),
        }
    }
}

/// Why a submit did not get through.
pub enum SubmitError {
    /// The service went away meanwhile.
    Unavailable(Failure),
    /// The same would happen again.
    Final(Failure),
}

impl From<Status> for SubmitError {
    fn from(status: Status) -> Self {
        if passes(&status) { Self::Unavailable(status.into()) } else { Self::Final(status.into()) }
    }
}

async fn attempt(file: &Path, header: &SubmitJobHeader, to: &Connection) -> Result<SubmitJobResponse, SubmitError> {
    let mut client = connect(to).await.map_err(SubmitError::Final)?;
    let header = SubmitJobRequest { part: Some(Part::Header(header.clone())) };
    let chunk = |chunk| SubmitJobRequest { part: Some(Part::Chunk(chunk)) };
    Ok(send(file, header, chunk, |body| client.submit_job(body)).await?.into_inner())
}

/// Sends a header and then the file in pieces, until all is sent or the service stops listening.
pub async fn send<M: Send + 'static, A, F: Future<Output = Result<A, Status>>>(
    file: &Path,
    header: M,
    chunk: impl Fn(Bytes) -> M + Send + 'static,
    call: impl FnOnce(ReceiverStream<M>) -> F,
) -> Result<A, SubmitError> {
    let (pieces, body) = mpsc::channel(PIECES_AHEAD);
    let reading = tokio::spawn(read(file.to_owned(), header, chunk, pieces));
    let answer = call(ReceiverStream::new(body)).await;
    // A file that cannot be read to its end is the cause of whatever the service says.
    reading
        .await
        .map_err(|error| SubmitError::Final(Failure::Io(std::io::Error::other(error))))?
        .map_err(SubmitError::Final)?;
    Ok(answer?)
}

async fn read<M>(path: PathBuf, header: M, chunk: impl Fn(Bytes) -> M, to: mpsc::Sender<M>) -> Result<(), Failure> {
    if to.send(header).await.is_err() {
        return Ok(());
    }
    let mut file = open(&path).await?;
    while let Some(piece) = piece(&mut file, &path).await? {
        if to.send(chunk(piece)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// What a file is submitted with.
pub async fn header(file: &Path, args: &Submit) -> Result<SubmitJobHeader, Failure> {
    let (sha256, document_bytes) = hash(file).await?;
    Ok(SubmitJobHeader {
        request_id: args.request_id.clone().unwrap_or_else(|| ulid::Ulid::generate().to_string()),
        filename: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        document_id: args.document_id.clone().unwrap_or_default(),
        batch_id: args.batch.clone().unwrap_or_default(),
        lane: args.lane.map_or(Lane::Unspecified, Lane::from).into(),
        labels: args.labels.iter().cloned().collect(),
        kind: args.kind.clone().unwrap_or_default(),
        formats: args.formats.iter().map(|format| ResultFormat::from(*format).into()).collect(),
        owner: args.owner.clone().unwrap_or_default(),
        // Sent ahead, so that a file that changes while it is sent is refused and not half processed.
        sha256,
        document_bytes,
        pages: 0,
        batch_size: batch_size(args),
        cancel_when_unwatched: args.cancel_when_unwatched.and_then(|time| prost_types::Duration::try_from(time).ok()),
        password: None,
        parameters: parameters::read(&args.parameters).await?,
        callback: args.callback.clone().unwrap_or_default(),
    })
}

/// These files are the batch, unless --batch-size says otherwise.
fn batch_size(args: &Submit) -> i32 {
    match (&args.batch, args.batch_size) {
        (None, _) => 0,
        (Some(_), Some(size)) => size,
        (Some(_), None) => i32::try_from(args.files.len()).unwrap_or(i32::MAX),
    }
}

/// The file's SHA-256 in hexadecimal, and its size.
async fn hash(path: &Path) -> Result<(String, i64), Failure> {
    let mut file = open(path).await?;
    let (mut hasher, mut size) = (Sha256::new(), 0);
    while let Some(chunk) = piece(&mut file, path).await? {
        size += chunk.len() as i64;
        hasher.update(&chunk);
    }
    if size == 0 { Err(Failure::EmptyFile(path.to_owned())) } else { Ok((hex(&hasher.finalize()), size)) }
}

async fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).await.map_err(|source| Failure::File { path: path.to_owned(), source })
}

async fn piece(file: &mut File, path: &Path) -> Result<Option<Bytes>, Failure> {
    let mut buffer = vec![0; PIECE_BYTES];
    let count = file.read(&mut buffer).await.map_err(|source| Failure::File { path: path.to_owned(), source })?;
    buffer.truncate(count);
    Ok((count > 0).then(|| buffer.into()))
}
