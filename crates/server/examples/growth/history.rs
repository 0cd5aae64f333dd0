//! The history of one job: a document of as many pages as there are events.

use std::path::Path;

use anyhow::Context as _;
use courant_engine::engine::PAGE;
use courant_joblog::event::Change;
use courant_joblog::ids::{JobId, Revision};
use courant_joblog::job::{Page, Zone, ZoneKind, ZoneStatus};
use courant_joblog::log::{Filter, Log as _};
use courant_joblog::sqlite::{Options, SqliteLog};
use courant_server::services::Services;

use super::measure::{Stopwatch, quickest_us};
use super::report::Row;
use super::service::{claim, open, owner, submit};

/// How often the newest events are read.
const READS: usize = 500;
/// Pages that a worker reports together.
const TOGETHER: usize = 100;

pub async fn row(folder: &Path, size: usize) -> anyhow::Result<Row> {
    let mut row = Row::default();
    let services = open(folder).await?;
    let id = submit(&services, 0, owner(0)).await?;
    claim(&services, 0).await?;
    let planned = Change::Planned { attempt: 1, pages: u32::try_from(size)?, lane: None, document: None };
    services.engine.change(&id, |_| Ok(Some(planned.clone()))).await?;
    let watch = Stopwatch::start();
    for first in (1..=size).step_by(TOGETHER) {
        report(&services, &id, first..(first + TOGETHER).min(size + 1)).await?;
    }
    row.add("report, µs an event", watch.stop().processor_us(size));
    services.close().await;
    row.add("bytes on the disk an event", std::fs::metadata(folder.join("log/log.db"))?.len() as f64 / size as f64);
    // Opened again, so that nothing is read from memory.
    let log = SqliteLog::open(&folder.join("log"), Options::default())?;
    let (filter, mut last) = (Filter::Job(id), Revision::ZERO);
    let all = quickest_us(size, async || {
        let mut after = Revision::ZERO;
        while let Some(newest) = log.read(after, &filter, PAGE).await?.last() {
            after = newest.revision;
        }
        last = after;
        Ok(())
    });
    row.add("read all, µs an event", all.await?);
    let newest = quickest_us(READS, async || {
        for _ in 0..READS {
            let newest = log.read(Revision(last.0 - 2), &filter, PAGE).await?;
            newest.last().filter(|newest| newest.revision == last).context("the newest event")?;
        }
        Ok(())
    });
    row.add("read the newest, µs", newest.await?);
    Ok(row)
}

async fn report(services: &Services, id: &JobId, pages: std::ops::Range<usize>) -> anyhow::Result<()> {
    let finished = |number: usize| Change::PageFinished { attempt: 1, page: Box::new(page(number as u32)) };
    services.engine.change_all(id, |_| Ok(pages.clone().map(finished).collect::<Vec<_>>().into())).await?;
    Ok(())
}

/// A page of ten paragraphs.
fn page(number: u32) -> Page {
    let zone = |index: u32| Zone {
        id: format!("p{number}-z{index}").into(),
        index,
        page: number,
        bbox: [72.0, 72.5 * f64::from(index), 523.0, 90.25],
        kind: ZoneKind::Paragraph,
        tool: "text-layer".into(),
        status: ZoneStatus::Completed,
        confidence: 0.97,
        duration_ms: 3,
        note: "".into(),
    };
    Page {
        number,
        width: 595.0,
        height: 842.0,
        zones: (1..=10).map(zone).collect(),
        duration_ms: 40,
        warnings: Vec::new(),
    }
}
