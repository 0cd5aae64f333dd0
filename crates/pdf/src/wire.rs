//! From stored pages to the wire's types. By hand, so that neither decides the other.

use std::time::Duration;

use courant_worker::{BoundingBox, Page, Zone as WireZone, ZoneKind, ZoneStatus};

use crate::artifact::{Bbox, Kind, PageArtifact, Status, Zone};

/// The most zones of a page that are reported; the artifact holds them all.
pub(crate) const MAX_ZONES: usize = 1000;

pub(crate) fn page(page: &PageArtifact) -> Page {
    Page {
        number: number(page.number),
        width: page.width,
        height: page.height,
        zones: page.zones.iter().take(MAX_ZONES).map(|zone| self::zone(zone, page.number)).collect(),
        duration: Some(duration(page.duration_ms)),
        warnings: page.warnings.clone(),
    }
}

pub(crate) fn zone(zone: &Zone, page: u32) -> WireZone {
    WireZone {
        zone_id: zone.id.clone(),
        index: number(zone.index),
        page: number(page),
        bounding_box: Some(bounding_box(&zone.bbox)),
        kind: kind(zone.kind).into(),
        tool: zone.tool.clone(),
        status: status(zone.status).into(),
        confidence: zone.confidence.clamp(0.0, 1.0),
        duration: Some(duration(zone.duration_ms)),
        note: zone.note.clone(),
    }
}

/// A zone whose work has just begun.
pub(crate) fn begun(zone: &Zone, page: u32) -> WireZone {
    WireZone { status: ZoneStatus::Processing.into(), duration: None, ..self::zone(zone, page) }
}

fn bounding_box(bbox: &Bbox) -> BoundingBox {
    BoundingBox { x0: bbox.x0, y0: bbox.y0, x1: bbox.x1, y1: bbox.y1 }
}

fn kind(kind: Kind) -> ZoneKind {
    match kind {
        Kind::Heading => ZoneKind::Heading,
        Kind::Paragraph => ZoneKind::Paragraph,
        Kind::List => ZoneKind::List,
        Kind::Table => ZoneKind::Table,
        Kind::Figure => ZoneKind::Figure,
        Kind::Header => ZoneKind::Header,
        Kind::Footer => ZoneKind::Footer,
        Kind::Scan => ZoneKind::Scan,
    }
}

fn status(status: Status) -> ZoneStatus {
    match status {
        Status::Completed => ZoneStatus::Completed,
        Status::Skipped => ZoneStatus::Skipped,
    }
}

fn number(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn duration(millis: f64) -> prost_types::Duration {
    let duration = Duration::try_from_secs_f64(millis / 1000.0).unwrap_or_default();
    prost_types::Duration::try_from(duration).unwrap_or_default()
}
