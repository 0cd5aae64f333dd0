//! What clients and workers send, checked: every number in its range, every text within its length.

use std::time::Duration;

use courant_joblog::ids::JobId;
use courant_joblog::job::{Format, JobError, Lane, Page, Stage, State, Zone, ZoneKind, ZoneStatus};
use courant_proto::v1;

use crate::error::Error;
use crate::text;

/// The longest `min_interval` of a watch.
pub const MAX_INTERVAL: Duration = Duration::from_secs(60);
/// The longest id a caller may give, in bytes.
pub const MAX_ID: usize = 128;
/// Zones of one page.
pub const MAX_ZONES: usize = 1000;
/// Bytes of a sentence for people.
pub const MAX_SENTENCE: usize = 1024;
/// Bytes of a code or a tool's name.
pub const MAX_WORD: usize = 64;
/// Warnings of one page.
pub const MAX_PAGE_WARNINGS: usize = 10;
/// Edge of a page in points; PDF allows 14,400 (ISO 32000-1, annex C), scaled by UserUnit.
pub const MAX_POINTS: f64 = 1e7;

/// The longest time a page or zone may have taken, in milliseconds.
pub const MAX_SPAN_MS: u64 = 366 * 24 * 3_600_000;

/// A job's id as a caller gives it.
pub fn job_id(text: &str) -> Result<JobId, Error> {
    if text.is_empty() || text.len() > MAX_ID {
        return Err(Error::field("job_id", format!("must have 1 to {MAX_ID} bytes")));
    }
    Ok(JobId::new(text))
}

/// An id that may be left out.
pub fn id_in<'a>(field: &'static str, id: &'a str) -> Result<Option<&'a str>, Error> {
    if id.len() > MAX_ID {
        return Err(Error::field(field, format!("must have at most {MAX_ID} bytes")));
    }
    if id.chars().any(text::is_invisible) {
        return Err(Error::field(field, "must not have control characters or characters that cannot be seen"));
    }
    Ok((!id.is_empty()).then_some(id))
}

/// The least time between two messages, as a caller gives it.
pub fn interval_in(interval: Option<prost_types::Duration>) -> Result<Duration, Error> {
    let Some(interval) = interval else { return Ok(Duration::ZERO) };
    Duration::try_from(interval)
        .ok()
        .filter(|interval| *interval <= MAX_INTERVAL)
        .ok_or_else(|| Error::field("min_interval", format!("must be 0 to {} seconds", MAX_INTERVAL.as_secs())))
}

/// The interval asked for, within its bounds.
pub fn interval_within(
    field: &'static str,
    asked: Option<prost_types::Duration>,
    (default, least, most): (Duration, Duration, Duration),
) -> Result<Duration, Error> {
    let Some(asked) = asked else { return Ok(default) };
    Duration::try_from(asked).ok().filter(|asked| (least..=most).contains(asked)).ok_or_else(|| {
        let (least, most) = (least.as_secs_f32(), most.as_secs_f32());
        Error::field(field, format!("must be {least} to {most} seconds"))
    })
}

/// A format; unknown ones are refused.
pub fn format_in(field: &'static str, format: i32) -> Result<Format, Error> {
    match v1::ResultFormat::try_from(format) {
        Ok(v1::ResultFormat::Json) => Ok(Format::Json),
        Ok(v1::ResultFormat::Markdown) => Ok(Format::Markdown),
        Ok(v1::ResultFormat::Text) => Ok(Format::Text),
        Ok(v1::ResultFormat::Html) => Ok(Format::Html),
        Ok(v1::ResultFormat::Unspecified) | Err(_) => Err(Error::field(field, "must name a known format")),
    }
}

/// A lane; `None` leaves the choice to the server.
pub fn lane_in(lane: i32) -> Result<Option<Lane>, Error> {
    match v1::Lane::try_from(lane) {
        Ok(v1::Lane::Unspecified) => Ok(None),
        Ok(v1::Lane::Premium) => Ok(Some(Lane::Premium)),
        Ok(v1::Lane::Normal) => Ok(Some(Lane::Normal)),
        Ok(v1::Lane::Large) => Ok(Some(Lane::Large)),
        Err(_) => Err(Error::field("lane", "must be a known lane")),
    }
}

/// A state of a filter.
pub fn state_in(state: i32) -> Result<State, Error> {
    match v1::JobState::try_from(state) {
        Ok(v1::JobState::Queued) => Ok(State::Queued),
        Ok(v1::JobState::Running) => Ok(State::Running),
        Ok(v1::JobState::Cancelling) => Ok(State::Cancelling),
        Ok(v1::JobState::Succeeded) => Ok(State::Succeeded),
        Ok(v1::JobState::Failed) => Ok(State::Failed),
        Ok(v1::JobState::Cancelled) => Ok(State::Cancelled),
        Ok(v1::JobState::Unspecified) | Err(_) => Err(Error::field("states", "must be known states")),
    }
}

