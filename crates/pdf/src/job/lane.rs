//! One child after the other, working on one chunk after the other.

use std::collections::HashMap;

use courant_pdf_parameters::{HiddenText, OcrMode};
use tokio::time::timeout;

use super::child_spans::ChildSpans;
use super::extract::Extraction;
use super::schedule::{ChunkEnd, RetryDecision};
use super::storing::Storing;
use crate::artifact::PageArtifact;
use crate::failure::Failure;
use crate::fair_semaphore::Permit;
use crate::ocr::Picture;
use crate::process::{Child, ChildFailure};
use crate::protocol::{ChildMessage, ChildTask, Chunk, Instruction, Refusal, Request, Survey, TextRules};
use crate::wire;

/// What came of a message of the child.
enum HandledMessage {
    /// A page that was read, and its picture if it has to be read by OCR.
    Page(Box<PageArtifact>, Option<Picture>),
    /// A picture that waits for its page.
    Picture,
    /// The chunk is read.
    Done,
}

pub(super) struct Lane<'l, 'a> {
    job: &'l Extraction<'a>,
    child: Option<Child>,
    /// The page that an error is attributed to, and whether it is being drawn.
    at: Option<u32>,
    drawing: bool,
    spans: ChildSpans<'a>,
}

/// How a child failed, and at which page.
type Failed = (ChildFailure, Option<u32>);

impl<'l, 'a> Lane<'l, 'a> {
    pub(super) fn new(job: &'l Extraction<'a>) -> Self {
        Self { job, child: None, at: None, drawing: false, spans: ChildSpans::new(job.task) }
    }

    /// Opens the document and learns about it. Takes no turn: a document that has just come is opened at once, whatever the
    /// others are at.
    pub(super) async fn survey(&mut self, planned: &mut Option<u32>) -> Result<Result<Survey, Failed>, Failure> {
        let pages = match self.open().await? {
            Ok(pages) => pages,
            Err(error) => return Ok(Err(self.failed(error))),
        };
        match *planned {
            None => {
                *planned = Some(pages);
                self.job.opened(pages).await?;
            }
            Some(before) if before != pages => return Ok(Err(self.failed(ChildFailure::changed(before, pages)))),
            Some(_) => {}
        }
        let avoid = self.job.schedule().suspects();
        self.instruct(&Instruction::Survey { avoid }).await?;
        self.spans.begin("survey");
        Ok(match self.next().await? {
            Ok(ChildMessage::Surveyed { survey }) => {
                self.spans.end();
                Ok(survey)
            }
            Ok(other) => Err(self.failed(ChildFailure::unexpected(&other))),
            Err(error) => Err(self.failed(error)),
        })
    }

    /// Works until no chunk is left.
    pub(super) async fn work(mut self, pages: u32, survey: &Survey) -> Result<(), Failure> {
        loop {
            let Some(chunk) = self.job.next_chunk().await else { return Ok(()) };
            match self.chunk(&chunk, pages, survey).await? {
                Ok(()) => {}
                Err((error, page)) => self.on_child_failure(chunk, error, page).await?,
            }
        }
    }

    /// A child failed over a chunk.
    async fn on_child_failure(&mut self, chunk: Chunk, error: ChildFailure, page: Option<u32>) -> Result<(), Failure> {
        tracing::info!(%error, page, first = chunk.first, last = chunk.last, drawing = self.drawing, "the child failed");
        let end = ChunkEnd { page, drawing: self.drawing, hung: matches!(error, ChildFailure::Silent) };
        let decision = self.job.schedule().died(chunk, &end, self.job.config.child_restarts);
        if decision == RetryDecision::Fail {
            return Err(Failure::Child { error, page });
        }
        self.job.remember(error, page);
        match decision {
            RetryDecision::GiveUp(page) => self.job.give_up(page).await,
            RetryDecision::GoOn | RetryDecision::Fail => Ok(()),
        }
    }

