//! Which placed pictures are figures, which are a scan, which are neither, and where figures stand in the reading order.

use super::{IMAGE, NO_OCR, NO_TOOL, empty};
use crate::artifact::{Bbox, Kind, Status, Zone};
use crate::backend::Image;

/// Pictures smaller than this, in points either way, are ornaments.
const MIN_FIGURE: f64 = 24.0;
/// Pictures closer than this are strips of one.
const STRIP_GAP: f64 = 1.0;
/// More pictures than this are a drawing made of dots; only the largest are looked at.
const MAX_IMAGES: usize = 400;
/// Fewer characters than this do not make a page of text.
pub(super) const SCAN_MAX_CHARS: usize = 10;
/// A picture over more than this share of the page is a scan, when there is no text.
const SCAN_MIN_COVER: f64 = 0.5;
/// A picture over more than this share of the page is its background, when there is text.
const BACKGROUND_COVER: f64 = 0.85;

/// Adds figures where they stand in the reading order, or one scan. Gives whether a picture lies under the whole page.
pub(super) fn place_pictures(zones: &mut Vec<Zone>, images: &[Image], frame: &Bbox, chars: usize) -> bool {
    let pictures = pictures(images, frame);
    let page_area = frame.area().max(1.0);
    if chars < SCAN_MAX_CHARS
        && let Some(scan) = pictures.iter().copied().reduce(merge)
        && pictures.iter().map(|picture| picture.bbox.area()).sum::<f64>() > SCAN_MIN_COVER * page_area
    {
        let mut zone = empty(scan.bbox, Kind::Scan);
        zone.tool = NO_TOOL.into();
        zone.status = Status::Skipped;
        zone.note = NO_OCR.into();
        zone.pixels = Some(scan.pixels);
        zones.push(zone);
        return true;
    }
    let mut covered = false;
    for picture in pictures {
        if chars >= SCAN_MAX_CHARS && picture.bbox.area() > BACKGROUND_COVER * page_area {
            covered = true;
            continue;
        }
        let mut zone = empty(picture.bbox, Kind::Figure);
        zone.tool = IMAGE.into();
        zone.confidence = 1.0;
        zone.pixels = Some(picture.pixels).filter(|[width, height]| *width > 0 && *height > 0);
        let at = zones.iter().position(|other| comes_after(other, &picture.bbox)).unwrap_or(zones.len());
        zones.insert(at, zone);
    }
    covered
}

/// Pictures large enough, clipped to the page, strips joined.
fn pictures(images: &[Image], frame: &Bbox) -> Vec<Image> {
    let clipped = |image: &Image| Image { bbox: image.bbox.clipped(frame), pixels: image.pixels };
    let mut all: Vec<Image> = images.iter().map(clipped).filter(|image| image.bbox.area() > 0.0).collect();
    all.sort_by(|a, b| b.bbox.area().total_cmp(&a.bbox.area()));
    all.truncate(MAX_IMAGES);
    let mut joined: Vec<Image> = Vec::new();
    for mut image in all {
        // What was joined may now touch others: look again until nothing does.
        while let Some(at) = joined.iter().position(|other| other.bbox.is_near(&image.bbox, STRIP_GAP)) {
            image = merge(joined.swap_remove(at), image);
        }
        joined.push(image);
    }
    joined.retain(|image| image.bbox.width() >= MIN_FIGURE && image.bbox.height() >= MIN_FIGURE);
    joined.sort_by(|a, b| a.bbox.y0.total_cmp(&b.bbox.y0).then(a.bbox.x0.total_cmp(&b.bbox.x0)));
    joined
}

fn merge(a: Image, b: Image) -> Image {
    let pixels = |image: &Image| u64::from(image.pixels[0]) * u64::from(image.pixels[1]);
    let larger = if pixels(&a) >= pixels(&b) { a } else { b };
    Image { bbox: a.bbox.around(&b.bbox), pixels: larger.pixels }
}

/// Whether a zone is read after a picture: the first one below it in the same column, or the footer.
fn comes_after(zone: &Zone, picture: &Bbox) -> bool {
    let same_column = zone.bbox.x0 < picture.x1 && picture.x0 < zone.bbox.x1;
    zone.kind == Kind::Footer
        || (zone.kind != Kind::Header && same_column && zone.bbox.y0 >= (picture.y0 + picture.y1) / 2.0)
}
