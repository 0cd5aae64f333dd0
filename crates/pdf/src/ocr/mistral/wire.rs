//! The messages of the `ocr` endpoint, as far as they are used.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::markdown;
use super::super::{OcrError, ReadBlock, ReadContent, Reading};
use crate::artifact::Bbox;

/// What is assumed of text when the service does not say how sure it is.
const UNSAID: f64 = 0.8;
const PAGE: Bbox = Bbox { x0: 0.0, y0: 0.0, x1: 1.0, y1: 1.0 };
/// More blocks than any page has.
const MAX_BLOCKS: usize = 5_000;

/// A request to read one picture.
pub(super) fn request(model: &str, png_base64: &str) -> Value {
    json!({
        "model": model,
        "document": {"type": "image_url", "image_url": format!("data:image/png;base64,{png_base64}")},
        "include_image_base64": false,
        "include_blocks": true,
        "confidence_scores_granularity": "word",
    })
}

#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pages: Vec<Page>,
    #[serde(default)]
    usage_info: Option<Usage>,
}

#[derive(Debug, Deserialize)]
struct Usage {
    pages_processed: u32,
}

#[derive(Debug, Deserialize)]
struct Page {
    markdown: String,
    #[serde(default)]
    dimensions: Option<Dimensions>,
    #[serde(default)]
    blocks: Option<Vec<Block>>,
    #[serde(default)]
    confidence_scores: Option<Scores>,
}

#[derive(Debug, Deserialize)]
struct Dimensions {
    height: f64,
    width: f64,
}

#[derive(Debug, Deserialize)]
struct Block {
    #[serde(rename = "type")]
    kind: String,
    content: String,
    top_left_x: f64,
    top_left_y: f64,
    bottom_right_x: f64,
    bottom_right_y: f64,
}

#[derive(Debug, Deserialize)]
struct Scores {
    average_page_confidence_score: f64,
    #[serde(default)]
    word_confidence_scores: Option<Vec<Score>>,
}

/// How sure it is of a word that begins at this character of the page's Markdown.
#[derive(Debug, Deserialize)]
struct Score {
    text: String,
    confidence: f64,
    start_index: usize,
}

/// What the answer says of the one page that was sent.
pub(super) fn reading(answer: Answer, usd_per_1000_pages: f64) -> Result<Reading, OcrError> {
    let pages = answer.usage_info.map_or(1, |usage| usage.pages_processed);
    let cost_usd = f64::from(pages) * usd_per_1000_pages / 1000.0;
    let [page] = &answer.pages[..] else {
        return Err(OcrError::ProtocolViolation(format!("{} pages for one picture", answer.pages.len())));
    };
    let overall = page.confidence_scores.as_ref().map_or(UNSAID, |scores| scores.average_page_confidence_score);
    let mut blocks = match &page.blocks {
        Some(blocks) if blocks.len() > MAX_BLOCKS => return Err(OcrError::ProtocolViolation("too many blocks".into())),
        Some(blocks) if !blocks.is_empty() => with_places(page, blocks, overall),
        _ => read_blocks(&page.markdown, "text", PAGE, overall),
    };
    blocks.retain(|block| block.confidence.is_finite());
    let confidence = if blocks.is_empty() { 0.0 } else { overall.clamp(0.0, 1.0) };
    Ok(Reading { blocks, confidence, cost_usd })
}

fn with_places(page: &Page, blocks: &[Block], overall: f64) -> Vec<ReadBlock> {
    let (width, height) = page.dimensions.as_ref().map_or((0.0, 0.0), |size| (size.width, size.height));
    let share = |value: f64, side: f64| if side > 0.0 { (value / side).clamp(0.0, 1.0) } else { 0.0 };
    let mut from = 0;
    let mut all = Vec::new();
    for block in blocks {
        let bbox = Bbox {
            x0: share(block.top_left_x, width),
            y0: share(block.top_left_y, height),
            x1: share(block.bottom_right_x, width),
            y1: share(block.bottom_right_y, height),
        };
        let bbox = if bbox.area() > 0.0 { bbox } else { PAGE };
        let sure = match page.markdown.get(from..).and_then(|rest| rest.find(block.content.as_str())) {
            Some(at) => {
                let range = from + at..from + at + block.content.len();
                from = range.end;
                sure_of(page, range).unwrap_or(overall)
            }
            None => overall,
        };
        all.extend(read_blocks(&block.content, &block.kind, bbox, sure));
    }
    all
}