    /// Has one chunk read. The child has a turn while it reads and draws, not while its pages wait to be stored: that may
    /// take OCR minutes, and the turn is for others meanwhile.
    async fn chunk(&mut self, chunk: &Chunk, pages: u32, survey: &Survey) -> Result<Result<(), Failed>, Failure> {
        let mut turn = Some(self.job.turn().await);
        if self.child.is_none()
            && let Err(error) = self.start(pages, survey).await?
        {
            return Ok(Err(self.failed(error)));
        }
        let (avoid, undrawn) = {
            let schedule = self.job.schedule();
            (schedule.suspects(), schedule.undrawable())
        };
        self.instruct(&Instruction::Read { chunk: *chunk, avoid, undrawn }).await?;
        self.spans.end();
        let mut pictures = HashMap::new();
        let mut storing = Storing::new(self.job);
        let ended = loop {
            if storing.is_full() {
                // The child stops, too, as soon as its pipe is full.
                turn = None;
                if let Some(stored) = storing.next().await {
                    self.job.report(stored?).await?;
                }
                continue;
            }
            if turn.is_none() {
                turn = Some(turn_while(self.job, &mut storing).await?);
            }
            tokio::select! {
                biased;
                Some(stored) = storing.next() => self.job.report(stored?).await?,
                said = self.next() => match said?.and_then(|said| self.take(said, chunk, &mut pictures)) {
                    Ok(HandledMessage::Page(page, picture)) => storing.push(*page, picture),
                    Ok(HandledMessage::Picture) => {}
                    Ok(HandledMessage::Done) => break Ok(()),
                    Err(error) => break Err(error),
                },
            }
        };
        drop(turn);
        // What the child said before its end counts.
        while let Some(stored) = storing.next().await {
            self.job.report(stored?).await?;
        }
        Ok(ended.map_err(|error| self.failed(error)))
    }

    /// Starts a child that knows of the document what the first one found.
    async fn start(&mut self, pages: u32, survey: &Survey) -> Result<Result<(), ChildFailure>, Failure> {
        Ok(match self.open().await? {
            Ok(same) if same == pages => Ok(self.instruct(&Instruction::Know { survey: survey.clone() }).await?),
            Ok(other) => Err(ChildFailure::changed(pages, other)),
            Err(error) => Err(error),
        })
    }

    /// What a message of the child means for the chunk. A picture waits in `pictures` for its page, which comes next.
    fn take(
        &self,
        said: ChildMessage,
        chunk: &Chunk,
        pictures: &mut HashMap<u32, Picture>,
    ) -> Result<HandledMessage, ChildFailure> {
        match said {
            ChildMessage::Page { page } if self.job.schedule().accept(page.number, chunk) => {
                let picture = pictures.remove(&page.number);
                Ok(HandledMessage::Page(Box::new(page), picture))
            }
            ChildMessage::Page { page } => {
                Err(ChildFailure::ProtocolViolation(format!("page {} was not asked for", page.number)))
            }
            ChildMessage::Picture { page, width, height, dpi, png } => match Picture::decoded(width, height, dpi, &png)
            {
                Some(picture) if pictures.is_empty() => {
                    pictures.insert(page, picture);
                    Ok(HandledMessage::Picture)
                }
                _ => Err(ChildFailure::ProtocolViolation(format!("the picture of page {page}"))),
            },
            ChildMessage::Done if self.job.schedule().has(chunk) => Ok(HandledMessage::Done),
            ChildMessage::Done => Err(ChildFailure::ProtocolViolation("done, with pages missing".into())),
            other => Err(ChildFailure::unexpected(&other)),
        }
    }

