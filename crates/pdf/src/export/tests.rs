//! Every format on one page with everything on it, and on hostile text.

use super::*;
use crate::artifact::{Bbox, Cell, Item, Kind, Status, VERSION, Zone};
use crate::store::Store;

fn zone(index: u32, kind: Kind, text: &str) -> Zone {
    Zone {
        id: format!("p1z{index}"),
        index,
        kind,
        bbox: Bbox::default(),
        tool: "text-layer".into(),
        status: Status::Completed,
        confidence: 1.0,
        duration_ms: 0.0,
        note: String::new(),
        text: text.into(),
        level: (kind == Kind::Heading).then_some(2),
        preformatted: false,
        items: Vec::new(),
        rows: Vec::new(),
        pixels: None,
        words: Vec::new(),
    }
}

fn cell(text: &str, colspan: u8) -> Cell {
    Cell { text: text.into(), colspan, rowspan: 1 }
}

async fn written(format: Format, pages: &[Vec<Zone>], limit: u64) -> Result<String, ExportError> {
    separated(format, pages, limit, None).await
}

async fn separated(
    format: Format,
    pages: &[Vec<Zone>],
    limit: u64,
    separator: Option<&str>,
) -> Result<String, ExportError> {
    let store = Store::new(&std::env::temp_dir())?;
    for (number, zones) in (1..).zip(pages) {
        let zones = zones.clone();
        let mut page = PageArtifact::unreadable(number, 0.0, "");
        (page.unreadable, page.warnings, page.zones) = (false, vec![], zones);
        store.put(number, &serde_json::to_vec(&page).unwrap()).await?;
    }
    let count = u32::try_from(pages.len()).unwrap();
    let document = Document {
        filename: "a<b>.pdf".into(),
        bytes: 5,
        sha256: "00".into(),
        pages: count,
        warnings: vec!["w & w".into()],
        separator: separator.map(|text| PageSeparator::try_from(text.to_owned()).unwrap()),
    };
    let target = store.result(format.artifact());
    let stopped = CancellationToken::new();
    let pages = store.pages((1..=count).collect()).await?;
    write(format, &document, &pages, &target, limit, &stopped, |_| {})?;
    Ok(std::fs::read_to_string(target)?)
}

fn everything() -> Vec<Vec<Zone>> {
    let mut list = zone(3, Kind::List, "one\ntwo");
    list.items = vec![Item { number: Some(4), text: "one".into() }, Item { number: None, text: "two".into() }];
    let mut table = zone(4, Kind::Table, "a\tb|c\nd\te");
    table.rows = vec![vec![cell("a", 1), cell("b|c", 1)], vec![cell("d", 1), cell("e", 1)]];
    let mut code = zone(5, Kind::Paragraph, "if x:\n    *y*");
    code.preformatted = true;
    vec![
        vec![
            zone(1, Kind::Header, "running"),
            zone(2, Kind::Heading, "Title"),
            list,
            table,
            code,
            zone(6, Kind::Figure, ""),
            zone(7, Kind::Footer, "7"),
        ],
        vec![zone(1, Kind::Paragraph, "second page")],
    ]
}

#[tokio::test]
async fn markdown() {
    let text = written(Format::Markdown, &everything(), u64::MAX).await.unwrap();
    let expected = "<!-- page 1 -->\n\n## Title\n\n4. one\n- two\n\n| a | b\\|c |\n| --- | --- |\n| d | e |\n\n\
                    ```\nif x:\n    *y*\n```\n\n*[figure]*\n\n<!-- page 2 -->\n\nsecond page\n";
    assert_eq!(text, expected);
}

#[tokio::test]
async fn plain_text() {
    let text = written(Format::Text, &everything(), u64::MAX).await.unwrap();
    assert_eq!(text, "Title\n\n4. one\n- two\n\na\tb|c\nd\te\n\nif x:\n    *y*\n\x0csecond page\n");
}

#[tokio::test]
async fn between_pages_stands_what_was_asked_for() {
    let pages =
        [1, 2, 3].map(|number| vec![zone(1, Kind::Heading, "H"), zone(2, Kind::Paragraph, &format!("p{number}"))]);
    let rule = Some("\n---\n\n");
    let markdown = separated(Format::Markdown, &pages, u64::MAX, rule).await.unwrap();
    assert_eq!(markdown, "## H\n\np1\n\n---\n\n## H\n\np2\n\n---\n\n## H\n\np3\n");
    let plain = separated(Format::Text, &pages, u64::MAX, Some("[{page}]\n")).await.unwrap();
    assert_eq!(plain, "H\n\np1\n[2]\nH\n\np2\n[3]\nH\n\np3\n");
    let nothing = separated(Format::Markdown, &pages[..2], u64::MAX, Some("")).await.unwrap();
    assert_eq!(nothing, "## H\n\np1\n## H\n\np2\n");
}

#[tokio::test]
async fn json_holds_all_pages_with_all_their_zones() {
    let text = written(Format::Json, &everything(), u64::MAX).await.unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["version"], VERSION);
    assert_eq!(value["document"]["filename"], "a<b>.pdf");
    assert_eq!(value["warnings"][0], "w & w");
    assert_eq!(value["pages"].as_array().unwrap().len(), 2);
    assert_eq!(value["pages"][0]["zones"][3]["rows"][0][1]["text"], "b|c");
}

#[tokio::test]
async fn html_escapes_everything_and_runs_nothing() {
    let attack = "</p><script>alert('x')</script>\"onload=\"";
    let mut table = zone(2, Kind::Table, "");
    table.rows = vec![vec![cell(attack, 2)]];
    let mut list = zone(3, Kind::List, "");
    list.items = vec![Item { number: None, text: attack.into() }];
    let pages = [vec![zone(1, Kind::Heading, attack), table, list, zone(4, Kind::Paragraph, attack)]];
    let text = written(Format::Html, &pages, u64::MAX).await.unwrap();
    assert!(!text.contains("<script") && !text.contains("\"onload"), "{text}");
    assert_eq!(text.matches("&lt;script&gt;").count(), 4);
    assert!(text.contains("<title>a&lt;b&gt;.pdf</title>") && text.contains("w &amp; w"));
    assert!(text.contains("Content-Security-Policy") && text.contains("default-src 'none'"));
    assert!(text.contains("<th colspan=\"2\">"));
}

#[test]
fn markdown_takes_text_for_text() {
    let same =
        ["snake_case_name", "a * b", "1 < 2 & 3", "see [12] and (3)", "C# -- D", "3.14", "a - b", "50%", "x | y"];
    for text in same {
        assert_eq!(markdown::escape(text), text);
    }
    let escaped = [
        ("*bold*", "\\*bold\\*"),
        ("_it_", "\\_it\\_"),
        ("<b>", "\\<b>"),
        ("`c`", "\\`c\\`"),
        ("[a](b)", "[a\\](b)"),
        ("[1]: x", "[1\\]: x"),
        ("# no heading", "\\# no heading"),
        ("1. no list", "1\\. no list"),
        ("- no list", "\\- no list"),
        ("---", "\\---"),
        ("> no quote", "\\> no quote"),
        ("&amp;", "\\&amp;"),
        ("a\\*b", "a\\\\\\*b"),
    ];
    for (text, expected) in escaped {
        assert_eq!(markdown::escape(text), expected);
    }
}

#[tokio::test]
async fn a_result_over_the_limit_is_an_error_of_its_own() {
    for format in [Format::Json, Format::Markdown, Format::Text, Format::Html] {
        assert!(matches!(written(format, &everything(), 30).await, Err(ExportError::TooLarge)), "{format:?}");
    }
}
