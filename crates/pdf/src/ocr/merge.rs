//! From what an engine has read to the zones of its page.

use std::time::Duration;

use super::{OcrError, ReadBlock, ReadContent, ReadWord, Reading};
use crate::artifact::{Bbox, Cell, Kind, PageArtifact, Status, Word, Zone};
use crate::text::unreadable_share;
use crate::zones::{NO_TOOL, TEXT_LAYER, UNREADABLE_WARNING, empty, millis, renumber, round};

/// The note on a scan in which the engine saw no text.
const NO_TEXT: &str = "no text was found in this region";

/// The page with what was read: its scan, and after it the zones of its text. A text layer that cannot be read gives way;
/// one that can stays, and what the engine has read in the same places is left out.
pub(crate) fn merged(page: PageArtifact, reading: Reading, tool: &str, took: Duration) -> PageArtifact {
    let frame = Bbox { x0: 0.0, y0: 0.0, x1: page.width, y1: page.height };
    let mut page = page;
    let blocks: Vec<ReadBlock> = blocks_outside(&reading.blocks, &page);
    let anything = !blocks.is_empty();
    if anything {
        page.zones.retain(|zone| zone.tool != TEXT_LAYER || unreadable_share(&zone.text) <= UNREADABLE_WARNING);
    }
    let before = page.zones.iter().position(|zone| zone.kind == Kind::Scan);
    let Some(mut scan) = before.map(|at| page.zones.remove(at)).or_else(|| anything.then(|| empty(frame, Kind::Scan)))
    else {
        return page;
    };
    (scan.tool, scan.status, scan.duration_ms) = (tool.to_owned(), Status::Completed, millis(took));
    scan.note = if anything { String::new() } else { NO_TEXT.into() };
    scan.confidence = if anything { round(reading.confidence.clamp(0.0, 1.0)) } else { 0.0 };
    let chars: usize = blocks.iter().map(weight).sum();
    let share = |block: &ReadBlock| took.mul_f64(weight(block) as f64 / chars.max(1) as f64);
    let read: Vec<Zone> = blocks.iter().map(|block| zone(block, &frame, tool, share(block))).collect();
    let foot = page.zones.iter().position(|zone| zone.kind == Kind::Footer);
    let at = before.or(foot).unwrap_or(page.zones.len());
    page.zones.splice(at..at, std::iter::once(scan).chain(read));
    page.duration_ms = round(page.duration_ms + millis(took));
    renumber(&mut page);
    page
}

/// The page when it could not be read: its scan says why, or the page does when it has none.
pub(crate) fn failed(mut page: PageArtifact, error: &OcrError, took: Duration) -> PageArtifact {
    match page.zones.iter_mut().find(|zone| zone.kind == Kind::Scan) {
        Some(scan) => {
            scan.note = error.note().into();
            (scan.tool, scan.status, scan.duration_ms) = (NO_TOOL.into(), Status::Skipped, millis(took));
        }
        None => page.warnings.push(error.note().replace("this region", "what its pictures may say")),
    }
    page
}

/// What was read where no readable text of the file stands.
fn blocks_outside(blocks: &[ReadBlock], page: &PageArtifact) -> Vec<ReadBlock> {
    let readable = |zone: &&Zone| {
        zone.tool == TEXT_LAYER && !zone.text.is_empty() && unreadable_share(&zone.text) <= UNREADABLE_WARNING
    };
    let share = |bbox: &Bbox| Bbox {
        x0: bbox.x0 / page.width,
        y0: bbox.y0 / page.height,
        x1: bbox.x1 / page.width,
        y1: bbox.y1 / page.height,
    };
    let taken: Vec<Bbox> = page.zones.iter().filter(readable).map(|zone| share(&zone.bbox)).collect();
    let free = |block: &&ReadBlock| !taken.iter().any(|zone| zone.holds_middle_of(&block.bbox));
    blocks.iter().filter(free).cloned().collect()
}

fn zone(block: &ReadBlock, frame: &Bbox, tool: &str, took: Duration) -> Zone {
    let place = |share: &Bbox| {
        let on = |value: f64, side: f64| (value.clamp(0.0, 1.0) * side * 100.0).round() / 100.0;
        Bbox {
            x0: on(share.x0, frame.x1),
            y0: on(share.y0, frame.y1),
            x1: on(share.x1, frame.x1),
            y1: on(share.y1, frame.y1),
        }
    };
    let word = |word: &ReadWord| Word {
        text: word.text.clone(),
        bbox: place(&word.bbox),
        confidence: round(word.confidence.clamp(0.0, 1.0)),
    };
    let mut zone = empty(place(&block.bbox), Kind::Paragraph);
    fill(&mut zone, &block.content);
    zone.tool = tool.to_owned();
    zone.confidence = round(block.confidence.clamp(0.0, 1.0));
    zone.duration_ms = millis(took);
    zone.words = block.words.iter().map(word).collect();
    zone
}

