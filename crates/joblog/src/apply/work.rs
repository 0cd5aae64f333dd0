//! What a running attempt brings about: the plan, pages and exports.

use super::{IllegalChange, advance, pages_percent, warn};
use crate::job::{
    Export, ExportState, Format, Job, JobError, Lane, MAX_OUTPUTS, Output, Page, PageRange, Pages, Stage,
};

pub(super) fn planned(
    job: &mut Job,
    pages: u32,
    lane: Option<Lane>,
    document: Option<u32>,
) -> Result<(), IllegalChange> {
    let is_another = job.pages.total.is_some_and(|known| known != pages || job.pages.document != document);
    if pages == 0 || document.is_some_and(|all| all < pages) || is_another {
        return Err(IllegalChange::BadPlan { known: job.pages.total, reported: pages });
    }
    (job.pages.total, job.pages.document) = (Some(pages), document);
    job.lane = lane.unwrap_or(job.lane);
    advance(job, 10.0, Stage::Analyse, format!("Found {pages} pages"));
    Ok(())
}

pub(super) fn page_finished(job: &mut Job, page: &Page) -> Result<(), IllegalChange> {
    let total = job.pages.total.ok_or(IllegalChange::NotPlanned)?;
    let highest = job.pages.in_document().unwrap_or(total);
    if !(1..=highest).contains(&page.number) {
        return Err(IllegalChange::BadPage { page: page.number, total: highest });
    }
    if job.pages.is_done(page.number) {
        return Err(IllegalChange::Duplicate);
    }
    if job.pages.done_count() >= total {
        return Err(IllegalChange::BadPage { page: page.number, total });
    }
    insert(&mut job.pages, page.number, job.attempt);
    job.zones = job.zones.saturating_add(u32::try_from(page.zones.len()).unwrap_or(u32::MAX));
    warn(job, page.warnings.iter().map(|warning| format!("page {}: {warning}", page.number)));
    let done = job.pages.done_count();
    advance(job, pages_percent(&job.pages), Stage::Extract, format!("Processed {done}/{total} pages"));
    Ok(())
}

pub(super) fn export_started(job: &mut Job, format: Format) -> Result<(), IllegalChange> {
    if !job.formats.contains(&format) {
        return Err(IllegalChange::NotAsked { format });
    }
    if job.exports.iter().any(|export| export.format == format) {
        return Err(IllegalChange::Duplicate);
    }
    job.exports.push(Export { format, attempt: job.attempt, state: ExportState::Started });
    advance(job, 75.0, Stage::Export, format!("Writing {}", format_name(format)));
    Ok(())
}

pub(super) fn export_completed(job: &mut Job, format: Format, bytes: u64, sha256: &str) -> Result<(), IllegalChange> {
    let state = ExportState::Completed { bytes, sha256: sha256.into() };
    export_ended(job, format, state, format!("Wrote {}", format_name(format)))
}

pub(super) fn export_failed(job: &mut Job, format: Format, error: &JobError) -> Result<(), IllegalChange> {
    let operation = format!("Could not write {}", format_name(format));
    export_ended(job, format, ExportState::Failed(error.clone()), operation)
}

fn export_ended(job: &mut Job, format: Format, state: ExportState, operation: String) -> Result<(), IllegalChange> {
    let export =
        job.exports.iter_mut().find(|export| export.format == format).ok_or(IllegalChange::NotStarted { format })?;
    match export.state {
        ExportState::Started => export.state = state,
        ExportState::Completed { .. } | ExportState::Failed(_) => return Err(IllegalChange::Duplicate),
    }
    let ended = job.exports.iter().filter(|export| export.state != ExportState::Started).count();
    // The last step to 100 is the job's own end.
    let percent = (75.0 + 25.0 * ended as f64 / job.formats.len().max(1) as f64).min(99.0);
    advance(job, percent, Stage::Export, operation);
    Ok(())
}

pub(super) fn output_stored(job: &mut Job, output: &Output) -> Result<(), IllegalChange> {
    if output.attempt != job.attempt {
        return Err(IllegalChange::WrongAttempt { current: job.attempt });
    }
    let outputs = &mut job.later.outputs;
    match outputs.iter().position(|known| known.name == output.name) {
        Some(place) if outputs[place] == *output => return Err(IllegalChange::Duplicate),
        Some(place) => outputs[place] = output.clone(),
        None if outputs.len() >= MAX_OUTPUTS => return Err(IllegalChange::TooManyOutputs),
        None => outputs.push(output.clone()),
    }
    Ok(())
}

fn format_name(format: Format) -> &'static str {
    match format {
        Format::Json => "JSON",
        Format::Markdown => "Markdown",
        Format::Text => "plain text",
        Format::Html => "HTML",
    }
}

/// Inserts a page in order and joins it with its neighbours of the same attempt.
fn insert(pages: &mut Pages, page: u32, attempt: u32) {
    let place = pages.done.partition_point(|range| range.last < page);
    let joins_left = place.checked_sub(1).filter(|left| {
        let left = &pages.done[*left];
        left.attempt == attempt && left.last.checked_add(1) == Some(page)
    });
    let joins_right =
        pages.done.get(place).is_some_and(|right| right.attempt == attempt && page.checked_add(1) == Some(right.first));
    match (joins_left, joins_right) {
        (Some(left), true) => {
            pages.done[left].last = pages.done[place].last;
            pages.done.remove(place);
        }
        (Some(left), false) => pages.done[left].last = page,
        (None, true) => pages.done[place].first = page,
        (None, false) => pages.done.insert(place, PageRange { first: page, last: page, attempt }),
    }
}
