//! What is handed over beside the document and the exports: parameters to the workers, outputs from them.

use serde::{Deserialize, Serialize};

/// Parameters of at most so many bytes are kept in the job: shown with it and found by filters. Larger ones are a file of the job, because
/// each entry of the log has the whole job.
pub const INLINE_PARAMETERS_BYTES: usize = 2 * 1024;
/// How many outputs a job may have: each entry of the log has them all.
pub const MAX_OUTPUTS: usize = 256;

/// A JSON object as text, byte for byte as it was submitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Parameters {
    /// At most [`INLINE_PARAMETERS_BYTES`].
    Inline(Box<str>),
    /// A file of the job.
    Stored {
        bytes: u32,
        /// Its checksum, lower-case hexadecimal.
        sha256: Box<str>,
    },
}

impl Parameters {
    /// Size of the text.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Inline(text) => text.len(),
            Self::Stored { bytes, .. } => *bytes as usize,
        }
    }

    /// The text, if it is kept in the job.
    pub fn inline(&self) -> Option<&str> {
        match self {
            Self::Inline(text) => Some(text),
            Self::Stored { .. } => None,
        }
    }
}

/// Something that a worker has made of the document, stored as an artifact of its attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// That of the artifact.
    pub name: Box<str>,
    pub media_type: Box<str>,
    pub bytes: u64,
    /// Its checksum, lower-case hexadecimal.
    pub sha256: Box<str>,
    pub attempt: u32,
}
