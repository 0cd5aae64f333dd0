//! What workers have made of a document: the exports and all else, listed and read as one.

use courant_joblog::job::{Export, ExportState, Job};
use courant_proto::v1::read_output_response::Part;
use courant_proto::v1::{ListOutputsResponse, Output, ReadOutputRequest, ReadOutputResponse};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tonic::Status;

use super::results::{ByteRange, content_type, pieces};
use crate::convert;
use crate::error::Error;
use crate::files::JobFile;
use crate::objects::artifact_name;
use crate::services::Services;

/// All that there is, exports first.
pub fn list(job: &Job) -> ListOutputsResponse {
    let exports = job.exports.iter().filter_map(of_export);
    ListOutputsResponse { outputs: exports.chain(job.later.outputs.iter().map(convert::output)).collect() }
}

/// The header and the bytes asked for.
pub async fn read(
    services: &Services,
    job: &Job,
    request: &ReadOutputRequest,
) -> Result<BoxStream<'static, Result<ReadOutputResponse, Status>>, Error> {
    let output = find(job, &request.name)?;
    let size = output.size_bytes.unsigned_abs();
    let file = JobFile::artifact(job, output.attempt.unsigned_abs(), &output.name);
    let pieces = pieces(services, job, &file, ByteRange::of(request.offset, request.limit, size)?).await?;
    let part = |part| Ok(ReadOutputResponse { part: Some(part) });
    let header = futures::stream::once(async move { part(Part::Header(output)) });
    Ok(header.chain(pieces.map(move |chunk| part(Part::Chunk(chunk?)))).boxed())
}

fn find(job: &Job, name: &str) -> Result<Output, Error> {
    let outputs = job.later.outputs.iter().find(|output| *output.name == *name).map(convert::output);
    let export = || job.exports.iter().filter_map(of_export).find(|output| output.name == name);
    outputs.or_else(export).ok_or_else(|| Error::OutputNotFound { job: job.id.clone(), name: name.to_owned() })
}

/// An export that is written, as an output.
fn of_export(export: &Export) -> Option<Output> {
    let ExportState::Completed { bytes, sha256 } = &export.state else { return None };
    Some(Output {
        name: artifact_name(export.format),
        media_type: content_type(export.format).to_owned(),
        size_bytes: *bytes as i64,
        sha256: sha256.to_string(),
        attempt: export.attempt as i32,
    })
}
