//! Pages of one child on their way to the server, in the order in which they were read.

use std::collections::VecDeque;

use courant_pdf_parameters::OcrMode;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;

use super::extract::{Extraction, KeptPage};
use crate::artifact::PageArtifact;
use crate::failure::Failure;
use crate::ocr::Picture;
use crate::zones;

/// Pages under way at once. What the server does for several of them at a time, it does faster.
const PAGES: usize = 16;
/// Those of them that are pictures and wait for OCR: a picture is tens of megabytes.
const PICTURES: usize = 4;

pub(super) struct Storing<'l, 'a> {
    job: &'l Extraction<'a>,
    under_way: FuturesOrdered<BoxFuture<'l, Result<KeptPage, Failure>>>,
    /// Of each, whether it is a picture.
    is_picture: VecDeque<bool>,
}

impl<'l, 'a> Storing<'l, 'a> {
    pub(super) fn new(job: &'l Extraction<'a>) -> Self {
        Self { job, under_way: FuturesOrdered::new(), is_picture: VecDeque::new() }
    }

    /// Whether another page has to wait.
    pub(super) fn is_full(&self) -> bool {
        let pictures = self.is_picture.iter().filter(|is_picture| **is_picture).count();
        self.under_way.len() >= PAGES || pictures >= PICTURES
    }

    /// Begins to store a page; one that comes with a picture is read from it first.
    pub(super) fn push(&mut self, page: PageArtifact, picture: Option<Picture>) {
        self.is_picture.push_back(picture.is_some());
        self.under_way.push_back(Box::pin(recognize_and_keep(self.job, page, picture)));
    }

    /// Waits until the next page is stored. `None` if none is under way. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Option<Result<KeptPage, Failure>> {
        let stored = self.under_way.next().await?;
        self.is_picture.pop_front();
        Some(stored)
    }
}

/// Reads the picture of a page, if it has one, and stores the page.
async fn recognize_and_keep(
    job: &Extraction<'_>,
    page: PageArtifact,
    picture: Option<Picture>,
) -> Result<KeptPage, Failure> {
    let page = match (&job.reader, picture) {
        (Some(reader), Some(picture)) => reader.read(page, &picture).await,
        (None, _) if job.parameters.ocr == OcrMode::Off => zones::ocr_is_off(page),
        _ => page,
    };
    let mut span = job.task.span("store page");
    span.set("courant.page", i64::from(page.number));
    job.keep(page).await
}
