//! Scanned pages through the whole worker and the real tesseract. Needs the program (`make packages`).

// Helpers of tests count as code of their own to the lint.
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Bench, Finished, config, fixture};
use courant_pdf::artifact::{Bbox, Kind, Status, Word, Zone};
use courant_pdf::ocr::tesseract::{TesseractConfig, TesseractError};
use courant_pdf::ocr::{OcrEngine, OcrError, Picture, ReadBlock, ReadContent, Reading};
use courant_pdf::{OcrChoice, PdfConfig, Supervisor};
use courant_proto::v1::CancelAttempt;
use courant_proto::v1::work_request::Message as Report;
use courant_proto::v1::work_response::Message as Reply;

const SCAN: &str = "gfdl-or-cc-by-sa-3.0/scan.pdf";

/// The real program; none when these tests are left out on purpose.
fn installed() -> Option<TesseractConfig> {
    std::env::var_os("COURANT_SKIP_OCR").is_none().then(tesseract)
}

fn tesseract() -> TesseractConfig {
    let program = TesseractConfig::find(Path::new("tesseract")).expect("install tesseract-ocr: `make packages` does");
    TesseractConfig::new(program, "eng")
}

fn with(ocr: OcrChoice) -> PdfConfig {
    PdfConfig { ocr, ..config() }
}

async fn run(config: PdfConfig, name: &str) -> Finished {
    let mut bench = Bench::start(config).await;
    let job = bench.job(&fixture(name));
    let finished = bench.run(job).await;
    finished.show(name);
    finished
}

/// Words: letters and digits in a row, a letter among them. (The truth was typed with its own bullets, dashes, quotes.)
fn counted(text: &str) -> HashMap<String, i64> {
    let mut words = HashMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().any(char::is_alphabetic)) {
        *words.entry(word.to_lowercase()).or_default() += 1;
    }
    words
}

/// Precision and recall of words, each counted as often as it occurs.
fn score(read: &str, truth: &str) -> (f64, f64) {
    let (read, truth) = (counted(read), counted(truth));
    let common: i64 = read.iter().map(|(word, count)| *count.min(truth.get(word).unwrap_or(&0))).sum();
    let share = |words: &HashMap<String, i64>| common as f64 / words.values().sum::<i64>().max(1) as f64;
    (share(&read), share(&truth))
}

fn words(zones: &[Zone]) -> Vec<Word> {
    zones.iter().flat_map(|zone| zone.words.clone()).collect()
}

#[tokio::test]
async fn a_scan_is_read_with_places_and_confidence() {
    let Some(tesseract) = installed() else { return };
    let finished = run(with(OcrChoice::Tesseract(tesseract)), SCAN).await;
    assert_eq!(finished.warnings(), [] as [&str; 0]);
    let zones = finished.zones();
    assert_eq!((zones[0].kind, zones[0].status), (Kind::Scan, Status::Completed));
    assert!(zones.iter().all(|zone| zone.tool == "ocr:tesseract"));
    assert!(zones.iter().all(|zone| zone.confidence > 0.5 && zone.confidence < 1.0 && zone.duration_ms > 0.0));
    let words = words(&zones);
    let truth = String::from_utf8(fixture("gfdl-or-cc-by-sa-3.0/scan.txt")).unwrap();
    let read = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    let (precision, recall) = score(&read, &truth);
    assert!(precision >= 0.96 && recall >= 0.96, "precision {precision:.3}, recall {recall:.3}");
    for word in &words {
        let Bbox { x0, y0, x1, y1 } = word.bbox;
        assert!(0.0 <= x0 && x0 < x1 && x1 <= 612.0 && 0.0 <= y0 && y0 < y1 && y1 <= 792.0, "{word:?}");
        let zone = zones.iter().find(|zone| zone.words.contains(word)).unwrap();
        assert!(zone.bbox.holds_middle_of(&word.bbox), "{word:?} in {:?}", zone.bbox);
    }
    // Where poppler sees the title in the picture: 388 to 1313 of 1700 pixels across, 88 to 203 of 2200 down.
    let title = words.iter().find(|word| word.text == "LinnSequencer").unwrap();
    let near = |value: f64, pixels: f64| (value - pixels * 72.0 / 200.0).abs() < 3.0;
    assert!(near(title.bbox.x0, 708.0) && near(title.bbox.y0, 88.0) && near(title.bbox.y1, 145.0), "{title:?}");
    let text = finished.text("result.txt");
    assert!(text.contains("state-of-the-art composition and performance tool for the professional musician"), "{text}");
    assert!(finished.text("result.md").contains("LinnSequencer"));
}