fn fill(zone: &mut Zone, content: &ReadContent) {
    match content {
        ReadContent::Heading(level, text) => {
            (zone.kind, zone.level, zone.text) = (Kind::Heading, Some((*level).clamp(1, 6)), text.clone());
        }
        ReadContent::Paragraph(text) => zone.text.clone_from(text),
        ReadContent::Preformatted(text) => (zone.preformatted, zone.text) = (true, text.clone()),
        ReadContent::Header(text) => (zone.kind, zone.text) = (Kind::Header, text.clone()),
        ReadContent::Footer(text) => (zone.kind, zone.text) = (Kind::Footer, text.clone()),
        ReadContent::List(items) => {
            zone.kind = Kind::List;
            zone.text = items.iter().map(|item| item.text.as_str()).collect::<Vec<_>>().join("\n");
            zone.items.clone_from(items);
        }
        ReadContent::Table(rows) => {
            let row = |row: &Vec<Cell>| row.iter().map(|cell| cell.text.as_str()).collect::<Vec<_>>().join("\t");
            zone.kind = Kind::Table;
            zone.text = rows.iter().map(row).collect::<Vec<_>>().join("\n");
            zone.rows.clone_from(rows);
        }
    }
}

fn weight(block: &ReadBlock) -> usize {
    match &block.content {
        ReadContent::Heading(_, text)
        | ReadContent::Paragraph(text)
        | ReadContent::Preformatted(text)
        | ReadContent::Header(text)
        | ReadContent::Footer(text) => text.chars().count(),
        ReadContent::List(items) => items.iter().map(|item| item.text.chars().count()).sum(),
        ReadContent::Table(rows) => rows.iter().flatten().map(|cell| cell.text.chars().count()).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zones::NO_OCR;

    const TOOL: &str = "ocr:test";
    const TOOK: Duration = Duration::from_millis(100);

    fn page(zones: Vec<Zone>) -> PageArtifact {
        let mut page = PageArtifact::unreadable(4, 5.0, "");
        (page.width, page.height, page.zones) = (200.0, 400.0, zones);
        (page.unreadable, page.warnings) = (false, Vec::new());
        page
    }

    fn scan() -> Zone {
        let mut scan = empty(Bbox { x0: 0.0, y0: 0.0, x1: 200.0, y1: 400.0 }, Kind::Scan);
        (scan.tool, scan.status, scan.note) = (NO_TOOL.into(), Status::Skipped, NO_OCR.into());
        scan
    }

    fn text(y: f64, text: &str) -> Zone {
        let mut zone = empty(Bbox { x0: 20.0, y0: y, x1: 180.0, y1: y + 20.0 }, Kind::Paragraph);
        zone.text = text.into();
        zone
    }

    fn reading(blocks: &[(f64, &str)]) -> Reading {
        let block = |(y, text): &(f64, &str)| {
            let bbox = Bbox { x0: 0.1, y0: *y, x1: 0.9, y1: y + 0.05 };
            let words = vec![ReadWord { text: (*text).into(), bbox, confidence: 0.9 }];
            ReadBlock { bbox, content: ReadContent::Paragraph((*text).into()), confidence: 0.9, words }
        };
        Reading { blocks: blocks.iter().map(block).collect(), confidence: 0.9, cost_usd: 0.0 }
    }

    #[test]
    fn a_scan_is_followed_by_its_text() {
        let made = merged(page(vec![scan()]), reading(&[(0.1, "one"), (0.5, "three more")]), TOOL, TOOK);
        let ids: Vec<(&str, Kind)> = made.zones.iter().map(|zone| (zone.id.as_str(), zone.kind)).collect();
        assert_eq!(ids, [("p4z1", Kind::Scan), ("p4z2", Kind::Paragraph), ("p4z3", Kind::Paragraph)]);
        assert!(made.zones.iter().all(|zone| zone.tool == TOOL && zone.status == Status::Completed));
        assert!(made.zones.iter().all(|zone| zone.confidence == 0.9 && zone.note.is_empty()));
        let word = &made.zones[1].words[0];
        assert_eq!((word.bbox.x0, word.bbox.y0, word.bbox.x1), (20.0, 40.0, 180.0));
        assert_eq!((made.zones[0].duration_ms, made.duration_ms), (100.0, 105.0));
    }

    #[test]
    fn text_of_the_file_stays_where_it_can_be_read_and_gives_way_where_not() {
        let stamped = merged(page(vec![text(40.0, "stamp")]), reading(&[(0.1, "stanp"), (0.5, "body")]), TOOL, TOOK);
        let texts: Vec<&str> = stamped.zones.iter().map(|zone| zone.text.as_str()).collect();
        assert_eq!(texts, ["stamp", "", "body"]);
        let garbage = merged(page(vec![text(40.0, "\u{E001}\u{E002}")]), reading(&[(0.1, "word")]), TOOL, TOOK);
        let texts: Vec<&str> = garbage.zones.iter().map(|zone| zone.text.as_str()).collect();
        assert_eq!(texts, ["", "word"]);
    }

    #[test]
    fn nothing_read_changes_nothing_but_the_scan() {
        let empty_scan = merged(page(vec![scan()]), reading(&[]), TOOL, TOOK);
        assert_eq!((empty_scan.zones[0].note.as_str(), empty_scan.zones[0].confidence), (NO_TEXT, 0.0));
        let untouched = page(vec![text(40.0, "\u{E001}")]);
        assert_eq!(merged(untouched.clone(), reading(&[]), TOOL, TOOK), untouched);
    }

    #[test]
    fn a_failure_is_said_on_the_scan_or_on_the_page() {
        let on_scan = failed(page(vec![scan()]), &OcrError::TimedOut, TOOK);
        assert_eq!(on_scan.zones[0].note, OcrError::TimedOut.note());
        assert_eq!((on_scan.zones[0].status, on_scan.zones[0].tool.as_str()), (Status::Skipped, NO_TOOL));
        let on_page = failed(page(vec![text(40.0, "\u{E001}")]), &OcrError::UsedUp, TOOK);
        assert_eq!(on_page.warnings.len(), 1);
    }
}
