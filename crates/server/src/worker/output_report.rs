//! A worker's report of an output, something that users of the job can read: checked, and its artifact found or stored.

use bytes::Bytes;
use courant_joblog::job::{Format, Output};
use courant_joblog::log::{Blob, MAX_BLOB_BYTES};
use courant_proto::v1::ReportOutput;

use super::artifacts;
use crate::error::Error;
use crate::files::{self, JobFile, JobFiles};
use crate::objects::{Stored, artifact_name};
use crate::text::is_media_type;

/// Where the artifacts of pages are.
const PAGES: &str = "pages/";
const DEFAULT_MEDIA_TYPE: &str = "application/octet-stream";

/// A report whose fields make sense.
pub(super) struct ReportedOutput {
    pub(super) name: String,
    media_type: String,
    /// `None` when it was stored before.
    artifact: Option<Bytes>,
}

pub(super) fn check(report: ReportOutput) -> Result<ReportedOutput, Error> {
    let ReportOutput { name, media_type, artifact, attempt: _ } = report;
    artifacts::check_name("output.name", &name)?;
    let is_export = Format::ALL.into_iter().any(|format| artifact_name(format) == name);
    if is_export || name.starts_with(PAGES) {
        let problem = "must not be that of an export (result.json, …) or of a page (pages/…)";
        return Err(Error::field("output.name", problem));
    }
    let media_type = if media_type.is_empty() { DEFAULT_MEDIA_TYPE.to_owned() } else { media_type };
    if !is_media_type(&media_type) {
        let problem = "must be a media type of at most 127 bytes, as in text/csv; charset=utf-8";
        return Err(Error::field("output.media_type", problem));
    }
    if artifact.as_ref().is_some_and(|artifact| artifact.len() > MAX_BLOB_BYTES) {
        let problem = format!("must have at most {MAX_BLOB_BYTES} bytes; write a larger one with WriteArtifact");
        return Err(Error::field("output.artifact", problem));
    }
    Ok(ReportedOutput { name, media_type, artifact })
}

impl ReportedOutput {
    /// The output, once its file is stored; and the file, if it is to be stored with the report.
    pub(super) async fn store(
        self,
        files: &JobFiles,
        file: JobFile,
        attempt: u32,
    ) -> Result<(Output, Option<Blob>), Error> {
        let Self { name, media_type, artifact } = self;
        let mut blob = None;
        let Stored { bytes, sha256 } = match artifact {
            None => files.describe(&file).await?.ok_or_else(|| Error::ArtifactNotFound(name.clone()))?,
            Some(artifact) if artifact.len() <= files.small_bytes() => {
                let stored = files::stored(&artifact);
                blob = Some(files.small_file(file, artifact));
                stored
            }
            // Sent to a server that took more.
            Some(artifact) => {
                let mut writer = files.receive_artifact(file);
                writer.file.push(artifact).await?;
                writer.finish().await?
            }
        };
        Ok((Output { name: name.into(), media_type: media_type.into(), bytes, sha256, attempt }, blob))
    }
}
