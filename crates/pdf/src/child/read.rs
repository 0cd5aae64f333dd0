//! Reading a document as the parent orders.

use std::fs::File;
use std::io::{BufRead, ErrorKind, Read, Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use super::ChildError;
use super::window::{self, Window};
use crate::artifact::{PageArtifact, Zone};
use crate::backend::hayro::Hayro;
use crate::backend::pdfboss::Pdfboss;
use crate::backend::{OpenError, PageRenderer, PdfBackend, PdfDocument};
use crate::jail::{self, Purpose};
use crate::picture::{PageAppearance, draw};
use crate::protocol::{ChildMessage, Chunk, Instruction, PictureSize, Refusal, Request, Survey, TextRules};
use crate::zones::{self, ZonedPage};

/// How long the beginning of work on zones may be kept to oneself.
const ANNOUNCE_EVERY: Duration = Duration::from_millis(50);

/// Takes orders until there are no more.
pub(super) fn run(
    request: &Request,
    path: &Path,
    max_pages: u32,
    picture: Option<PictureSize>,
    rules: TextRules,
) -> Result<(), ChildError> {
    let source = match source(request, path) {
        Ok(source) => source,
        Err(error) => return send(&ChildMessage::Refused { why: Refusal::Setup, detail: error.to_string() }),
    };
    let mut orders = std::io::stdin().lock().lines();
    let Some(first) = orders.next() else { return Ok(()) };
    let Instruction::Open { password } = serde_json::from_str(&first?)? else { return Err(ChildError::NotOpen) };
    let source = Source { password, ..source };
    let document: Pdfboss = match source.open() {
        Ok(document) => document,
        Err((why, detail)) => return send(&ChildMessage::Refused { why, detail }),
    };
    let pages = document.page_count();
    if let Some(why) = refusal(pages, max_pages) {
        return send(&ChildMessage::Refused { why, detail: format!("{pages} pages") });
    }
    send(&ChildMessage::Opened { pages })?;
    let mut reader = Reader { source, document, pages, picture, rules, window: Window::default() };
    for order in orders {
        match serde_json::from_str(&order?)? {
            Instruction::Open { .. } => return Err(ChildError::NotOpen),
            Instruction::Survey { avoid } => reader.survey(&avoid)?,
            Instruction::Know { survey } => reader.window.insert_survey(survey),
            Instruction::Read { chunk, avoid, undrawn } => reader.read(chunk, &avoid, &undrawn)?,
        }
    }
    Ok(())
}

fn refusal(pages: u32, max_pages: u32) -> Option<Refusal> {
    match pages {
        0 => Some(Refusal::NoPages),
        pages if pages > max_pages => Some(Refusal::TooManyPages),
        _ => None,
    }
}

/// Says one thing, at once, so that it is known whatever comes next.
fn send(message: &ChildMessage) -> Result<(), ChildError> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line)?;
    Ok(out.flush()?)
}

/// Opens the document's file and gives up everything else.
fn source(request: &Request, path: &Path) -> std::io::Result<Source> {
    let file = File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).map_err(std::io::Error::other)?;
    jail::enter(request.parent, &request.limits, &Purpose::Compute)?;
    Ok(Source { file, length, password: None })
}

/// The document's file, which can be read again.
struct Source {
    file: File,
    /// In bytes; cannot be asked for any more in the jail.
    length: usize,
    password: Option<String>,
}

impl Source {
    fn open<B: PdfDocument>(&self) -> Result<B, (Refusal, String)> {
        let unread = |error: std::io::Error| match error.kind() {
            ErrorKind::OutOfMemory => (Refusal::OutOfMemory, error.to_string()),
            _ => (Refusal::Setup, error.to_string()),
        };
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(self.length).map_err(|error| (Refusal::OutOfMemory, error.to_string()))?;
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0)).map_err(unread)?;
        file.read_to_end(&mut bytes).map_err(unread)?;
        let password = self.password.as_deref();
        match catch_unwind(|| B::open(bytes, password).map(|document| (document.page_count(), document))) {
            Ok(Ok((_, document))) => Ok(document),
            Ok(Err(error)) => Err(refused(error, password)),
            Err(panic) => Err((Refusal::Damaged, panic_text(&*panic))),
        }
    }
}

