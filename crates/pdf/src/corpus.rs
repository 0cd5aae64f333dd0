//! Any folder of PDFs through the isolated child, and a table of what came of them. For those who change the pipeline.
//!
//! Each document is read by one child in one go, without second chances: what the pipeline would get over shows here.

pub mod bare;
mod compare;
mod table;
mod words;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::StreamExt;

use crate::PdfConfig;
use crate::artifact::{Item, Zone};
use crate::jail::Limits;
use crate::process::{Child, ChildFailure};
use crate::protocol::{ChildMessage, ChildTask, Chunk, Instruction, Refusal, Request, TextRules};
use crate::supervisor::Supervisor;
pub use compare::Compared;
pub use table::Table;
use words::Words;

/// Files a child has open.
const OPEN_FILES: u64 = 32;

/// How the documents are read.
#[derive(Clone, Debug)]
pub struct CorpusOptions {
    /// How many at once.
    pub at_once: usize,
    /// Compare the words with those of poppler's `pdftotext`.
    pub compare: bool,
    /// A program that prints the text of the PDF it is given: the second opinion on poppler.
    pub second: Option<PathBuf>,
    /// Measure pdfboss alone beside it.
    pub bare: bool,
}

/// What came of one document.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its place below the folder.
    pub name: String,
    pub end: End,
    /// Pages that were read.
    pub pages: u32,
    /// Pages of which nothing could be read.
    pub unreadable: u32,
    /// From start to end.
    pub wall: Duration,
    /// Processor time of the child.
    pub cpu: Duration,
    /// Its greatest memory in use, in bytes.
    pub peak_bytes: u64,
    /// How much its words are those of poppler; none when poppler has few or none.
    pub compared: Option<Compared>,
    /// Processor time and greatest memory of pdfboss alone.
    pub bare: Option<(Duration, u64)>,
}

/// How a document ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Ok,
    /// Refused with a reason.
    Refused(String),
    /// The child died, or talked nonsense.
    Crashed(String),
    /// The child said nothing for too long.
    Hung(String),
}

/// Reads all PDFs below a folder; calls `on_row` for each as it ends.
pub async fn run(
    folder: &Path,
    config: &PdfConfig,
    options: &CorpusOptions,
    mut on_row: impl FnMut(&Row),
) -> std::io::Result<Table> {
    let mut files = Vec::new();
    find(folder, &mut files)?;
    files.sort();
    let mut rows = futures::stream::iter(files.into_iter().map(|path| async move {
        let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        one(&path, name, config, options).await
    }))
    .buffer_unordered(options.at_once.max(1));
    let mut table = Table::default();
    while let Some(row) = rows.next().await {
        on_row(&row);
        table.add(row);
    }
    Ok(table)
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            find(&path, files)?;
        } else if kind.is_file() && path.extension().is_some_and(|end| end.eq_ignore_ascii_case("pdf")) {
            files.push(path);
        }
    }
    Ok(())
}

async fn one(path: &Path, name: String, config: &PdfConfig, options: &CorpusOptions) -> Row {
    let start = Instant::now();
    let mut row = Row {
        name,
        end: End::Ok,
        pages: 0,
        unreadable: 0,
        wall: Duration::ZERO,
        cpu: Duration::ZERO,
        peak_bytes: 0,
        compared: None,
        bare: None,
    };
    let mut words = Words::default();
    row.end = match read(path, config, &mut row, &mut words).await {
        Ok(()) => End::Ok,
        Err(end) => end,
    };
    row.wall = start.elapsed();
    if options.bare && row.end == End::Ok {
        row.bare = bare::cost(&config.child, path).await;
    }
    if options.compare && row.end == End::Ok {
        row.compared = compare::compare(path, &words, options.second.as_deref()).await;
    }
    row
}

async fn read(path: &Path, config: &PdfConfig, row: &mut Row, words: &mut Words) -> Result<(), End> {
    let failed = |error: std::io::Error| End::Crashed(error.to_string());
    let request = Request {
        parent: std::process::id(),
        limits: Limits {
            memory_bytes: config.child_memory_bytes,
            cpu_seconds: config.child_cpu_seconds,
            open_files: OPEN_FILES,
        },
        task: ChildTask::Read {
            document: path.canonicalize().map_err(failed)?,
            max_pages: config.max_pages,
            picture: None,
            rules: TextRules::default(),
        },
    };
    let supervisor = Supervisor::default();
    let mut child = Child::spawn(&config.child, &request, config.output_limits(), &supervisor).map_err(failed)?;
    let mut at = None;
    child.instruct(&Instruction::Open { password: None }).await.map_err(failed)?;
    loop {
        match child.next(config.page_timeout).await.map_err(|error| end(&error, at))? {
            ChildMessage::Opened { .. } => {
                child.instruct(&Instruction::Survey { avoid: Vec::new() }).await.map_err(failed)?
            }
            ChildMessage::Surveyed { .. } => {
                let chunk = Chunk { first: 1, last: u32::MAX };
                let instruction = Instruction::Read { chunk, avoid: Vec::new(), undrawn: Vec::new() };
                child.instruct(&instruction).await.map_err(failed)?;
            }
            ChildMessage::Refused { why, detail } => return Err(End::Refused(reason(why, &detail))),
            ChildMessage::Reading { page } | ChildMessage::Drawing { page } => at = Some(page),
            ChildMessage::Zone { .. } | ChildMessage::Picture { .. } => {}
            ChildMessage::Page { page } => {
                row.pages += 1;
                row.unreadable += u32::from(page.unreadable);
                page.zones.iter().for_each(|zone| words.add(&text_with_markers(zone)));
            }
            ChildMessage::Done => {
                (row.cpu, row.peak_bytes) = child.cost().unwrap_or_default();
                return Ok(());
            }
        }
    }
}

/// The text of a zone, with the numbers of its items as others print them.
fn text_with_markers(zone: &Zone) -> String {
    let item = |item: &Item| item.number.map_or(item.text.clone(), |number| format!("{number}. {}", item.text));
    if zone.items.is_empty() {
        return zone.text.clone();
    }
    zone.items.iter().map(item).collect::<Vec<_>>().join("\n")
}

fn end(error: &ChildFailure, page: Option<u32>) -> End {
    let at = page.map_or("while it was opened".to_owned(), |page| format!("on page {page}"));
    match error {
        ChildFailure::Silent => End::Hung(at),
        ChildFailure::TooMuch | ChildFailure::ProtocolViolation(_) | ChildFailure::Died { .. } => {
            End::Crashed(format!("{at}: {error}"))
        }
    }
}

fn reason(why: Refusal, detail: &str) -> String {
    if detail.is_empty() { format!("{why:?}") } else { format!("{why:?}: {detail}") }
}
