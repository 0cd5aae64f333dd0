//! Stories of pages: figures, scans, confidence, shape.

use super::*;
use crate::backend::{Grid, Image, ListItem, TableCell};

const GRID: Grid = Grid { drawn: 0.0, aligned: 1.0, filled: 1.0 };

fn at(y0: f64, y1: f64) -> Bbox {
    Bbox { x0: 50.0, y0, x1: 550.0, y1 }
}

fn lines(texts: &[&str]) -> Vec<Line> {
    texts.iter().map(|text| Line { text: (*text).into(), x: 50.0, size: 10.0 }).collect()
}

fn block(bbox: Bbox, content: Content) -> Block {
    Block { bbox, content, invisible: false }
}

fn layout(blocks: Vec<Block>, images: Vec<Image>) -> Layout {
    Layout { width: 600.0, height: 800.0, body_size: 10.0, blocks, images, losses: Vec::new() }
}

fn made(layout: Layout) -> PageArtifact {
    page(7, layout, Duration::from_millis(10), |_| {}).page
}

fn image(bbox: Bbox) -> Image {
    Image { bbox, pixels: [100, 100] }
}

#[test]
fn a_figure_stands_between_the_texts_around_it() {
    let text = |y| block(at(y, y + 50.0), Content::Paragraph(lines(&["some running text"])));
    let page = made(layout(vec![text(100.0), text(500.0)], vec![image(at(200.0, 400.0))]));
    let kinds: Vec<Kind> = page.zones.iter().map(|zone| zone.kind).collect();
    assert_eq!(kinds, [Kind::Paragraph, Kind::Figure, Kind::Paragraph]);
    assert_eq!(page.zones[1].id, "p7z2");
    assert_eq!((page.zones[1].tool.as_str(), page.zones[1].confidence), (IMAGE, 1.0));
}

#[test]
fn a_page_that_is_one_picture_is_a_scan_and_says_so() {
    let page = made(layout(vec![], vec![image(at(0.0, 800.0))]));
    let [zone] = &page.zones[..] else { panic!("one zone, not {:?}", page.zones) };
    assert_eq!((zone.kind, zone.status, zone.confidence), (Kind::Scan, Status::Skipped, 0.0));
    assert_eq!((zone.tool.as_str(), zone.note.as_str()), (NO_TOOL, NO_OCR));
    let small = made(layout(vec![], vec![image(at(0.0, 200.0))]));
    assert_eq!(small.zones[0].kind, Kind::Figure, "a picture on an empty page");
}

#[test]
fn ornaments_backgrounds_and_what_is_off_the_page_are_no_figures() {
    let text = block(at(100.0, 150.0), Content::Paragraph(lines(&["some running text"])));
    let whole = image(Bbox { x0: 0.0, y0: 0.0, x1: 600.0, y1: 800.0 });
    let off = image(Bbox { x0: 700.0, y0: 0.0, x1: 900.0, y1: 200.0 });
    for extra in [image(at(300.0, 310.0)), whole, off] {
        assert_eq!(made(layout(vec![text.clone()], vec![extra])).zones.len(), 1, "{extra:?}");
    }
}

#[test]
fn strips_are_one_figure() {
    let strips = (0..20).map(|n| image(at(100.0 + 10.0 * f64::from(n), 110.0 + 10.0 * f64::from(n)))).collect();
    let page = made(layout(vec![], strips));
    assert_eq!(page.zones.len(), 1);
    assert_eq!((page.zones[0].bbox.y0, page.zones[0].bbox.y1), (100.0, 300.0));
}

#[test]
fn confidence_falls_with_unreadable_text_losses_and_guesses() {
    let trust = |content: Content, losses: usize| {
        let mut layout = layout(vec![block(at(0.0, 10.0), content)], vec![]);
        layout.losses = vec!["lost".into(); losses];
        made(layout).zones[0].confidence
    };
    let text = |text| Content::Paragraph(lines(&[text]));
    let rows = || vec![vec![TableCell { text: "a".into(), colspan: 1, rowspan: 1 }]];
    assert_eq!(trust(text("good"), 0), 1.0);
    assert_eq!(trust(text("go\u{FFFD}\u{FFFD}"), 0), 0.5);
    assert_eq!(trust(text("good"), 2), 0.8);
    assert_eq!(trust(Content::Heading(1, lines(&["as large as the text"])), 0), 0.7);
    assert_eq!(trust(Content::Table(rows(), Grid { drawn: 1.0, ..GRID }), 0), 0.95);
    assert_eq!(trust(Content::Table(rows(), GRID), 0), 0.755);
}

#[test]
fn work_on_a_zone_is_announced_before_it_is_done_and_time_adds_up() {
    let text = |y| block(at(y, y + 50.0), Content::Paragraph(lines(&["0123456789"])));
    let mut seen = Vec::new();
    let layout = layout(vec![text(0.0), text(100.0)], vec![]);
    let page = page(1, layout, Duration::from_millis(100), |zone| seen.push((zone.id.clone(), zone.text.len()))).page;
    assert_eq!(seen, [("p1z1".into(), 0), ("p1z2".into(), 0)]);
    assert!(page.zones.iter().all(|zone| zone.duration_ms >= 50.0));
    assert!(page.duration_ms >= 100.0);
}

#[test]
fn lists_tables_and_code_keep_their_shape() {
    let item = |number, text| ListItem { number, lines: lines(&[text]) };
    let cell = |text: &str| TableCell { text: text.into(), colspan: 1, rowspan: 1 };
    let mut code = lines(&["if x:", "return"]);
    code[1].x = 74.0;
    let page = made(layout(
        vec![
            block(at(0.0, 10.0), Content::List(vec![item(Some(3), "three"), item(None, "bullet")])),
            block(at(20.0, 30.0), Content::Table(vec![vec![cell("a"), cell(" "), cell("b")]], GRID)),
            block(at(40.0, 50.0), Content::Preformatted(code)),
        ],
        vec![],
    ));
    assert_eq!(page.zones[0].text, "three\nbullet");
    assert_eq!(page.zones[0].items[0].number, Some(3));
    assert_eq!(page.zones[1].text, "a\tb", "the empty column is left out");
    assert_eq!(page.zones[2].text, "if x:\n    return");
}
