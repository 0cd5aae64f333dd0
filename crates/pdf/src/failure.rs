//! Why a document could not be processed: a code for programs and a sentence for people.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use courant_pdf_parameters::InvalidParameter;
use courant_worker::{CallError, TaskError};

use crate::budget::Exceeded;
use crate::process::ChildFailure;
use crate::protocol::Refusal;

/// What an operator or the kernel, short of memory, kills with.
const SIGKILL: i32 = 9;

/// Everything that ends a job badly.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The document is refused.
    #[error("{0:?}")]
    Refused(Refusal, Limits),
    #[error("the document is too large")]
    DocumentTooLarge(Limits),
    /// The child failed once too often.
    #[error("the child failed on page {page:?}: {error}")]
    Child {
        error: ChildFailure,
        /// Over which page; none while opening.
        page: Option<u32>,
    },
    /// It went over its budget.
    #[error("over the budget of the document: {exceeded:?}")]
    Exceeded {
        exceeded: Exceeded,
        /// Pages that were done by then.
        done: u32,
    },
    /// The parameters of the job cannot be taken. The server refuses them when it knows the kind.
    #[error("the parameters cannot be taken: {0}")]
    Parameters(#[from] InvalidParameter),
    /// It has none of the pages that were asked for.
    #[error("none of the pages asked for is among {document}")]
    NoSuchPages { document: u32 },
    /// OCR was asked for on every page, and there is none.
    #[error("there is no OCR engine")]
    NoOcr,
    #[error("the OCR engine does not know the language {language}")]
    OcrLanguage {
        language: String,
        /// Those that it knows.
        known: String,
    },
    /// No page could be read.
    #[error("no page could be read")]
    NothingRead,
    /// The child could not be started or set up.
    #[error("the child cannot be started: {0}")]
    Start(String),
    /// A temporary file could not be used.
    #[error("a temporary file cannot be used: {0}")]
    Disk(#[from] std::io::Error),
    /// The server could not be told.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// The limits that messages speak of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_pages: u32,
    pub(crate) max_document_bytes: u64,
}

impl From<Failure> for TaskError {
    fn from(failure: Failure) -> Self {
        tracing::info!(%failure, "the document could not be processed");
        match failure {
            Failure::Refused(why, limits) => refused(why, limits),
            Failure::DocumentTooLarge(limits) => Self::permanent(
                "RESULT_TOO_LARGE",
                format!(
                    "The document is larger than the {} MiB this worker takes. Split it and submit the parts.",
                    limits.max_document_bytes >> 20
                ),
            ),
            Failure::Child { error, page } => crashed(&error, page),
            Failure::Exceeded { exceeded, done } => self::exceeded(exceeded, done),
            asked @ (Failure::Parameters(_)
            | Failure::NoSuchPages { .. }
            | Failure::NoOcr
            | Failure::OcrLanguage { .. }) => cannot_do(&asked),
            Failure::NothingRead => Self::permanent(
                "DAMAGED_DOCUMENT",
                "No page of the document could be read. Open it in a PDF viewer, save it again, and submit that copy.",
            ),
            Failure::Start(_) => Self::transient(
                "WORKER_FAULT",
                "The worker could not start its isolated process. It is tried again; if it stays so, look at the worker's log.",
            ),
            Failure::Disk(error) => Self::transient(
                "WORKER_DISK",
                format!("The worker could not use its own disk: {error}. It is tried again."),
            ),
            Failure::Call(error) => error.into(),
        }
    }
}

/// What was asked for cannot be done.
fn cannot_do(asked: &Failure) -> TaskError {
    match asked {
        Failure::NoSuchPages { document } => TaskError::permanent(
            "NO_SUCH_PAGES",
            format!("The document has none of the pages asked for: it has {document}. Submit it with others."),
        ),
        Failure::NoOcr => TaskError::permanent(
            "NO_OCR",
            "The job asks for OCR on every page, and the worker has no OCR engine. Submit it with \"ocr\": \"auto\", or install \
             tesseract on the workers.",
        ),
        Failure::OcrLanguage { language, known } => TaskError::permanent(
            "OCR_LANGUAGE_UNKNOWN",
            format!(
                "The OCR engine does not know the language {language}; it knows {known}. Submit it with one of them."
            ),
        ),
        other => TaskError::permanent("INVALID_PARAMETERS", format!("{other}. Submit it with others.")),
    }
}

fn refused(why: Refusal, limits: Limits) -> TaskError {
    match why {
        Refusal::NotPdf => TaskError::permanent("NOT_A_PDF", "This is not a PDF file. Submit a PDF."),
        Refusal::PasswordRequired => TaskError::permanent(
            "PASSWORD_REQUIRED",
            "The document is protected with a password. Retry the job with the password, or submit a copy without protection.",
        ),
        Refusal::WrongPassword => TaskError::permanent(
            "WRONG_PASSWORD",
            "The password given does not open the document. Try the job again with the right one.",
        ),
        Refusal::Damaged => TaskError::permanent(
            "DAMAGED_DOCUMENT",
            "The document is damaged and cannot be read. Open it in a PDF viewer, save it again, and submit that copy.",
        ),
        Refusal::NoPages => {
            TaskError::permanent("NO_PAGES", "The document has no pages. Check that it is the right file.")
        }
        Refusal::TooManyPages => TaskError::permanent(
            "TOO_MANY_PAGES",
            format!("The document has more than {} pages. Split it and submit the parts.", limits.max_pages),
        ),
        Refusal::OutOfMemory => out_of_memory("while it was opened"),
        Refusal::Setup => TaskError::transient(
            "WORKER_FAULT",
            "The worker could not isolate its process. It is tried again; if it stays so, look at the worker's log.",
        ),
    }
}

fn crashed(error: &ChildFailure, page: Option<u32>) -> TaskError {
    let at = page.map_or("while it was opened".to_owned(), |page| format!("on page {page}"));
    if error.is_out_of_memory() {
        return out_of_memory(&at);
    }
    match error {
        // Not by its own limits: those end it with other signals, or a time-out comes first.
        ChildFailure::Died { status: Some(status), .. } if status.signal() == Some(SIGKILL) => TaskError::transient(
            "PARSER_KILLED",
            format!(
                "The process that reads the document was killed from outside ({at}), probably because the worker's machine has \
                 too little memory. It is tried again; if it stays so, give the worker more memory."
            ),
        ),
        ChildFailure::Silent => TaskError::permanent(
            "PAGE_TIMEOUT",
            format!("Reading the document took too long ({at}). Save it again with a PDF printer, or split it."),
        ),
        ChildFailure::TooMuch => TaskError::permanent(
            "RESULT_TOO_LARGE",
            format!("The document holds more text than is allowed ({at}). Split it and submit the parts."),
        ),
        ChildFailure::ProtocolViolation(_) | ChildFailure::Died { .. } => TaskError::permanent(
            "PARSER_CRASHED",
            format!(
                "The document made the PDF reader crash ({at}). Save it again with a PDF printer and submit that copy."
            ),
        ),
    }
}

fn exceeded(exceeded: Exceeded, done: u32) -> TaskError {
    match exceeded {
        Exceeded::Cpu(limit) => TaskError::permanent(
            "DOCUMENT_TOO_EXPENSIVE",
            format!(
                "Stopped after {} of processor time, with {done} pages done in this attempt: the document takes far more than \
                 others of its length. Save it again with a PDF printer, or split it.",
                span(limit)
            ),
        ),
        Exceeded::Time(limit) => TaskError::permanent(
            "JOB_TIMED_OUT",
            format!(
                "Stopped after {}, with {done} pages done in this attempt. Split the document, or submit it again when less is \
                 to do.",
                span(limit)
            ),
        ),
    }
}

/// A time for people: in minutes, or in seconds where these are few.
fn span(time: Duration) -> String {
    match time.as_secs() {
        1 => "1 second".into(),
        seconds @ 0..120 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", seconds.div_ceil(60)),
    }
}

fn out_of_memory(at: &str) -> TaskError {
    let message = format!(
        "The document needs more memory than is allowed ({at}). Save it again with a PDF printer, or split it."
    );
    TaskError::permanent("OUT_OF_MEMORY", message)
}
