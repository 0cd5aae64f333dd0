//! The isolated child: the only process that parses a PDF.
//!
//! Started by the parent with the document as standard input and a [`Request`](crate::protocol::Request) in its
//! environment; says what it finds on standard output and ends. Gives up what it does not need before it reads the
//! first byte. A page that panics costs that page; what kills the process is the parent's to notice.

mod limits;
mod window;

use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::artifact::PageArtifact;
use crate::backend::pdfboss::Pdfboss;
use crate::backend::{OpenError, PdfBackend};
use crate::protocol::{REQUEST_VARIABLE, Refusal, Request, Said, holds};
use crate::zones;
use window::Window;

/// Runs the child to its end. For the hidden subcommand `pdf-child`.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pdf-child: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), ChildError> {
    let request = std::env::var(REQUEST_VARIABLE).map_err(|_| ChildError::NoRequest)?;
    let request: Request = serde_json::from_str(&request)?;
    if let Err(error) = limits::give_up_privileges(&request) {
        return say(&Said::Refused { why: Refusal::Setup, detail: error.to_string() });
    }
    let document = match open::<Pdfboss>() {
        Ok(document) => document,
        Err((why, detail)) => return say(&Said::Refused { why, detail }),
    };
    let pages = document.page_count();
    if let Some(why) = refusal(pages, request.max_pages) {
        return say(&Said::Refused { why, detail: format!("{pages} pages") });
    }
    say(&Said::Opened { pages })?;
    Worker { document, request, pages, window: Window::default() }.work()?;
    say(&Said::Done)
}

fn refusal(pages: u32, max_pages: u32) -> Option<Refusal> {
    match pages {
        0 => Some(Refusal::NoPages),
        pages if pages > max_pages => Some(Refusal::TooManyPages),
        _ => None,
    }
}

/// Why the child gives up without a word to the parent.
#[derive(Debug, thiserror::Error)]
enum ChildError {
    #[error("this is not for people: {REQUEST_VARIABLE} is not set")]
    NoRequest,
    #[error("the request or an answer is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the parent cannot be told: {0}")]
    Io(#[from] std::io::Error),
}

/// Says one thing, at once, so that it is known whatever comes next.
fn say(said: &Said) -> Result<(), ChildError> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line)?;
    Ok(out.flush()?)
}

/// Opens the document on standard input; can be done again.
fn open<B: PdfBackend>() -> Result<B, (Refusal, String)> {
    let unread = |error: std::io::Error| match error.kind() {
        ErrorKind::OutOfMemory => (Refusal::OutOfMemory, error.to_string()),
        _ => (Refusal::Setup, error.to_string()),
    };
    let mut input = std::fs::File::from(std::io::stdin().as_fd().try_clone_to_owned().map_err(unread)?);
    let mut bytes = Vec::new();
    input.seek(SeekFrom::Start(0)).map_err(unread)?;
    input.read_to_end(&mut bytes).map_err(unread)?;
    let opened = catch_unwind(|| B::open(bytes).map(|document| (document.page_count(), document)));
    match opened {
        Ok(Ok((_, document))) => Ok(document),
        Ok(Err(OpenError::NotPdf)) => Err((Refusal::NotPdf, String::new())),
        Ok(Err(OpenError::Encrypted)) => Err((Refusal::Encrypted, String::new())),
        Ok(Err(OpenError::Damaged(detail))) => Err((Refusal::Damaged, detail)),
        Err(panic) => Err((Refusal::Damaged, panic_text(&*panic))),
    }
}

/// Goes through the pages.
struct Worker<B: PdfBackend> {
    document: B,
    request: Request,
    pages: u32,
    window: Window<B::Raw>,
}

impl<B: PdfBackend> Worker<B> {
    fn work(mut self) -> Result<(), ChildError> {
        for number in window::sample(self.pages) {
            self.look_at(number)?;
            self.window.keep_hints(number);
        }
        for number in 1..=self.pages {
            if holds(&self.request.done, number) || self.request.bad.contains(&number) {
                continue;
            }
            for neighbour in window::around(number, self.pages) {
                self.look_at(neighbour)?;
            }
            self.window.move_to(number);
            say(&Said::Reading { page: number })?;
            let page = self.page(number)?;
            say(&Said::Page { page })?;
        }
        Ok(())
    }

    /// Reads a page into the window, unless it is there or must not be touched.
    fn look_at(&mut self, number: u32) -> Result<(), ChildError> {
        if self.window.knows(number) || self.request.bad.contains(&number) {
            return Ok(());
        }
        say(&Said::Reading { page: number })?;
        let start = Instant::now();
        let document = &self.document;
        let read = catch_unwind(AssertUnwindSafe(|| {
            document.read(number).map(|raw| {
                let hints = document.hints(&raw);
                (raw, hints)
            })
        }));
        match read {
            Ok(Ok((raw, hints))) => self.window.insert(number, raw, hints, start.elapsed()),
            Ok(Err(error)) => self.window.insert_broken(number, error.to_string(), start.elapsed()),
            Err(panic) => {
                self.window.insert_broken(number, panic_text(&*panic), start.elapsed());
                self.open_again()?;
            }
        }
        Ok(())
    }

    fn page(&mut self, number: u32) -> Result<PageArtifact, ChildError> {
        let (raw, reading) = match self.window.page(number) {
            Ok(found) => found,
            Err((why, time)) => return Ok(unreadable(number, &why, time)),
        };
        let context = self.window.context(number);
        let start = Instant::now();
        let (document, said) = (&self.document, &mut Ok(()));
        let made = catch_unwind(AssertUnwindSafe(|| {
            let layout = document.layout(&raw, &context);
            let tell = |zone: &crate::artifact::Zone| {
                if said.is_ok() {
                    *said = say(&Said::Zone { page: number, zone: zone.clone() });
                }
            };
            zones::page(number, layout, reading + start.elapsed(), tell)
        }));
        std::mem::replace(said, Ok(()))?;
        match made {
            Ok(page) => Ok(page),
            Err(panic) => {
                self.open_again()?;
                Ok(unreadable(number, &panic_text(&*panic), reading + start.elapsed()))
            }
        }
    }

    /// After a panic nothing inside the library can be trusted.
    fn open_again(&mut self) -> Result<(), ChildError> {
        match open::<B>() {
            Ok(document) => {
                self.document = document;
                Ok(())
            }
            Err((_, detail)) => Err(std::io::Error::other(detail).into()),
        }
    }
}

fn unreadable(number: u32, why: &str, time: Duration) -> PageArtifact {
    eprintln!("page {number}: {why}");
    let warning = "this page could not be read: its content is damaged or of an unusual kind";
    PageArtifact::unreadable(number, time.as_secs_f64() * 1000.0, warning)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".into())
}