fn refused(error: OpenError, password: Option<&str>) -> (Refusal, String) {
    match error {
        OpenError::NotPdf => (Refusal::NotPdf, String::new()),
        OpenError::Encrypted if password.is_some() => (Refusal::WrongPassword, String::new()),
        OpenError::Encrypted => (Refusal::PasswordRequired, String::new()),
        OpenError::Damaged(detail) => (Refusal::Damaged, detail),
    }
}

struct Reader<B: PdfBackend> {
    source: Source,
    document: B,
    pages: u32,
    picture: Option<PictureSize>,
    rules: TextRules,
    window: Window<B::Raw>,
}

impl<B: PdfBackend + PageRenderer> Reader<B> {
    fn survey(&mut self, avoid: &[u32]) -> Result<(), ChildError> {
        for number in window::sample(self.pages) {
            self.look_at(number, avoid)?;
            self.window.keep_hints(number);
        }
        let survey = Survey { hints: self.window.surveyed() };
        send(&ChildMessage::Surveyed { survey })
    }

    fn read(&mut self, chunk: Chunk, avoid: &[u32], undrawn: &[u32]) -> Result<(), ChildError> {
        for number in chunk.first.max(1)..=chunk.last.min(self.pages) {
            let others: Vec<u32> = avoid.iter().copied().filter(|page| *page != number).collect();
            self.window.renew(number);
            for neighbour in window::around(number, self.pages) {
                self.look_at(neighbour, &others)?;
            }
            self.window.move_to(number);
            send(&ChildMessage::Reading { page: number })?;
            let page = self.page(number, !undrawn.contains(&number))?;
            send(&ChildMessage::Page { page })?;
        }
        send(&ChildMessage::Done)
    }

