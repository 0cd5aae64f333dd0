//! What is done to one attempt: mostly good work, sometimes none, always with the attempt's number in all that is made.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use courant_proto::v1::work_request::Message as Out;
use courant_proto::v1::worker_service_client::WorkerServiceClient;
use courant_proto::v1::write_artifact_request::Part;
use courant_proto::v1::{
    Accepted, Assignment, FinishedPages, JobError, OfferPages, Page, PageRange, PartsChanged, ReportCancelled,
    ReportExportCompleted, ReportExportFailed, ReportExportStarted, ReportFailed, ReportOutput, ReportPage, ReportPlan,
    ReportProgress, ReportReleased, ReportZone, ResultFormat, Stage, WriteArtifactHeader, WriteArtifactRequest, Zone,
    ZoneKind, ZoneStatus,
};
use courant_runtime::hex;
use fastrand::Rng;
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request};

use super::super::clients::grpc::CALL;
use super::super::fact::{MADE, format};
use super::super::record::{Record, RecordWriter};
use super::{Key, succeeded};

/// One attempt.
pub(super) struct Script {
    pub key: Key,
    pub rng: Rng,
    pub assignment: Assignment,
    pub reports: mpsc::Sender<(Key, Out)>,
    /// Of each server.
    pub clients: Vec<WorkerServiceClient<Channel>>,
    /// The one that its worker has its stream with.
    pub server: watch::Receiver<usize>,
    pub token: MetadataValue<Ascii>,
    pub writer: RecordWriter,
    pub worker: String,
    pub cancel: CancellationToken,
    pub parts: watch::Receiver<PartsChanged>,
}

/// The attempt cannot go on: it is somebody else's, or the worker has gone.
struct Over;

impl Script {
    pub(super) async fn run(mut self) {
        let cancel = self.cancel.clone();
        let obeys = self.rng.u32(0..10) > 0;
        tokio::select! {
            _ = self.play() => {}
            () = cancel.cancelled(), if obeys => {
                let attempt = Some(self.key.reference());
                let _ = self.send(Out::Cancelled(ReportCancelled { attempt })).await;
            }
        }
    }

    async fn play(&mut self) -> Result<(), Over> {
        let key = self.key.clone();
        let attempt = || Some(key.reference());
        let chance = self.rng.u32(0..100);
        if chance < 3 {
            // Never accepted: it goes to someone else.
            return Ok(());
        }
        self.send(Out::Accepted(Accepted { attempt: attempt() })).await?;
        if chance < 7 {
            self.rest(500, 6_000).await;
        }
        // The same in every attempt, as for a real document.
        let pages = 1 + i32::try_from(self.assignment.document_bytes % 6).unwrap_or(0);
        let done = self.assignment.finished_pages.clone();
        if let Some(part) = self.assignment.pages {
            self.pages(part.first..=part.last, pages, &done).await?;
        } else {
            self.send(Out::Plan(ReportPlan { attempt: attempt(), pages_total: pages, document_pages: 0 })).await?;
            self.divide(pages, done).await?;
        }
        match chance {
            7..15 => return self.fail(true).await,
            15..18 => return self.fail(false).await,
            18..22 => return self.send(Out::Released(ReportReleased { attempt: attempt() })).await,
            _ => {}
        }
        if self.assignment.pages.is_none() {
            self.output().await?;
            self.exports().await?;
        }
        self.send(succeeded(&key)).await?;
        if chance > 95 {
            // Said twice, and the contrary after it: the first word counts.
            self.send(succeeded(&key)).await?;
            self.fail(true).await?;
        }
        Ok(())
    }

    /// Does all pages, now and then with the help of others.
    async fn divide(&mut self, pages: i32, mut done: Vec<FinishedPages>) -> Result<(), Over> {
        let mut own = 1..=pages;
        if pages > 1 && self.rng.bool() {
            let attempt = || Some(self.key.reference());
            let offered = (2..=pages).map(|page| PageRange { first: page, last: page }).collect();
            self.send(Out::Offer(OfferPages { attempt: attempt(), revision: 1, pages: offered })).await?;
            self.pages(1..=1, pages, &done).await?;
            self.rest(1, 300).await;
            self.send(Out::Offer(OfferPages { attempt: Some(self.key.reference()), revision: 2, pages: vec![] }))
                .await?;
            let back = self.parts.wait_for(|parts| parts.revision >= 2 && parts.held.is_empty()).await;
            done.clone_from(&back.map_err(|_| Over)?.finished_pages);
            own = 2..=pages;
        }
        self.pages(own, pages, &done).await
    }

    async fn pages(&mut self, own: RangeInclusive<i32>, pages: i32, done: &[FinishedPages]) -> Result<(), Over> {
        let att = self.key.att;
        let is_done = |page: &i32| done.iter().any(|range| (range.first..=range.last).contains(page));
        // Some report their pages at once: the server takes together what waits.
        let at_once = self.rng.bool();
        let mut reports = Vec::new();
        for number in own.filter(|page| !is_done(page)) {
            self.progress(number, pages).await?;
            self.rest(1, 60).await;
            // Some artifacts come with the report of their page, others before it.
            let artifact = if self.rng.bool() {
                page_text(att).into()
            } else {
                self.write(&format!("pages/{number:06}.json"), page_text(att)).await?;
                Bytes::new()
            };
            let zones = (1..=self.rng.i32(0..3)).map(|index| zone(number, index)).collect();
            // The width says who made the page.
            let page = Page { number, width: f64::from(att), height: 1.0, zones, ..Page::default() };
            reports.push(Out::Page(ReportPage { attempt: Some(self.key.reference()), page: Some(page), artifact }));
            if !at_once {
                self.send_all(&mut reports).await?;
            }
        }
        self.send_all(&mut reports).await
    }

