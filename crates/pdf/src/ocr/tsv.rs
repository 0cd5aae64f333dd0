//! Tesseract's table of what it has read: a row for each page, block, paragraph, line and word.

use super::{OcrError, ReadBlock, ReadContent, ReadWord, Reading};
use crate::artifact::Bbox;
use crate::text::{clean, join};

/// The level of a row that is a word.
const WORD: u32 = 5;
/// Columns of a row.
const COLUMNS: usize = 12;
/// More words than fit on any page.
const MAX_WORDS: usize = 100_000;
/// A paragraph of letters this much larger than most of the page, and no longer than this, is a heading.
const HEADING_SIZE: f64 = 1.5;
const TITLE_SIZE: f64 = 2.2;
const HEADING_MAX_CHARS: usize = 150;
/// Paragraphs the engine is less sure of are smudges and parts of drawings taken for letters.
const MIN_CONFIDENCE: f64 = 0.3;

/// A word with its place in the page's structure.
struct Row<'a> {
    block: u32,
    paragraph: u32,
    line: u32,
    place: [f64; 4],
    confidence: f64,
    text: &'a str,
}

/// What the table says of a picture that is so large. Rows that are no rows are an error: half a table is not a page.
pub fn parse(table: &str, width: u32, height: u32) -> Result<Reading, OcrError> {
    let mut rows = Vec::new();
    for line in table.lines().skip(1).filter(|line| !line.is_empty()) {
        if let Some(row) = row(line)? {
            rows.push(row);
        }
        if rows.len() > MAX_WORDS {
            return Err(OcrError::ProtocolViolation(format!("more than {MAX_WORDS} words on a page")));
        }
    }
    let usual = usual_height(&rows);
    let size = (f64::from(width.max(1)), f64::from(height.max(1)));
    let blocks: Vec<ReadBlock> = rows
        .chunk_by(|a, b| (a.block, a.paragraph) == (b.block, b.paragraph))
        .filter_map(|paragraph| block(paragraph, size, usual))
        .collect();
    let words = blocks.iter().flat_map(|block| &block.words);
    Ok(Reading { confidence: super::blocks::mean_confidence(words), blocks, cost_usd: 0.0 })
}

/// A word; nothing for rows of other levels and words without letters.
fn row(line: &str) -> Result<Option<Row<'_>>, OcrError> {
    let senseless = || OcrError::ProtocolViolation("not a row of a table of words".into());
    let mut cells = line.splitn(COLUMNS, '\t');
    let mut number = || -> Result<f64, OcrError> {
        let cell = cells.next().ok_or_else(senseless)?;
        cell.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(senseless)
    };
    let numbers: Vec<f64> = (0..COLUMNS - 1).map(|_| number()).collect::<Result<_, _>>()?;
    let [level, _, block, paragraph, line, _, left, top, width, height, confidence] = numbers[..] else {
        return Err(senseless());
    };
    if width < 0.0 || height < 0.0 {
        return Err(senseless());
    }
    let text = cells.next().unwrap_or("").trim();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = |number: f64| number as u32;
    if whole(level) != WORD || text.is_empty() || confidence < 0.0 {
        return Ok(None);
    }
    Ok(Some(Row {
        block: whole(block),
        paragraph: whole(paragraph),
        line: whole(line),
        place: [left, top, left + width, top + height],
        confidence: (confidence / 100.0).clamp(0.0, 1.0),
        text,
    }))
}

/// The height that most letters of the page have.
fn usual_height(rows: &[Row<'_>]) -> f64 {
    median(rows.iter().map(|row| row.place[3] - row.place[1]).collect()).unwrap_or(0.0)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn block(rows: &[Row<'_>], (width, height): (f64, f64), usual: f64) -> Option<ReadBlock> {
    let place = |[x0, y0, x1, y1]: [f64; 4]| {
        let inside = |value: f64| value.clamp(0.0, 1.0);
        Bbox { x0: inside(x0 / width), y0: inside(y0 / height), x1: inside(x1 / width), y1: inside(y1 / height) }
    };
    let words: Vec<ReadWord> = rows
        .iter()
        .map(|row| ReadWord { text: clean(row.text), bbox: place(row.place), confidence: row.confidence })
        .collect();
    let bbox = words.iter().map(|word| word.bbox).reduce(|a, b| a.around(&b))?;
    let lines = rows.chunk_by(|a, b| a.line == b.line);
    let lines: Vec<String> = lines.map(|line| line.iter().map(|row| row.text).collect::<Vec<_>>().join(" ")).collect();
    let text = join(&lines);
    let confidence = super::blocks::mean_confidence(&words);
    if confidence < MIN_CONFIDENCE || !text.chars().any(char::is_alphanumeric) {
        return None;
    }
    let size = median(rows.iter().map(|row| row.place[3] - row.place[1]).collect()).unwrap_or(0.0) / usual.max(1.0);
    let content = match size {
        size if text.chars().count() > HEADING_MAX_CHARS || size < HEADING_SIZE => ReadContent::Paragraph(text),
        size => ReadContent::Heading(if size < TITLE_SIZE { 2 } else { 1 }, text),
    };
    Some(ReadBlock { bbox, content, confidence, words })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n";

    fn table(rows: &[(u32, u32, u32, f64, &str)]) -> String {
        let row = |(n, (block, line, height, confidence, text)): (usize, &(u32, u32, u32, f64, &str))| {
            format!("5\t1\t{block}\t1\t{line}\t{n}\t{}\t{}\t40\t{height}\t{confidence}\t{text}\n", 50 * n, 100 * line)
        };
        let page = "1\t1\t0\t0\t0\t0\t0\t0\t1000\t2000\t-1\t\n";
        HEAD.to_owned() + page + &rows.iter().enumerate().map(row).collect::<String>()
    }

    #[test]
    fn words_become_paragraphs_with_places_and_the_engines_confidence() {
        let text = table(&[
            (1, 1, 60, 90.0, "Title"),
            (2, 2, 20, 96.0, "an"),
            (2, 2, 20, 92.0, "exam-"),
            (2, 3, 20, 91.5, "ple."),
            (3, 4, 20, 12.0, "~|"),
            (4, 5, 20, 99.0, "—"),
        ]);
        let reading = parse(&text, 1000, 2000).unwrap();
        let contents: Vec<&ReadContent> = reading.blocks.iter().map(|block| &block.content).collect();
        let expected = [&ReadContent::Heading(1, "Title".into()), &ReadContent::Paragraph("an example.".into())];
        assert_eq!(contents, expected, "smudges and lone dashes are no text");
        let block = &reading.blocks[1];
        assert_eq!(block.words.len(), 3);
        assert_eq!((block.words[0].bbox.x0, block.words[0].bbox.y0), (0.05, 0.1));
        assert!((block.confidence - (0.96 * 2.0 + 0.92 * 5.0 + 0.915 * 4.0) / 11.0).abs() < 1e-9);
    }

    #[test]
    fn an_empty_page_is_no_error_and_half_a_table_is() {
        assert_eq!(parse(HEAD, 10, 10).unwrap().blocks, []);
        assert_eq!(parse("", 10, 10).unwrap().blocks, []);
        let inside_out = "5\t1\t1\t1\t1\t1\t9\t0\t-5\t1\t90\tx";
        for broken in [inside_out, "5\t1\t1\t1", "5\t1\t1\t1\t1\t1\tNaN\t0\t1\t1\t90\tx", "Error in boxClipToRectangle"]
        {
            assert!(
                matches!(parse(&format!("{HEAD}{broken}\n"), 10, 10), Err(OcrError::ProtocolViolation(_))),
                "{broken}"
            );
        }
    }
}
