//! Runs a document through the whole worker, child process included, against a server in memory.

#![allow(dead_code, clippy::unwrap_used)]

#[path = "../../../../worker/tests/support/mod.rs"]
pub mod server;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use courant_pdf::artifact::{Kind, PageArtifact, Zone};
use courant_pdf::{ChildCommand, PdfConfig, PdfWorker};
use courant_proto::v1::work_request::Message as Report;
use courant_proto::v1::*;
use courant_worker::Config;
use sha2::Digest;
use tokio_util::sync::CancellationToken;

pub use server::{FakeServer, Line};

pub fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/pdf").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A page that says "Name:", and a form field right behind it whose appearance says "Ada Lovelace".
pub fn form(field: &str) -> Vec<u8> {
    let stream =
        |dict: &str, content: &str| format!("<< {dict} /Length {} >>\nstream\n{content}\nendstream", content.len());
    let text = |text: &str, x: u32, y: u32| format!("BT /F 12 Tf {x} {y} Td ({text}) Tj ET");
    let subtype = if field.contains("/Subtype") { "" } else { "/Subtype /Widget /FT /Tx" };
    let fonts = "/Resources << /Font << /F 5 0 R >> >>";
    pdf(&[
        "<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [7 0 R] >> >>".into(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".into(),
        format!("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] {fonts} /Contents 4 0 R /Annots [7 0 R] >>"),
        stream("", &text("Name:", 20, 100)),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".into(),
        stream(&format!("/Type /XObject /Subtype /Form /BBox [0 0 200 20] {fonts}"), &text("Ada Lovelace", 1, 4)),
        format!("<< /Type /Annot {subtype} /T (name) /V (Ada Lovelace) /Rect [53 96 253 116] {field} >>"),
    ])
}

/// A page with a text that is seen and one that is drawn invisibly.
pub fn with_hidden_text(seen: &str, hidden: &str) -> Vec<u8> {
    let content = format!("BT /F 12 Tf 20 150 Td ({seen}) Tj ET BT 3 Tr /F 12 Tf 20 100 Td ({hidden}) Tj ET");
    pdf(&[
        "<< /Type /Catalog /Pages 2 0 R >>".into(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".into(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Resources << /Font << /F 5 0 R >> >> /Contents 4 0 R >>"
            .into(),
        format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".into(),
    ])
}

/// So many pages that all show the fixture `scan.pdf`.
pub fn long_scan(pages: u32) -> Vec<u8> {
    scans(pages, "")
}

/// The fixture `scan.pdf` with what an earlier OCR has read, badly, as invisible text.
pub fn searchable_scan(text: &str) -> Vec<u8> {
    scans(1, &format!(" BT 3 Tr /F 0.02 Tf 0.1 0.5 Td ({text}) Tj ET"))
}

/// So many pages with the picture of `scan.pdf`, over which something is drawn, in shares of the page.
fn scans(pages: u32, over: &str) -> Vec<u8> {
    let scan = fixture("gfdl-or-cc-by-sa-3.0/scan.pdf");
    let find =
        |text: &[u8], from: usize| from + scan[from..].windows(text.len()).position(|part| part == text).unwrap();
    let start = find(b"stream", find(b"/JBIG2Decode", 0)) + "stream\r\n".len();
    let hex: String = scan[start..start + 71_062].iter().map(|byte| format!("{byte:02x}")).collect();
    let kids: String = (0..pages).map(|page| format!("{} 0 R ", page + 5)).collect();
    let draw = format!("612 0 0 792 0 0 cm /Im0 Do{over}");
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".into(),
        format!("<< /Type /Pages /Kids [{kids}] /Count {pages} >>"),
        format!("<< /Length {} >>\nstream\n{draw}\nendstream", draw.len()),
        format!(
            "<< /Type /XObject /Subtype /Image /Width 2550 /Height 3300 /BitsPerComponent 1 /ColorSpace /DeviceGray \
             /Filter [/ASCIIHexDecode /JBIG2Decode] /Length {} >>\nstream\n{hex}>\nendstream",
            hex.len() + 1
        ),
    ];
    let font = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>";
    let resources = format!("<< /XObject << /Im0 4 0 R >> /Font << /F {font} >> >>");
    let page =
        format!("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources {resources} /Contents 3 0 R >>");
    objects.extend((0..pages).map(|_| page.clone()));
    pdf(&objects)
}

/// So many pages that share one content stream of so many lines of text: small, and dear to read.
pub fn costly(pages: u32, lines: u32) -> Vec<u8> {
    let content: String =
        (0..lines).map(|line| format!("BT /F 1 Tf {} {} Td (a line) Tj ET\n", line % 500, line % 700)).collect();
    let kids: String = (0..pages).map(|page| format!("{} 0 R ", page + 5)).collect();
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".into(),
        format!("<< /Type /Pages /Kids [{kids}] /Count {pages} >>"),
        format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".into(),
    ];
    let page =
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F 4 0 R >> >> /Contents 3 0 R >>";
    objects.extend((0..pages).map(|_| page.to_owned()));
    pdf(&objects)
}

/// A document of these objects, numbered from 1; the first is the catalogue.
fn pdf(objects: &[String]) -> Vec<u8> {
    let mut out = String::from("%PDF-1.7\n");
    let mut places = Vec::new();
    for (number, object) in (1..).zip(objects) {
        places.push(out.len());
        out.push_str(&format!("{number} 0 obj\n{object}\nendobj\n"));
    }
    let start = out.len();
    out.push_str(&format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1));
    places.iter().for_each(|place| out.push_str(&format!("{place:010} 00000 n \n")));
    out.push_str(&format!("trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n", objects.len() + 1));
    out.into_bytes()
}