/// The stage of a report.
pub fn stage_in(stage: i32) -> Result<Stage, Error> {
    match v1::Stage::try_from(stage) {
        Ok(v1::Stage::Analyse) => Ok(Stage::Analyse),
        Ok(v1::Stage::Extract) => Ok(Stage::Extract),
        Ok(v1::Stage::Merge) => Ok(Stage::Merge),
        Ok(v1::Stage::Export) => Ok(Stage::Export),
        Ok(v1::Stage::Unspecified | v1::Stage::Queued | v1::Stage::Done) | Err(_) => {
            Err(Error::field("progress.stage", "must be ANALYSE, EXTRACT, MERGE or EXPORT"))
        }
    }
}

/// Why an attempt or an export failed.
pub fn error_in(error: Option<v1::JobError>) -> Result<JobError, Error> {
    let error = error.ok_or_else(|| Error::field("error", "must be set"))?;
    let code_fits = !error.code.is_empty()
        && error.code.len() <= MAX_WORD
        && error.code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if !code_fits {
        return Err(Error::field("error.code", "must be 1 to 64 of [A-Z0-9_]"));
    }
    let message = text("error.message", error.message, MAX_SENTENCE)?;
    Ok(JobError { code: error.code.into(), message, retryable: error.retryable })
}

pub fn page_in(page: Option<v1::Page>) -> Result<Page, Error> {
    let page = page.ok_or_else(|| Error::field("page.page", "must be set"))?;
    let number = count("page.number", page.number)?;
    if page.zones.len() > MAX_ZONES {
        return Err(Error::field("page.zones", format!("must be at most {MAX_ZONES}")));
    }
    if page.warnings.len() > MAX_PAGE_WARNINGS {
        return Err(Error::field("page.warnings", format!("must be at most {MAX_PAGE_WARNINGS}")));
    }
    let warnings =
        page.warnings.into_iter().map(|warning| text("page.warnings", warning, MAX_SENTENCE).map(String::from));
    Ok(Page {
        number,
        width: points("page.width", page.width)?,
        height: points("page.height", page.height)?,
        zones: page.zones.into_iter().map(zone_in).collect::<Result<_, _>>()?,
        duration_ms: span_in(page.duration),
        warnings: warnings.collect::<Result<_, _>>()?,
    })
}

pub fn zone_in(zone: v1::Zone) -> Result<Zone, Error> {
    let (kind, status) = (zone.kind(), zone.status());
    let corners = zone.bounding_box.unwrap_or_default();
    let bbox = [corners.x0, corners.y0, corners.x1, corners.y1];
    if bbox.iter().any(|edge| !edge.is_finite() || edge.abs() > MAX_POINTS) {
        return Err(Error::field("zone.bounding_box", "must be numbers of points"));
    }
    if !(0.0..=1.0).contains(&zone.confidence) {
        return Err(Error::field("zone.confidence", "must be 0 to 1"));
    }
    Ok(Zone {
        id: word("zone.zone_id", zone.zone_id)?,
        index: count("zone.index", zone.index)?,
        page: count("zone.page", zone.page)?,
        bbox,
        kind: zone_kind_in(kind)?,
        tool: word("zone.tool", zone.tool)?,
        status: zone_status_in(status)?,
        confidence: zone.confidence,
        duration_ms: span_in(zone.duration),
        note: text("zone.note", zone.note, MAX_SENTENCE)?,
    })
}

fn zone_kind_in(kind: v1::ZoneKind) -> Result<ZoneKind, Error> {
    match kind {
        v1::ZoneKind::Heading => Ok(ZoneKind::Heading),
        v1::ZoneKind::Paragraph => Ok(ZoneKind::Paragraph),
        v1::ZoneKind::List => Ok(ZoneKind::List),
        v1::ZoneKind::Table => Ok(ZoneKind::Table),
        v1::ZoneKind::Figure => Ok(ZoneKind::Figure),
        v1::ZoneKind::Header => Ok(ZoneKind::Header),
        v1::ZoneKind::Footer => Ok(ZoneKind::Footer),
        v1::ZoneKind::Scan => Ok(ZoneKind::Scan),
        v1::ZoneKind::Unspecified => Err(Error::field("zone.kind", "must be a known kind")),
    }
}