    /// Reads a page into the window, unless it is there or must not be touched.
    fn look_at(&mut self, number: u32, avoid: &[u32]) -> Result<(), ChildError> {
        if self.window.contains(number) || avoid.contains(&number) {
            return Ok(());
        }
        send(&ChildMessage::Reading { page: number })?;
        let start = Instant::now();
        let (document, exclude_hidden) = (&self.document, self.rules.exclude_hidden);
        let read = catch_unwind(AssertUnwindSafe(|| {
            document.read(number).map(|mut raw| {
                if exclude_hidden {
                    document.exclude_hidden_text(&mut raw);
                }
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

    fn page(&mut self, number: u32, may_draw: bool) -> Result<PageArtifact, ChildError> {
        let context = self.window.context(number);
        let (raw, reading) = match self.window.take(number) {
            Ok(found) => found,
            Err((why, time)) => return Ok(unreadable(number, &why, time)),
        };
        let start = Instant::now();
        let document = &self.document;
        let mut begun = StartedZones::default();
        let made = catch_unwind(AssertUnwindSafe(|| {
            let layout = document.layout(raw, &context);
            zones::page(number, layout, reading + start.elapsed(), |zone| begun.add(number, zone))
        }));
        begun.end()?;
        match made {
            Ok(ZonedPage { mut page, wants_ocr }) => {
                if wants_ocr || self.rules.ocr_every_page {
                    self.show(&mut page, may_draw)?;
                }
                Ok(page)
            }
            Err(panic) => {
                self.open_again()?;
                Ok(unreadable(number, &panic_text(&*panic), reading + start.elapsed()))
            }
        }
    }

    /// Draws a page for OCR and says how it looks; or says on its scan why it was not drawn.
    fn show(&mut self, page: &mut PageArtifact, may_draw: bool) -> Result<(), ChildError> {
        let Some(size) = self.picture else { return Ok(()) };
        if !may_draw || zones::largest_picture(page) > size.max_source_pixels {
            self.not_drawn(page);
            return Ok(());
        }
        send(&ChildMessage::Drawing { page: page.number })?;
        match self.drawn(page, &size)? {
            Some(PageAppearance::Picture { width, height, dpi, png }) => {
                send(&ChildMessage::Picture { page: page.number, width, height, dpi, png })?;
            }
            Some(PageAppearance::Blank) if self.rules.ocr_every_page => {
                *page = zones::without_text_layer(std::mem::take(page));
            }
            Some(PageAppearance::Blank) => {}
            None => self.not_drawn(page),
        }
        send(&ChildMessage::Reading { page: page.number })
    }

    fn not_drawn(&self, page: &mut PageArtifact) {
        zones::not_drawn(page);
        if self.rules.ocr_every_page {
            zones::not_read_by_ocr(page);
        }
    }

    /// Draws a page with the back end that reads it or, where that fails, with the other.
    fn drawn(&mut self, page: &PageArtifact, size: &PictureSize) -> Result<Option<PageAppearance>, ChildError> {
        let why = match attempt(&self.document, page, size) {
            Ok(drawn) => return Ok(Some(drawn)),
            Err(RenderFailure::Failed(why)) => why,
            Err(RenderFailure::Panicked(why)) => {
                self.open_again()?;
                why
            }
        };
        eprintln!("page {} cannot be drawn, trying hayro: {why}", page.number);
        let again = self.source.open::<Hayro>().map_err(|(_, detail)| RenderFailure::Failed(detail));
        match again.and_then(|document| attempt(&document, page, size)) {
            Ok(drawn) => Ok(Some(drawn)),
            Err(RenderFailure::Failed(why) | RenderFailure::Panicked(why)) => {
                eprintln!("page {} cannot be drawn by hayro: {why}", page.number);
                Ok(None)
            }
        }
    }

    /// After a panic nothing inside the library can be trusted.
    fn open_again(&mut self) -> Result<(), ChildError> {
        match self.source.open() {
            Ok(document) => {
                self.document = document;
                Ok(())
            }
            Err((_, detail)) => Err(std::io::Error::other(detail).into()),
        }
    }
}

/// Zones whose work has begun, said together: one by one they would cost more than the work.
struct StartedZones {
    lines: Vec<u8>,
    last: Instant,
    failed: Option<ChildError>,
}

impl Default for StartedZones {
    fn default() -> Self {
        Self { lines: Vec::new(), last: Instant::now(), failed: None }
    }
}

impl StartedZones {
    fn add(&mut self, page: u32, zone: &Zone) {
        let written = serde_json::to_writer(&mut self.lines, &ChildMessage::Zone { page, zone: zone.clone() });
        self.lines.push(b'\n');
        self.failed = self.failed.take().or(written.err().map(ChildError::from));
        if self.last.elapsed() >= ANNOUNCE_EVERY {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let mut out = std::io::stdout().lock();
        let said = out.write_all(&self.lines).and_then(|()| out.flush());
        self.failed = self.failed.take().or(said.err().map(ChildError::from));
        self.lines.clear();
        self.last = Instant::now();
    }

    fn end(mut self) -> Result<(), ChildError> {
        self.flush();
        self.failed.map_or(Ok(()), Err)
    }
}

/// Why a back end gave no picture of a page.
enum RenderFailure {
    Failed(String),
    Panicked(String),
}

fn attempt(
    document: &impl PageRenderer,
    page: &PageArtifact,
    size: &PictureSize,
) -> Result<PageAppearance, RenderFailure> {
    let points = (page.width, page.height);
    match catch_unwind(AssertUnwindSafe(|| draw(document, page.number, points, size))) {
        Ok(Ok(drawn)) => Ok(drawn),
        Ok(Err(error)) => Err(RenderFailure::Failed(error.to_string())),
        Err(panic) => Err(RenderFailure::Panicked(panic_text(&*panic))),
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

#[cfg(test)]
mod tests;