/// The worker with its own program as the child.
pub fn config() -> PdfConfig {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_courant-pdf-worker"));
    PdfConfig::new(ChildCommand { program, args: vec!["pdf-child".into()] })
}

/// A worker at work.
pub struct Bench {
    pub server: FakeServer,
    pub line: Line,
    pub shutdown: CancellationToken,
    jobs: u32,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// What came of a job.
pub struct Finished {
    pub said: Vec<Report>,
    artifacts: Vec<(String, Bytes)>,
}

impl Bench {
    pub async fn start(config: PdfConfig) -> Self {
        Self::with(config, |_| {}).await
    }

    /// With other settings of the worker.
    pub async fn with(config: PdfConfig, change: impl FnOnce(&mut Config)) -> Self {
        let mut server = FakeServer::start().await;
        let mut worker = Config::new(server.url(), Arc::new(String::new), "pdf-1", ["pdf"]);
        change(&mut worker);
        let shutdown = CancellationToken::new();
        tokio::spawn(courant_worker::run(worker, Arc::new(PdfWorker::new(config)), shutdown.clone()));
        let line = server.welcomed_line().await;
        Self { server, line, shutdown, jobs: 0 }
    }

    /// An assignment for a new job on this document.
    pub fn job(&mut self, document: &[u8]) -> Assignment {
        self.jobs += 1;
        assignment(&self.server, &format!("J{}", self.jobs), document)
    }

    /// Gives a job and waits for its end.
    pub async fn run(&mut self, assignment: Assignment) -> Finished {
        let attempt = assignment.attempt.clone().unwrap();
        self.line.assign(assignment).await;
        let said = self.line.reports().await;
        let artifacts = self.server.memory.artifacts.lock().unwrap();
        let own = artifacts.iter().filter(|((job, number, _), _)| (job, *number) == (&attempt.job_id, attempt.attempt));
        Finished { said, artifacts: own.map(|((_, _, name), bytes)| (name.clone(), bytes.clone())).collect() }
    }
}

/// A job on this document, which the server has from now on.
pub fn assignment(server: &FakeServer, job_id: &str, document: &[u8]) -> Assignment {
    server.memory.documents.lock().unwrap().insert(job_id.into(), Bytes::copy_from_slice(document));
    let formats = [ResultFormat::Json, ResultFormat::Markdown, ResultFormat::Text, ResultFormat::Html];
    Assignment {
        attempt: Some(AttemptRef { job_id: job_id.into(), attempt: 1, ..Default::default() }),
        kind: "pdf".into(),
        filename: "document.pdf".into(),
        document_bytes: document.len() as i64,
        document_sha256: sha2::Sha256::digest(document).iter().map(|byte| format!("{byte:02x}")).collect(),
        formats: formats.map(i32::from).to_vec(),
        ..Default::default()
    }
}

/// Runs one of the repository's PDFs with the default settings.
pub async fn run(name: &str) -> Finished {
    let mut bench = Bench::start(config()).await;
    let job = bench.job(&fixture(name));
    let finished = bench.run(job).await;
    finished.show(name);
    finished
}

impl Finished {
    pub fn artifact(&self, name: &str) -> &[u8] {
        let found = self.artifacts.iter().find(|(other, _)| other == name);
        found
            .map(|(_, bytes)| &**bytes)
            .unwrap_or_else(|| panic!("{name} was not written; the end: {:?}", self.said.last()))
    }

    pub fn has(&self, name: &str) -> bool {
        self.artifacts.iter().any(|(other, _)| other == name)
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.artifact(name).to_vec()).unwrap()
    }

    /// The JSON result's pages.
    pub fn pages(&self) -> Vec<PageArtifact> {
        let mut value: serde_json::Value = serde_json::from_slice(self.artifact("result.json")).unwrap();
        serde_json::from_value(value["pages"].take()).unwrap()
    }

    pub fn zones(&self) -> Vec<Zone> {
        self.pages().into_iter().flat_map(|page| page.zones).collect()
    }

    pub fn of_kind(&self, kind: Kind) -> Vec<Zone> {
        self.zones().into_iter().filter(|zone| zone.kind == kind).collect()
    }

    pub fn reported_pages(&self) -> Vec<&Page> {
        let mut pages = Vec::new();
        for said in &self.said {
            if let Report::Page(ReportPage { page: Some(page), .. }) = said {
                pages.push(page);
            }
        }
        pages
    }

    pub fn progress(&self) -> Vec<(f64, String)> {
        let progress = |said: &Report| match said {
            Report::Progress(report) => Some((report.percent, report.operation.clone())),
            _ => None,
        };
        self.said.iter().filter_map(progress).collect()
    }

    /// The warnings of a job that ended well.
    pub fn warnings(&self) -> &[String] {
        match self.said.last() {
            Some(Report::Succeeded(end)) => &end.warnings,
            other => panic!("not a success: {other:?}"),
        }
    }

    /// The error of a job that failed.
    pub fn error(&self) -> &JobError {
        match self.said.last() {
            Some(Report::Failed(ReportFailed { error: Some(error), .. })) => error,
            other => panic!("not a failure: {other:?}"),
        }
    }

    /// Writes everything below the directory in `COURANT_TEST_OUTPUT`, to be looked at.
    pub fn show(&self, name: &str) {
        let Some(root) = std::env::var_os("COURANT_TEST_OUTPUT") else { return };
        let dir = PathBuf::from(root).join(name.replace('/', "_"));
        for (name, bytes) in &self.artifacts {
            let path = dir.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
}