fn zone_status_in(status: v1::ZoneStatus) -> Result<ZoneStatus, Error> {
    match status {
        v1::ZoneStatus::Processing => Ok(ZoneStatus::Processing),
        v1::ZoneStatus::Completed => Ok(ZoneStatus::Completed),
        v1::ZoneStatus::Skipped => Ok(ZoneStatus::Skipped),
        v1::ZoneStatus::Failed => Ok(ZoneStatus::Failed),
        v1::ZoneStatus::Unspecified => Err(Error::field("zone.status", "must be a known status")),
    }
}

/// A number that counts from 1.
fn count(field: &'static str, number: i32) -> Result<u32, Error> {
    u32::try_from(number).ok().filter(|number| *number > 0).ok_or_else(|| Error::field(field, "must be at least 1"))
}

fn points(field: &'static str, length: f64) -> Result<f64, Error> {
    if (0.0..=MAX_POINTS).contains(&length) {
        Ok(length)
    } else {
        Err(Error::field(field, "must be a number of points"))
    }
}

fn word(field: &'static str, word: String) -> Result<Box<str>, Error> {
    if word.is_empty() || word.len() > MAX_WORD {
        return Err(Error::field(field, format!("must have 1 to {MAX_WORD} bytes")));
    }
    Ok(word.into())
}

fn text(field: &'static str, text: String, limit: usize) -> Result<Box<str>, Error> {
    if text.len() > limit {
        return Err(Error::field(field, format!("must have at most {limit} bytes")));
    }
    Ok(text.into())
}

/// Milliseconds; negative and absent spans are 0, absurd ones a year: no estimate is to be spoilt by them.
fn span_in(span: Option<prost_types::Duration>) -> u64 {
    let span = span.unwrap_or_default();
    u64::try_from(span.seconds)
        .unwrap_or(0)
        .saturating_mul(1000)
        .saturating_add(u64::try_from(span.nanos).unwrap_or(0) / 1_000_000)
        .min(MAX_SPAN_MS)
}

#[cfg(test)]
mod tests {
    use courant_engine::filter;
    use proptest::prelude::*;

    use super::*;

    fn zone() -> v1::Zone {
        v1::Zone {
            zone_id: "p1z1".into(),
            index: 1,
            page: 1,
            bounding_box: Some(v1::BoundingBox { x0: 0.0, y0: 0.0, x1: 10.0, y1: 10.0 }),
            kind: v1::ZoneKind::Paragraph.into(),
            tool: "text-layer".into(),
            status: v1::ZoneStatus::Completed.into(),
            confidence: 0.9,
            duration: Some(prost_types::Duration { seconds: 0, nanos: 2_000_000 }),
            note: String::new(),
        }
    }

    fn refused(change: impl Fn(&mut v1::Zone)) -> String {
        let mut zone = zone();
        change(&mut zone);
        zone_in(zone).unwrap_err().to_string()
    }

    #[test]
    fn a_good_zone_is_taken() {
        assert_eq!(zone_in(zone()).unwrap().duration_ms, 2);
    }

    #[test]
    fn absurd_zones_are_refused_by_field() {
        assert_eq!(refused(|zone| zone.confidence = f64::NAN), "zone.confidence must be 0 to 1");
        assert_eq!(refused(|zone| zone.page = 0), "zone.page must be at least 1");
        assert_eq!(refused(|zone| zone.index = -1), "zone.index must be at least 1");
        assert_eq!(refused(|zone| zone.kind = 99), "zone.kind must be a known kind");
        assert_eq!(refused(|zone| zone.tool = "x".repeat(65)), "zone.tool must have 1 to 64 bytes");
        assert_eq!(
            refused(|zone| zone.bounding_box = Some(v1::BoundingBox { x0: f64::INFINITY, ..Default::default() })),
            "zone.bounding_box must be numbers of points"
        );
    }

    #[test]
    fn a_page_without_number_or_with_too_many_zones_is_refused() {
        assert!(page_in(None).is_err());
        let page = v1::Page { number: 1, zones: vec![zone(); MAX_ZONES + 1], ..Default::default() };
        assert_eq!(page_in(Some(page)).unwrap_err().to_string(), "page.zones must be at most 1000");
    }

    proptest! {
        /// Filters are read where no type of the wire is known.
        #[test]
        fn filters_read_times_as_the_wire_does(
            text in "[+-]?[0-9]{2,6}-[01][0-9]-[0-3][0-9]([Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,11})?( ?[Zz]|[+-][0-2][0-9](:?[0-6][0-9])?)?)?",
        ) {
            let read = filter::parse(&format!("create_time = \"{text}\""));
            match text.parse::<prost_types::Timestamp>() {
                Ok(at) => prop_assert_eq!(read.unwrap().unwrap().to_string(), format!("create_time = \"{at}\"")),
                Err(_) => prop_assert!(read.is_err(), "{} is read as {:?}", text, read),
            }
        }
    }
}
