//! `courant result`.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use courant_proto::v1::read_result_response::Part;
use courant_proto::v1::{ReadResultRequest, ReadResultResponse, ResultFormat};
use courant_runtime::hex;
use sha2::{Digest, Sha256};
use tonic::Streaming;

use crate::args::ResultArgs;
use crate::connect::{Client, connect};
use crate::failure::Failure;

/// Writes the result to the file or to standard output.
pub async fn run(args: ResultArgs) -> Result<ExitCode, Failure> {
    let mut client = connect(&args.connection).await?;
    let format = ResultFormat::from(args.format);
    match &args.output {
        Some(path) => save(&mut client, &args.job, format, path).await?,
        None => download(&mut client, &args.job, format, &mut std::io::stdout().lock()).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the result to a file that is either whole and right or not touched at all.
pub async fn save(client: &mut Client, job: &str, format: ResultFormat, path: &Path) -> Result<(), Failure> {
    let file = |source| Failure::File { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_owned);
    // As private as any new file of this user, and no more.
    let draft = tempfile::Builder::new().permissions(Permissions::from_mode(0o666)).tempfile_in(folder);
    let mut draft = draft.map_err(file)?;
    download(client, job, format, &mut draft).await?;
    draft.as_file().sync_all().map_err(file)?;
    draft.persist(path).map_err(|error| file(error.error))?;
    Ok(())
}

async fn download(client: &mut Client, job: &str, format: ResultFormat, to: &mut impl Write) -> Result<(), Failure> {
    let request = ReadResultRequest { job_id: job.to_owned(), format: format.into(), offset: 0, limit: 0 };
    let mut stream: Streaming<ReadResultResponse> = client.read_result(request).await?.into_inner();
    let (mut hasher, mut promised) = (Sha256::new(), None);
    while let Some(message) = stream.message().await? {
        match message.part {
            Some(Part::Header(header)) => promised = Some(header.sha256),
            Some(Part::Chunk(chunk)) => {
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