/// The mean over the words in a range of bytes of the Markdown. Places of words are counted in characters.
fn sure_of(page: &Page, range: std::ops::Range<usize>) -> Option<f64> {
    let scores = page.confidence_scores.as_ref()?.word_confidence_scores.as_ref()?;
    let first = page.markdown.get(..range.start)?.chars().count();
    let end = first + page.markdown.get(range)?.chars().count();
    let (mut sum, mut all) = (0.0, 0.0);
    for score in scores.iter().filter(|score| (first..end).contains(&score.start_index)) {
        #[allow(clippy::cast_precision_loss)]
        let weight = score.text.chars().count() as f64;
        sum += weight * score.confidence;
        all += weight;
    }
    (all > 0.0).then(|| sum / all)
}

/// A block of theirs as blocks of ours; most often one.
fn read_blocks(content: &str, kind: &str, bbox: Bbox, confidence: f64) -> Vec<ReadBlock> {
    let one =
        |content: ReadContent| ReadBlock { bbox, content, confidence: confidence.clamp(0.0, 1.0), words: Vec::new() };
    let text = || markdown::text(content);
    let contents = match kind {
        "image" => Vec::new(),
        "header" => vec![ReadContent::Header(text())],
        "footer" => vec![ReadContent::Footer(text())],
        "title" => match markdown::contents(content).into_iter().next() {
            Some(heading @ ReadContent::Heading(..)) => vec![heading],
            _ => vec![ReadContent::Heading(2, text())],
        },
        "equation" => vec![ReadContent::Paragraph(content.trim().to_owned())],
        _ => markdown::contents(content),
    };
    contents.into_iter().filter(|content| !is_empty(content)).map(one).collect()
}

fn is_empty(content: &ReadContent) -> bool {
    match content {
        ReadContent::Heading(_, text)
        | ReadContent::Paragraph(text)
        | ReadContent::Preformatted(text)
        | ReadContent::Header(text)
        | ReadContent::Footer(text) => text.trim().is_empty(),
        ReadContent::List(items) => items.is_empty(),
        ReadContent::Table(rows) => rows.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: Value) -> Result<Reading, OcrError> {
        reading(serde_json::from_value(answer).unwrap(), 2.0)
    }

    #[test]
    fn blocks_keep_their_places_and_get_the_confidence_of_their_words() {
        let reading = read(json!({
            "model": "m", "usage_info": {"pages_processed": 1, "doc_size_bytes": 5},
            "pages": [{
                "index": 0, "images": [], "markdown": "# Überschrift\n\nfoo bar",
                "dimensions": {"dpi": 200, "width": 1000, "height": 2000},
                "confidence_scores": {"average_page_confidence_score": 0.9, "minimum_page_confidence_score": 0.5,
                    "word_confidence_scores": [
                        {"text": "Überschrift", "confidence": 1.0, "start_index": 2},
                        {"text": "foo", "confidence": 0.5, "start_index": 15},
                        {"text": "bar", "confidence": 0.7, "start_index": 19}]},
                "blocks": [
                    {"type": "title", "content": "# Überschrift", "top_left_x": 100, "top_left_y": 200,
                        "bottom_right_x": 500, "bottom_right_y": 300},
                    {"type": "text", "content": "foo bar", "top_left_x": 100, "top_left_y": 400,
                        "bottom_right_x": 5000, "bottom_right_y": 500}]
            }]
        }))
        .unwrap();
        let [title, text] = &reading.blocks[..] else { panic!("{reading:?}") };
        assert_eq!(title.content, ReadContent::Heading(1, "Überschrift".into()));
        assert_eq!((title.bbox.x0, title.bbox.y0, title.bbox.x1, title.confidence), (0.1, 0.1, 0.5, 1.0));
        assert_eq!((text.bbox.x1, (text.confidence * 10.0).round()), (1.0, 6.0));
        assert_eq!((reading.confidence, reading.cost_usd), (0.9, 0.002));
    }

    #[test]
    fn without_blocks_the_markdown_is_taken() {
        let reading = read(json!({"pages": [{"index": 0, "markdown": "one\n\n- two\n- three\n\n![i](i.jpg)",
            "images": [], "dimensions": null}]}))
        .unwrap();
        assert_eq!(reading.blocks.len(), 2);
        assert_eq!((reading.blocks[0].bbox, reading.blocks[0].confidence), (PAGE, UNSAID));
    }

    #[test]
    fn another_number_of_pages_makes_no_sense() {
        assert!(matches!(read(json!({"pages": []})), Err(OcrError::ProtocolViolation(_))));
        let empty = read(json!({"pages": [{"index": 0, "markdown": "", "images": []}]})).unwrap();
        assert_eq!((empty.blocks.len(), empty.confidence), (0, 0.0));
    }
}