    /// Starts a child and has it open the document. Gives the number of pages.
    async fn open(&mut self) -> Result<Result<u32, ChildFailure>, Failure> {
        let config = self.job.config;
        let mut limits = config.child_limits();
        // Should this process be stopped, the kernel still keeps the document to what it has left.
        limits.cpu_seconds = limits.cpu_seconds.min(self.job.supervisor.budget.left().as_secs().saturating_add(2));
        let request = Request {
            parent: std::process::id(),
            limits,
            task: ChildTask::Read {
                document: self.job.store.document(),
                max_pages: config.max_pages,
                picture: self.job.reader.as_ref().map(|_| config.picture),
                rules: TextRules {
                    ocr_every_page: self.job.parameters.ocr == OcrMode::Force,
                    exclude_hidden: self.job.parameters.hidden_text == HiddenText::Exclude,
                },
            },
        };
        let started = Child::spawn(&config.child, &request, config.output_limits(), self.job.supervisor);
        self.child = Some(started.map_err(|error| Failure::Start(error.to_string()))?);
        (self.at, self.drawing) = (None, false);
        self.spans.child();
        self.spans.begin("open document");
        let password = self.job.password.as_ref().map(|password| password.expose().to_owned());
        self.instruct(&Instruction::Open { password }).await?;
        Ok(match self.next().await? {
            Ok(ChildMessage::Opened { pages }) => {
                self.spans.end();
                Ok(pages)
            }
            Ok(other) => Err(ChildFailure::unexpected(&other)),
            Err(error) => Err(error),
        })
    }

    async fn instruct(&mut self, instruction: &Instruction) -> Result<(), Failure> {
        let Some(child) = &mut self.child else { return Ok(()) };
        // A child that does not read what it is sent says nothing either, and is ended for that.
        let sent = timeout(self.job.config.idle_timeout, child.instruct(instruction)).await;
        sent.unwrap_or(Ok(())).map_err(|error| Failure::Start(error.to_string()))
    }

    /// What the child says next that is not only about where it is. May be dropped and called again.
    async fn next(&mut self) -> Result<Result<ChildMessage, ChildFailure>, Failure> {
        loop {
            let Some(child) = &mut self.child else { return Ok(Err(ChildFailure::Silent)) };
            let config = self.job.config;
            let patience = if self.at.is_some() { config.page_timeout } else { config.idle_timeout };
            let said = child.next(patience).await;
            said.iter().for_each(|said| self.spans.on_message(said));
            match said {
                Ok(ChildMessage::Reading { page }) => (self.at, self.drawing) = (Some(page), false),
                Ok(ChildMessage::Drawing { page }) => (self.at, self.drawing) = (Some(page), true),
                Ok(ChildMessage::Zone { page, zone }) => self.job.task.zone(wire::begun(&zone, page)),
                Ok(ChildMessage::Refused { why, detail }) => return Err(self.refused(why, &detail)),
                other => return Ok(other),
            }
        }
    }

    /// Ends a child that failed.
    fn failed(&mut self, error: ChildFailure) -> Failed {
        self.child = None;
        self.spans.failed(&error);
        self.job.shared.stats.child_failed(&error);
        (error, self.at.take())
    }

    fn refused(&self, why: Refusal, detail: &str) -> Failure {
        tracing::info!(?why, detail, "the document is refused");
        match why {
            Refusal::Setup => Failure::Start(detail.to_owned()),
            Refusal::NotPdf
            | Refusal::PasswordRequired
            | Refusal::WrongPassword
            | Refusal::Damaged
            | Refusal::NoPages
            | Refusal::TooManyPages
            | Refusal::OutOfMemory => Failure::Refused(why, self.job.limits),
        }
    }
}

/// Waits for a turn, and meanwhile goes on storing pages.
async fn turn_while(job: &Extraction<'_>, storing: &mut Storing<'_, '_>) -> Result<Permit, Failure> {
    let turn = job.turn();
    tokio::pin!(turn);
    loop {
        tokio::select! {
            biased;
            Some(stored) = storing.next() => job.report(stored?).await?,
            turn = &mut turn => return Ok(turn),
        }
    }
}