#[tokio::test]
async fn a_scan_that_lies_askew_on_its_side_is_read_too() {
    let Some(tesseract) = installed() else { return };
    let finished = run(with(OcrChoice::Tesseract(tesseract)), "gfdl-or-cc-by-sa-3.0/scan-rotated-skewed.pdf").await;
    let truth = String::from_utf8(fixture("gfdl-or-cc-by-sa-3.0/scan.txt")).unwrap();
    let read = words(&finished.zones()).iter().map(|word| word.text.clone()).collect::<Vec<_>>().join(" ");
    let (precision, recall) = score(&read, &truth);
    assert!(precision >= 0.95 && recall >= 0.92, "precision {precision:.3}, recall {recall:.3}");
}

/// Of which job this is a finished page, or the end.
fn of(said: &Report) -> Option<(String, bool)> {
    match said {
        Report::Page(page) => Some((page.attempt.clone()?.job_id, false)),
        Report::Succeeded(end) => Some((end.attempt.clone()?.job_id, true)),
        Report::Failed(end) => panic!("{end:?}"),
        _ => None,
    }
}

/// With one page read at a time and one child at work, a long scan is under way when these come: no more of its pages than these
/// are done before them. What is read meanwhile are pages that had been given to OCR already.
async fn does_not_wait_behind_a_long_scan(others: &[Vec<u8>], at_most: u32) {
    let Some(tesseract) = installed() else { return };
    const PAGES: u32 = 20;
    let config = PdfConfig { children: 1, ocr_at_once: 1, ..with(OcrChoice::Tesseract(tesseract)) };
    let mut bench = Bench::with(config, |worker| worker.slots = 2).await;
    let scan = bench.job(&crate::support::long_scan(PAGES));
    let attempt = scan.attempt.clone();
    bench.line.assign(scan).await;
    while !matches!(bench.line.report().await.unwrap(), Report::Page(_)) {}
    let mut scanned = 1;
    for other in others {
        let job = bench.job(other);
        let own = job.attempt.clone().unwrap().job_id;
        bench.line.reply(Reply::Assignment(job)).await;
        loop {
            match of(&bench.line.report().await.unwrap()) {
                Some((job, true)) if job == own => break,
                Some((job, false)) if job != own => scanned += 1,
                Some((job, true)) => panic!("{job} was done before"),
                _ => {}
            }
        }
    }
    println!("{scanned} pages of {PAGES} were read meanwhile");
    assert!(scanned <= at_most, "{scanned} pages");
    bench.line.reply(Reply::Cancel(CancelAttempt { attempt })).await;
    while !matches!(bench.line.report().await.unwrap(), Report::Cancelled(_)) {}
}

#[tokio::test]
async fn a_text_document_does_not_wait_behind_a_long_scan() {
    let form = crate::support::form("");
    let report = fixture("cc-by-sa-4.0/two-columns.pdf");
    does_not_wait_behind_a_long_scan(&[form, report], 8).await;
}

#[tokio::test]
async fn a_second_scan_does_not_wait_behind_all_pages_of_the_first() {
    does_not_wait_behind_a_long_scan(&[fixture(SCAN)], 6).await;
}

#[tokio::test]
async fn text_layers_that_can_be_read_are_not_read_again() {
    let engine = Arc::new(Fake::says("never asked"));
    let finished = run(with(OcrChoice::Engine(engine)), "cc-by-sa-4.0/two-columns.pdf").await;
    assert!(finished.zones().iter().all(|zone| zone.tool != "ocr:fake"));
}

#[tokio::test]
async fn without_the_program_the_zone_says_so_and_the_job_ends() {
    let missing = TesseractConfig::new(PathBuf::from("/nowhere/tesseract"), "eng");
    unread(with(OcrChoice::Tesseract(missing)), "the OCR engine cannot be used; this region was not read").await;
}

