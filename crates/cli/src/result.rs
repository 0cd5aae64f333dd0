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
    write(&mut client, &args.job, &wanted, args.output.as_deref()).await
}

/// The same of an output.
pub async fn run_output(args: OutputArgs) -> Result<ExitCode, Failure> {
    let mut client = connect(&args.connection).await?;
    write(&mut client, &args.job, &Wanted::Output(args.name), args.output.as_deref()).await
}

/// What is downloaded of a job.
pub enum Wanted {
    Result(ResultFormat),
    /// By its name.
    Output(String),
}

/// A message of a download.
enum Piece {
    /// With the checksum of the whole.
    Header(String),
    Chunk(Bytes),
}

async fn write(client: &mut Client, job: &str, wanted: &Wanted, to: Option<&Path>) -> Result<ExitCode, Failure> {
    match to {
        Some(path) => save(client, job, wanted, path).await?,
        None => download(client, job, wanted, &mut std::io::stdout().lock()).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the result to a file that is either whole and right or not touched at all.
pub async fn save(client: &mut Client, job: &str, wanted: &Wanted, path: &Path) -> Result<(), Failure> {
    let file = |source| Failure::File { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_owned);
    // As private as any new file of this user, and no more.
    let draft = tempfile::Builder::new().permissions(Permissions::from_mode(0o666)).tempfile_in(folder);
    let mut draft = draft.map_err(file)?;
    download(client, job, wanted, &mut draft).await?;
    draft.as_file().sync_all().map_err(file)?;
    draft.persist(path).map_err(|error| file(error.error))?;
    Ok(())
}

async fn download(client: &mut Client, job: &str, wanted: &Wanted, to: &mut impl Write) -> Result<(), Failure> {
    let mut pieces = pieces(client, job, wanted).await?;
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

async fn pieces(
    client: &mut Client,
    job: &str,
    wanted: &Wanted,
) -> Result<BoxStream<'static, Result<Option<Piece>, Status>>, Failure> {
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