    async fn send_all(&self, reports: &mut Vec<Out>) -> Result<(), Over> {
        for report in reports.drain(..) {
            self.send(report).await?;
        }
        Ok(())
    }

    async fn progress(&mut self, number: i32, pages: i32) -> Result<(), Over> {
        let attempt = || Some(self.key.reference());
        // Sometimes less than before: the server must not show that.
        let percent = 15.0 + 60.0 * f64::from(number) / f64::from(pages) - self.rng.f64() * 25.0;
        let operation = format!("Page {number}");
        let (units_done, units_total) = (number - 1, pages);
        let stage = Stage::Extract.into();
        let attempt_of = attempt();
        let report = ReportProgress { attempt: attempt_of, percent, stage, operation, units_done, units_total };
        self.send(Out::Progress(report)).await?;
        let zone = Zone { status: ZoneStatus::Processing.into(), ..zone(number, 1) };
        self.send(Out::Zone(ReportZone { attempt: attempt(), zone: Some(zone) })).await
    }

    async fn exports(&mut self) -> Result<(), Over> {
        let key = self.key.clone();
        let (job, att, attempt) = (key.job.clone(), key.att, || Some(key.reference()));
        for wanted in self.assignment.formats.clone() {
            let Ok(of) = ResultFormat::try_from(wanted) else { continue };
            self.send(Out::ExportStarted(ReportExportStarted { attempt: attempt(), format: wanted })).await?;
            if self.rng.u32(0..20) == 0 {
                let error = Some(error(att, false));
                let failed = ReportExportFailed { attempt: attempt(), format: wanted, error };
                self.send(Out::ExportFailed(failed)).await?;
                continue;
            }
            let name = format!("result.{}", format(of));
            let text = format!("{name} of {job} by {} in attempt {att}\n", self.worker).repeat(self.rng.usize(1..50));
            let sha = hex(&Sha256::digest(&text));
            let (worker, of) = (self.worker.clone(), format(of).to_owned());
            self.writer.write(Record::Wrote { worker, job: job.clone(), att, of, sha });
            self.write(&name, text).await?;
            self.send(Out::ExportCompleted(ReportExportCompleted { attempt: attempt(), format: wanted })).await?;
        }
        Ok(())
    }

    /// Something beside the exports, with its report or before it.
    async fn output(&mut self) -> Result<(), Over> {
        let (name, text) = ("made.txt".to_owned(), page_text(self.key.att));
        let artifact = if self.rng.bool() {
            Some(text.into())
        } else {
            self.write(&name, text).await?;
            None
        };
        let attempt = Some(self.key.reference());
        self.send(Out::Output(ReportOutput { attempt, name, media_type: "text/plain".to_owned(), artifact })).await
    }

    async fn fail(&mut self, retryable: bool) -> Result<(), Over> {
        let attempt = Some(self.key.reference());
        self.send(Out::Failed(ReportFailed { attempt, error: Some(error(self.key.att, retryable)) })).await
    }

    async fn send(&self, report: Out) -> Result<(), Over> {
        self.reports.send((self.key.clone(), report)).await.map_err(|_| Over)
    }

    /// Stores something, however often it takes.
    async fn write(&mut self, name: &str, text: String) -> Result<(), Over> {
        loop {
            let attempt = Some(self.key.reference());
            let header = Part::Header(WriteArtifactHeader { attempt, name: name.to_owned() });
            let parts = [header, Part::Chunk(text.clone().into())];
            let parts = parts.map(|part| WriteArtifactRequest { part: Some(part) });
            let mut request = Request::new(tokio_stream::iter(parts));
            request.metadata_mut().insert("authorization", self.token.clone());
            let server = *self.server.borrow();
            match timeout(CALL, self.clients[server].write_artifact(request)).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(status)) if matches!(status.code(), Code::Aborted | Code::NotFound) => return Err(Over),
                Ok(Err(_)) | Err(_) => self.rest(50, 400).await,
            }
        }
    }

    async fn rest(&mut self, least: u64, most: u64) {
        sleep(Duration::from_millis(self.rng.u64(least..most))).await;
    }
}

/// What an attempt writes for each page.
pub fn page_text(att: i32) -> String {
    format!("{{\"attempt\":{att}}}")
}

/// A report on an attempt that is over.
pub(super) fn late(rng: &mut Rng, key: &Key) -> Out {
    let (attempt, att) = (Some(key.reference()), key.att);
    match rng.u32(0..6) {
        0 => Out::Accepted(Accepted { attempt }),
        1 => {
            let page = Page { number: 1, width: f64::from(att), height: 1.0, ..Page::default() };
            Out::Page(ReportPage { attempt, page: Some(page), artifact: page_text(att).into() })
        }
        2 => Out::Failed(ReportFailed { attempt, error: Some(error(att, true)) }),
        3 => Out::Released(ReportReleased { attempt }),
        4 => {
            Out::Progress(ReportProgress { attempt, percent: 50.0, stage: Stage::Extract.into(), ..Default::default() })
        }
        _ => succeeded(key),
    }
}

fn error(att: i32, retryable: bool) -> JobError {
    JobError { code: format!("{MADE}_FAULT"), message: format!("made by attempt {att}"), retryable }
}

fn zone(page: i32, index: i32) -> Zone {
    Zone {
        zone_id: format!("p{page}z{index}"),
        index,
        page,
        kind: ZoneKind::Paragraph.into(),
        tool: "torture".to_owned(),
        status: ZoneStatus::Completed.into(),
        confidence: 1.0,
        bounding_box: Some(courant_proto::v1::BoundingBox { x0: 0.0, y0: 0.0, x1: 1.0, y1: 1.0 }),
        ..Zone::default()
    }
}
