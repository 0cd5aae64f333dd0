//! The results: all pages, in order, in one format, one page in memory at a time.
//!
//! Text from documents is never trusted: every format escapes it. Knows nothing of the server.

mod html;
mod json;
mod markdown;
mod plain;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use courant_pdf_parameters::PageSeparator;
use courant_worker::ResultFormat;
use tokio_util::sync::CancellationToken;

use crate::artifact::PageArtifact;
use crate::store::Pages;

/// After how many pages the export says how far it is and looks whether it must stop.
const LOOK_UP: u32 = 16;

/// A format of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Markdown,
    Text,
    Html,
}

impl Format {
    /// The wire's name; none for a format that does not exist (yet).
    pub(crate) fn from_wire(format: ResultFormat) -> Option<Self> {
        match format {
            ResultFormat::Unspecified => None,
            ResultFormat::Json => Some(Self::Json),
            ResultFormat::Markdown => Some(Self::Markdown),
            ResultFormat::Text => Some(Self::Text),
            ResultFormat::Html => Some(Self::Html),
        }
    }

    /// The name of the artifact.
    pub(crate) fn artifact(self) -> &'static str {
        match self {
            Self::Json => "result.json",
            Self::Markdown => "result.md",
            Self::Text => "result.txt",
            Self::Html => "result.html",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Markdown => "Markdown",
            Self::Text => "plain text",
            Self::Html => "HTML",
        }
    }
}

/// What is said about the document as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) filename: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    pub(crate) pages: u32,
    pub(crate) warnings: Vec<String>,
    /// What stands between pages, if it is not the usual.
    pub(crate) separator: Option<PageSeparator>,
}

/// Why a result could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// Larger than the server takes.
    #[error("the result is too large")]
    TooLarge,
    /// The attempt was stopped.
    #[error("stopped")]
    Stopped,
    /// A file could not be used.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Writes one kind of result.
trait Export {
    /// What comes before the pages.
    fn begin(&mut self, out: &mut dyn Write, document: &Document) -> std::io::Result<()>;
    fn page(&mut self, out: &mut dyn Write, page: &PageArtifact) -> std::io::Result<()>;
    /// What comes after them.
    fn end(&mut self, out: &mut dyn Write, document: &Document) -> std::io::Result<()>;
}

/// Writes a result of at most `limit` bytes to `target`. Blocks.
pub(crate) fn write(
    format: Format,
    document: &Document,
    pages: &Pages,
    target: &Path,
    limit: u64,
    stopped: &CancellationToken,
    mut on_progress: impl FnMut(f64),
) -> Result<(), ExportError> {
    let mut export: Box<dyn Export> = match format {
        Format::Json => Box::new(json::Json::default()),
        Format::Markdown => Box::new(markdown::Markdown::default()),
        Format::Text => Box::new(plain::Plain::default()),
        Format::Html => Box::new(html::Html),
    };
    let mut out = Limited { out: BufWriter::new(File::create(target)?), left: limit, over: false };
    let result = (|| {
        export.begin(&mut out, document)?;
        for (before, page) in (0u32..).zip(pages.iter()) {
            if before % LOOK_UP == 0 {
                if stopped.is_cancelled() {
                    return Err(ExportError::Stopped);
                }
                on_progress(100.0 * f64::from(before) / f64::from(pages.count().max(1)));
            }
            export.page(&mut out, &page?)?;
        }
        export.end(&mut out, document)?;
        Ok(out.flush()?)
    })();
    if out.over { Err(ExportError::TooLarge) } else { result }
}

/// Refuses to write more than allowed.
struct Limited<W> {
    out: W,
    left: u64,
    over: bool,
}

impl<W: Write> Write for Limited<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if bytes.len() as u64 > self.left {
            self.over = true;
            return Err(std::io::Error::from(std::io::ErrorKind::FileTooLarge));
        }
        let written = self.out.write(bytes)?;
        self.left -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
