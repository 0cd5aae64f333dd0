//! Running headers, running footers and page numbers: outermost lines that stand apart from the body and come again on
//! other pages. A line that belongs to the body, or is all there is, is never taken: text must not get lost.

use super::{Edge, EdgeLine};

/// How far apart the base lines of the same header may be, in points.
const TOLERANCE: f64 = 3.0;
/// On how many of the pages around it a line must come again, or on how many anywhere: a full page may by chance end with
/// the same words as another far away.
const MIN_NEAR: usize = 2;
const MIN_ANYWHERE: usize = 5;
/// How much of the page, from either end, may hold headers or footers.
const BAND: f64 = 0.2;

/// Lower case, white space folded, every digit a `#`: equal for the same line on different pages.
pub fn shape(text: &str) -> String {
    let marked: String = text.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect();
    marked.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The lines of a page that are headers or footers, given the outermost lines of the pages around it and of pages far away.
pub fn of_page(lines: &[EdgeLine], near: &[&[EdgeLine]], far: &[&[EdgeLine]]) -> Vec<EdgeLine> {
    let stands_apart = |line: &EdgeLine| line.apart || is_page_number(&line.shape);
    let is_header_or_footer = |line: &&EdgeLine| line.marked || (stands_apart(line) && comes_again(line, near, far));
    lines.iter().filter(|line| in_band(line)).filter(is_header_or_footer).cloned().collect()
}

fn in_band(line: &EdgeLine) -> bool {
    from_edge(line) <= line.page_height * BAND
}

fn comes_again(line: &EdgeLine, near: &[&[EdgeLine]], far: &[&[EdgeLine]]) -> bool {
    let number = is_page_number(&line.shape);
    let same = |other: &EdgeLine| {
        other.edge == line.edge
            && (other.shape == line.shape || (number && is_page_number(&other.shape)))
            && (from_edge(other) - from_edge(line)).abs() <= TOLERANCE
    };
    let count = |pages: &[&[EdgeLine]]| pages.iter().filter(|page| page.iter().any(same)).count();
    let (near, far) = (count(near), count(far));
    // A page number alone is telling; its shape changes only with the number of digits.
    near >= MIN_NEAR || near + far >= MIN_ANYWHERE || (number && near + far >= 1)
}

fn from_edge(line: &EdgeLine) -> f64 {
    match line.edge {
        Edge::Top => line.y,
        Edge::Foot => line.page_height - line.y,
    }
}

/// `#`, `page #`, `# of #`, `#/#`, `- # -`, or a Roman number.
fn is_page_number(shape: &str) -> bool {
    let body = shape.strip_prefix("page ").unwrap_or(shape);
    let number = |text: &str| !text.is_empty() && text.len() <= 5 && text.bytes().all(|b| b == b'#');
    let roman = |text: &str| text.len() <= 7 && !text.is_empty() && text.bytes().all(|b| b"ivxlc".contains(&b));
    let pair =
        |separator| body.split_once(separator).is_some_and(|(a, b): (&str, &str)| number(a.trim()) && number(b.trim()));
    let dashed = body.trim_matches(['-', '–', '—', '·', '[', ']', ' ']);
    number(body) || number(dashed) || roman(body) || pair(" of ") || pair("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(edge: Edge, text: &str, y: f64) -> EdgeLine {
        EdgeLine { edge, shape: shape(text), y, page_height: 800.0, marked: false, apart: true }
    }

    fn found(of: EdgeLine, others: &[EdgeLine]) -> bool {
        let pages: Vec<&[EdgeLine]> = others.iter().map(std::slice::from_ref).collect();
        !of_page(&[of], &pages, &[]).is_empty()
    }

    #[test]
    fn a_line_that_comes_again_is_a_header() {
        let others = [line(Edge::Top, "Chapter 12: Log", 50.0), line(Edge::Top, "Chapter 14:  Log", 51.0)];
        assert!(found(line(Edge::Top, "Chapter 10: log", 50.0), &others));
        assert!(!found(line(Edge::Top, "Chapter 10: log", 50.0), &others[..1]), "once is chance");
        assert!(!found(line(Edge::Top, "Chapter 10: log", 70.0), &others), "elsewhere on the page");
        assert!(!found(line(Edge::Foot, "Chapter 10: log", 50.0), &others), "other end");
        assert!(!found(line(Edge::Top, "Another line", 50.0), &others));
    }

    #[test]
    fn a_line_of_the_body_is_no_header_however_often_it_comes() {
        let others = vec![line(Edge::Top, "same words", 50.0); 20];
        let body = EdgeLine { apart: false, ..line(Edge::Top, "same words", 50.0) };
        assert!(!found(body, &others));
    }

    #[test]
    fn page_numbers_need_one_other() {
        for (one, other) in [("9", "10"), ("Page 3", "Page 4"), ("3 of 12", "4 of 12"), ("- 7 -", "8"), ("iv", "v")] {
            assert!(found(line(Edge::Foot, one, 780.0), &[line(Edge::Foot, other, 781.0)]), "{one}");
        }
        assert!(!found(line(Edge::Foot, "7", 780.0), &[]));
        assert!(!found(line(Edge::Foot, "1999 people", 780.0), &[line(Edge::Foot, "2000 birds", 780.0)]));
    }

    #[test]
    fn nothing_from_the_middle_of_the_page() {
        let others = [line(Edge::Top, "same", 400.0), line(Edge::Top, "same", 400.0)];
        assert!(!found(line(Edge::Top, "same", 400.0), &others));
    }

    #[test]
    fn what_the_document_marks_is_believed() {
        let mut marked = line(Edge::Foot, "Draft", 790.0);
        marked.marked = true;
        assert!(found(marked, &[]));
    }

    #[test]
    fn far_away_it_takes_more_to_be_no_chance() {
        let far = vec![line(Edge::Foot, "Syntax:", 780.0); MIN_ANYWHERE];
        let pages: Vec<&[EdgeLine]> = far.iter().map(std::slice::from_ref).collect();
        let own = [line(Edge::Foot, "Syntax:", 780.0)];
        assert!(of_page(&own, &[], &pages[1..]).is_empty());
        assert_eq!(of_page(&own, &[], &pages).len(), 1);
    }
}