#[tokio::test]
async fn a_program_that_fails_hangs_or_talks_nonsense_costs_the_text_of_the_page_only() {
    let Some(mut impatient) = installed() else { return };
    impatient.page_timeout = Duration::from_millis(1);
    unread(with(OcrChoice::Tesseract(impatient)), "the OCR engine took too long; this region was not read").await;
    let failed = "the OCR engine failed on this page; this region was not read";
    for program in ["/usr/bin/false", "/usr/bin/yes"] {
        let mut other = TesseractConfig::new(Path::new(program).canonicalize().unwrap(), "eng");
        other.output_bytes = 1 << 20;
        unread(with(OcrChoice::Tesseract(other)), failed).await;
    }
    let mut starved = tesseract();
    starved.memory_bytes = 32 << 20;
    unread(with(OcrChoice::Tesseract(starved)), failed).await;
}

#[tokio::test]
async fn no_more_pages_are_read_than_allowed() {
    let mut none = with(OcrChoice::Engine(Arc::new(Fake::says("text"))));
    none.ocr_max_pages = 0;
    unread(none, OcrError::UsedUp.note()).await;
}

#[tokio::test]
async fn pictures_that_are_too_large_are_not_drawn() {
    let finished = run(with(OcrChoice::Engine(Arc::new(Fake::says("text")))), "cc-by-sa-4.0/pixel-bomb.pdf").await;
    assert_eq!(finished.zones()[0].status, Status::Skipped);
    assert!(
        finished.warnings()[0].contains("its images are too large or cannot be rendered"),
        "{:?}",
        finished.warnings()
    );
}

#[tokio::test]
async fn what_an_engine_reads_becomes_zones_of_the_page() {
    let finished = run(with(OcrChoice::Engine(Arc::new(Fake::says("the whole truth")))), SCAN).await;
    let zones = finished.zones();
    assert_eq!(zones.iter().map(|zone| zone.kind).collect::<Vec<_>>(), [Kind::Scan, Kind::Paragraph]);
    assert_eq!(
        (zones[1].text.as_str(), zones[1].tool.as_str(), zones[1].confidence),
        ("the whole truth", "ocr:fake", 0.75)
    );
    assert_eq!(finished.text("result.txt"), "the whole truth\n");
}

#[test]
fn languages_are_checked_before_work_begins() {
    let Some(mut tesseract) = installed() else { return };
    assert_eq!(tesseract.check(), Ok(()));
    assert!(tesseract.installed.iter().any(|language| language == "eng"), "{:?}", tesseract.installed);
    let mut unknown = TesseractConfig::new(tesseract.program.clone(), "eng+xyz");
    assert!(matches!(unknown.check(), Err(TesseractError::Language { language, .. }) if language == "xyz"));
    let mut hostile = TesseractConfig::new(tesseract.program, "../../etc/passwd");
    assert!(matches!(hostile.check(), Err(TesseractError::Languages(_))));
    assert!(matches!(TesseractConfig::find(Path::new("no-such-program")), Err(TesseractError::Missing)));
}

/// The scan is not read, and this is why.
async fn unread(config: PdfConfig, note: &str) {
    let finished = run(config, SCAN).await;
    let zones = finished.zones();
    assert_eq!((zones.len(), zones[0].kind, zones[0].status), (1, Kind::Scan, Status::Skipped));
    assert_eq!(zones[0].note, note);
    assert_eq!(finished.warnings(), [format!("Page 1: scanned; {note}.")]);
}

/// An engine that reads the same on every page.
#[derive(Debug)]
struct Fake(&'static str);

impl Fake {
    fn says(text: &'static str) -> Self {
        Self(text)
    }
}

#[async_trait::async_trait]
impl OcrEngine for Fake {
    fn tool(&self) -> &'static str {
        "ocr:fake"
    }

    async fn read(&self, picture: &Picture, _: &[String], _: &Supervisor) -> Result<Reading, OcrError> {
        assert!(picture.png.starts_with(b"\x89PNG") && picture.width > 1000);
        let bbox = Bbox { x0: 0.0, y0: 0.0, x1: 1.0, y1: 1.0 };
        let content = ReadContent::Paragraph(self.0.into());
        let block = ReadBlock { bbox, content, confidence: 0.75, words: Vec::new() };
        Ok(Reading { blocks: vec![block], confidence: 0.75, cost_usd: 0.0 })
    }
}
