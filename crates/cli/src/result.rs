//! `courant result` and `courant output`.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use courant_proto::v1::read_output_response::Part as OutputPart;
use courant_proto::v1::read_result_response::Part;
use courant_proto::v1::{ReadOutputRequest, ReadResultRequest, ResultFormat};
use courant_runtime::hex;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use sha2::{Digest, Sha256};
use tonic::Status;

use crate::args::{OutputArgs, ResultArgs};
use crate::connect::{Client, connect};
use crate::failure::Failure;

/// Writes the result to the file or to standard output.
pub async fn run(args: ResultArgs) -> Result<ExitCode, Failure> {
    let mut client = connect(&args.connection).await?;
    let wanted = Wanted::Result(args.format.into());
    write(pieces(&mut client, &args.job, &wanted).await?, args.output.as_deref()).await?;
    Ok(ExitCode::SUCCESS)
}

/// The same of an output.
pub async fn run_output(args: OutputArgs) -> Result<ExitCode, Failure> {
    let mut client = connect(&args.connection).await?;
    write(pieces(&mut client, &args.job, &Wanted::Output(args.name)).await?, args.output.as_deref()).await?;
    Ok(ExitCode::SUCCESS)
}

/// What is downloaded of a job.
pub enum Wanted {
    Result(ResultFormat),
    /// By its name.
    Output(String),
}

/// A message of a download; none where it is of no kind that is known here.
pub enum Piece {
    /// With the checksum of the whole.
    Header(String),
    Chunk(Bytes),
}

/// A download.
pub type Pieces = BoxStream<'static, Result<Option<Piece>, Status>>;

/// Writes it to the file, or to standard output.
pub async fn write(pieces: Pieces, to: Option<&Path>) -> Result<(), Failure> {
    match to {
        Some(path) => write_file(pieces, path).await,
        None => copy(pieces, &mut std::io::stdout().lock()).await,
    }
}

/// Writes the result of a job to a file.
pub async fn save(client: &mut Client, job: &str, wanted: &Wanted, path: &Path) -> Result<(), Failure> {
    write_file(pieces(client, job, wanted).await?, path).await
}

/// Writes to a file that is either whole and right or not touched at all.
async fn write_file(pieces: Pieces, path: &Path) -> Result<(), Failure> {
    let file = |source| Failure::File { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_owned);
    // As private as any new file of this user, and no more.
    let draft = tempfile::Builder::new().permissions(Permissions::from_mode(0o666)).tempfile_in(folder);
    let mut draft = draft.map_err(file)?;
    copy(pieces, &mut draft).await?;
    draft.as_file().sync_all().map_err(file)?;
    draft.persist(path).map_err(|error| file(error.error))?;
    Ok(())
}

async fn copy(mut pieces: Pieces, to: &mut impl Write) -> Result<(), Failure> {
    let (mut hasher, mut promised) = (Sha256::new(), None);
    while let Some(piece) = pieces.try_next().await? {
        match piece {
            Some(Piece::Header(sha256)) => promised = Some(sha256),
            Some(Piece::Chunk(chunk)) => {
                hasher.update(&chunk);
                to.write_all(&chunk)?;
            }
            None => {}
        }
    }
    to.flush()?;
    let promised = promised.ok_or(Failure::Incomplete("a header"))?;
    if hex(&hasher.finalize()) == promised { Ok(()) } else { Err(Failure::Damaged) }
}

/// What is wanted of a job.
pub async fn pieces(client: &mut Client, job: &str, wanted: &Wanted) -> Result<Pieces, Failure> {
    let (job_id, offset, limit) = (job.to_owned(), 0, 0);
    Ok(match wanted {
        Wanted::Result(format) => {
            let request = ReadResultRequest { job_id, format: (*format).into(), offset, limit };
            let pieces = client.read_result(request).await?.into_inner().map_ok(|message| {
                message.part.map(|part| match part {
                    Part::Header(header) => Piece::Header(header.sha256),
                    Part::Chunk(chunk) => Piece::Chunk(chunk),
                })
            });
            pieces.boxed()
        }
        Wanted::Output(name) => {
            let request = ReadOutputRequest { job_id, name: name.clone(), offset, limit };
            let pieces = client.read_output(request).await?.into_inner().map_ok(|message| {
                message.part.map(|part| match part {
                    OutputPart::Header(header) => Piece::Header(header.sha256),
                    OutputPart::Chunk(chunk) => Piece::Chunk(chunk),
                })
            });
            pieces.boxed()
        }
    })
}
