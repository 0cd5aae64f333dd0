//! What must hold of everything this crate parses itself, whatever the bytes. For the fuzz targets, and for the tests that
//! run the same without a fuzzer. A broken law panics.

use std::time::Duration;

use crate::artifact::{Bbox, PageArtifact};
use crate::ocr::{OcrError, Reading, markdown, merged, mistral, tesseract, tsv};
use crate::protocol::{ChildMessage, Instruction, Request};
use crate::text;

/// A law, by the name of its fuzz target and of its corpus.
pub type Invariant = fn(&[u8]);

pub const ALL: [(&str, Invariant); 7] = [
    ("tesseract_table", tesseract_table),
    ("mistral_answer", mistral_answer),
    ("ocr_markdown", ocr_markdown),
    ("child_line", child_line),
    ("instruction_line", instruction_line),
    ("languages", languages),
    ("running_text", running_text),
];

/// Tesseract's table is a reading within its page or an error.
pub fn tesseract_table(bytes: &[u8]) {
    is_sane(tsv::parse(&String::from_utf8_lossy(bytes), 1700, 2200));
}

/// An answer of Mistral's service is a reading within its page or an error.
pub fn mistral_answer(bytes: &[u8]) {
    is_sane(mistral::answer(bytes, 1.0));
}

/// Markdown has blocks, whose text is no longer than the Markdown but for what entities stand for.
pub fn ocr_markdown(bytes: &[u8]) {
    let markdown = String::from_utf8_lossy(bytes);
    let length: usize = markdown::contents(&markdown).iter().map(|content| format!("{content:?}").len()).sum();
    assert!(length <= 1000 + 200 * markdown.len(), "{length} bytes from {}", markdown.len());
}

/// A line of a child is understood or refused; what is understood can be said again and means the same.
pub fn child_line(bytes: &[u8]) {
    if let Ok(said) = serde_json::from_slice::<ChildMessage>(bytes) {
        let again = serde_json::to_vec(&said).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<ChildMessage>(&again).ok(), Some(said));
    }
}

/// The same for what a child is told.
pub fn instruction_line(bytes: &[u8]) {
    if let Ok(instruction) = serde_json::from_slice::<Instruction>(bytes) {
        let again = serde_json::to_vec(&instruction).expect("what was read can be written");
        assert!(serde_json::from_slice::<Instruction>(&again).is_ok_and(|again| again == instruction));
    }
    if let Ok(request) = serde_json::from_slice::<Request>(bytes) {
        let again = serde_json::to_vec(&request).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<Request>(&again).ok(), Some(request));
    }
}

/// What passes for languages are names that can be arguments of a program and no paths.
pub fn languages(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(names) = tesseract::languages(&text) {
        assert_eq!(names.join("+"), text);
        assert!(names.iter().all(|name| !name.is_empty() && !name.contains(['/', '.', '-', ' ', '\0'])));
    }
}

/// Running text has no control characters but line feeds, and is folded.
pub fn running_text(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let joined = text::join(text.lines());
    assert!(!joined.chars().any(|c| c.is_control() && c != '\n'), "{joined:?}");
    assert!(!joined.contains("  ") && joined.trim_end() == joined, "{joined:?}");
    for share in [text::unreadable_share(&text), text::wordlike_share(&text)] {
        assert!((0.0..=1.0).contains(&share));
    }
}

/// Places and confidences are shares, and the reading can become zones of a page.
fn is_sane(reading: Result<Reading, OcrError>) {
    let Ok(reading) = reading else { return };
    let is_share = |value: f64| (0.0..=1.0).contains(&value);
    let is_place = |Bbox { x0, y0, x1, y1 }: Bbox| [x0, y0, x1, y1].into_iter().all(is_share) && x0 <= x1 && y0 <= y1;
    assert!(is_share(reading.confidence) && reading.cost_usd.is_finite());
    for block in &reading.blocks {
        assert!(is_place(block.bbox) && is_share(block.confidence), "{block:?}");
        assert!(block.words.iter().all(|word| is_place(word.bbox) && is_share(word.confidence)), "{block:?}");
    }
    let mut page = PageArtifact::unreadable(1, 0.0, "");
    (page.width, page.height) = (612.0, 792.0);
    let blocks = reading.blocks.len();
    let page = merged(page, reading, "ocr:test", Duration::from_millis(1));
    assert_eq!(page.zones.len(), if blocks == 0 { 0 } else { blocks + 1 }, "a scan and its text");
    assert!(page.zones.iter().zip(1..).all(|(zone, index)| zone.index == index && is_share(zone.confidence)));
}
