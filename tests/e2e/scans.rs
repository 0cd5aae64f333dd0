//! A scanned page, read by tesseract inside the whole of it.

use anyhow::{Context as _, ensure};
use courant_proto::v1::job_event::Change;
use courant_proto::v1::{JobState, ResultFormat, ZoneKind, ZoneStatus};
use courant_tests::grpc::accepted;
use courant_tests::{Up, documents};

const SCAN: &str = "gfdl-or-cc-by-sa-3.0/scan.pdf";

#[tokio::test]
async fn a_scan_is_read_and_shown_as_zones_with_their_tool_and_confidence() -> anyhow::Result<()> {
    if std::env::var_os("COURANT_SKIP_OCR").is_some() {
        println!("left out on purpose (COURANT_SKIP_OCR)");
        return Ok(());
    }
    let up = Up::with(&["--workers", "1", "--ocr", "tesseract"]).await?;
    let jobs = up.jobs("alice").await?;
    let (job, cursor) = accepted(jobs.submit("scan.pdf", documents::fixture_bytes(SCAN)?).await?)?;
    let mut watch = jobs.watch(&job.job_id, &cursor).await?;
    watch.to_end().await?;
    let page = watch.events().find_map(|event| match &event.change {
        Some(Change::PageFinished(done)) => done.page.clone(),
        _ => None,
    });
    let page = page.context("no page was finished")?;
    let scan = page.zones.first().context("no zones")?;
    ensure!(scan.kind() == ZoneKind::Scan && scan.status() == ZoneStatus::Completed, "{scan:?}");
    for zone in &page.zones {
        ensure!(zone.tool == "ocr:tesseract" && (0.5..1.0).contains(&zone.confidence), "{zone:?}");
    }
    let job = jobs.get(&job.job_id).await?;
    ensure!(job.state() == JobState::Succeeded && job.warnings.is_empty(), "{:?} {:?}", job.error, job.warnings);
    let text = jobs.result(&job.job_id, ResultFormat::Text).await?;
    ensure!(text.contains("composition and performance tool for the professional musician"), "{text}");
    Ok(())
}
