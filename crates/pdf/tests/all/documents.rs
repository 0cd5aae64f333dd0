//! Every PDF of the repository through the worker and its child: each must end as it should, with the text it has.

use crate::support::{Bench, Finished, config, run};
use courant_pdf::artifact::{Kind, Status};
use courant_proto::v1::work_request::Message as Report;
use courant_proto::v1::{ZoneKind, ZoneStatus};

/// The texts occur, in this order.
fn in_order(text: &str, wanted: &[&str]) {
    let mut from = 0;
    for part in wanted {
        match text[from..].find(part) {
            Some(at) => from += at + part.len(),
            None => panic!("{part:?} is missing or out of order in:\n{text}"),
        }
    }
}

#[tokio::test]
async fn two_columns_are_read_one_after_the_other() {
    let finished = run("cc-by-sa-4.0/two-columns.pdf").await;
    assert!(finished.warnings().is_empty());
    let text = finished.text("result.md");
    let columns =
        ["Two-Column Document", "## Abstract", "Donec nonummy", "pellentesque ante. Phasellus", "lacus vel est."];
    in_order(&text, &columns);
    in_order(&text, &["| Country | Population (millions) |", "| Austria | 8.9 | 83,879 | Vienna | German |"]);
    let footers: Vec<String> = finished.of_kind(Kind::Footer).into_iter().map(|zone| zone.text).collect();
    assert_eq!(footers, ["1", "2", "3"]);
    let table = &finished.of_kind(Kind::Table)[0];
    assert!(table.confidence >= 0.75, "its rows are drawn, its columns in line: {}", table.confidence);
    let sure: Vec<f64> = finished.of_kind(Kind::Heading).iter().map(|zone| zone.confidence).collect();
    assert!(sure.iter().all(|confidence| (0.7..=1.0).contains(confidence)) && sure[0] == 1.0, "{sure:?}");
}

#[tokio::test]
async fn text_and_image_have_a_figure_between_the_paragraphs() {
    let finished = run("cc-by-sa-4.0/text-and-image.pdf").await;
    let kinds: Vec<Kind> = finished.zones().iter().map(|zone| zone.kind).collect();
    assert_eq!(kinds, [Kind::Heading, Kind::Paragraph, Kind::Figure, Kind::Paragraph, Kind::Footer]);
    in_order(&finished.text("result.txt"), &["1 Your Chapter", "Lorem ipsum dolor", "Stet clita kasd"]);
}

#[tokio::test]
async fn forms_show_their_labels() {
    in_order(&run("cc-by-sa-4.0/forms.pdf").await.text("result.txt"), &["Name", "Check", "Submit"]);
}

#[tokio::test]
async fn arabic_is_in_the_order_it_is_read() {
    let text = run("cc-by-sa-4.0/arabic.pdf").await.text("result.txt");
    assert!(text.contains("habibi"));
    let word = "\u{62D}\u{64E}\u{628}\u{64A}\u{628}\u{64A}";
    assert_eq!(text.matches(word).count(), 2, "{text:?}");
    let backwards: String = word.chars().rev().collect();
    assert!(!text.contains(&backwards) && !text.contains("\u{64A}\u{628}\u{64A}\u{628}\u{62D}"), "{text:?}");
}

#[tokio::test]
async fn ligatures_are_letters_and_divided_words_are_whole() {
    let text = run("cc-by-sa-4.0/two-columns.pdf").await.text("result.txt");
    in_order(&text, &["consectetuer adipiscing elit", "nonummy eget, consectetuer id", "morbi tristique senectus"]);
    assert!(!text.contains("adip-") && !text.contains("con- sectetuer"), "words divided at line ends");
    let ligatures = |text: &str| text.chars().filter(|c| ('\u{FB00}'..='\u{FB06}').contains(c)).count();
    assert_eq!(ligatures(&text), 0);
    assert!(text.contains("official") || text.contains("filled"), "what was drawn as fi or ffi");
}

#[tokio::test]
async fn letters_that_the_file_does_not_name_are_found_in_its_fonts() {
    let finished = run("mit/letters-without-names.pdf").await;
    assert!(finished.warnings().is_empty(), "{:?}", finished.warnings());
    let text = finished.text("result.txt");
    in_order(&text, &["Faktura nr FV 1/2021", "Sprzedawca", "91-504 Łódź"]);
    assert!(text.contains("Wartość") && !text.contains('\u{FFFD}'), "{text}");
}

#[tokio::test]
async fn filled_in_forms_show_what_was_filled_in() {
    let form = |state: &str| crate::support::form(&format!("/AP << /N 6 0 R >> {state}"));
    let mut bench = Bench::start(config()).await;
    // With an appearance, hidden, a window of the viewer, without an appearance, a password.
    let bare = |flags: &str| crate::support::form(flags);
    for (document, seen) in [
        (form(""), true),
        (form("/F 2"), false),
        (form("/Subtype /Popup"), false),
        (bare(""), true),
        (bare("/Ff 8192"), false),
    ] {
        let job = bench.job(&document);
        let finished = bench.run(job).await;
        let text = finished.text("result.txt");
        assert!(text.contains("Name:"), "{text}");
        assert_eq!(text.contains("Ada Lovelace"), seen, "{text}");
        assert!(!text.contains("Name:Ada"), "{text}");
    }
}

#[tokio::test]
async fn japanese_is_read_downwards_from_the_right() {
    let text = run("mit/japanese.pdf").await.text("result.txt");
    let upper = [
        "わたくしといふ現象は",
        "假定された有機交流電燈の",
        "ひとつの青い照明です",
        "（あらゆる透明な幽霊の複合体）",
        "風景やみんなと",
        "因果交流電燈の",
    ];
    in_order(&text, &upper);
    in_order(
        &text,
        &["わたくしといふ現象は", "けれどもこれら新世代沖積世の", "第四次延長のなかで主張されます", "宮澤賢治"],
    );
}

#[tokio::test]
async fn a_wide_table_is_a_table() {
    let finished = run("mit/wide-table.pdf").await;
    let tables = finished.of_kind(Kind::Table);
    assert_eq!(tables.len(), 1);
    let lines = [
        "Alabama\t18,870\t23,022",
        "Alaska\t209\t3,062",
        "Connecticut\t9,631\t11,594",
        "Delaware\t204",
        "Kentucky\t264,140\t12,155",
        "\t0\t1,491\t2,315\t2\t",
        "\t295,891",
        "Wyoming\t",
    ];
    in_order(&tables[0].text, &lines);
}

#[tokio::test]
async fn a_hundred_and_twenty_pages_come_one_by_one_with_steady_progress() {
    let finished = run("cc-by-sa-4.0/pages-120.pdf").await;
    assert!(matches!(&finished.said[..], [.., Report::Succeeded(_)]));
    let plan = finished.said.iter().find_map(|said| match said {
        Report::Plan(plan) => Some(plan.pages_total),
        _ => None,
    });
    assert_eq!(plan, Some(120));
    let mut numbers: Vec<i32> = finished.reported_pages().iter().map(|page| page.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=120).collect::<Vec<_>>());
    assert_eq!(finished.pages().len(), 120);
    assert!((1..=120).all(|number| finished.has(&format!("pages/{number:06}.json"))));
    assert!(finished.text("result.html").contains("id=\"page-120\""));
    let first_lines =
        finished.text("result.txt").matches("Hello, here is some text without a meaning. This text").count();
    assert!(first_lines >= 120, "the first line of a page is no running header, though all pages begin alike");
    let progress = finished.progress();
    assert!(progress.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{progress:?}");
    let steps = progress.iter().filter(|(_, sentence)| sentence.ends_with("/120 pages")).count();
    assert!(steps >= 10, "steady, even where some are folded: {progress:?}");
}

#[tokio::test]
async fn zones_are_reported_with_all_there_is_to_know() {
    let finished = run("cc-by-sa-4.0/two-columns.pdf").await;
    let begun = finished.said.iter().filter(|said| matches!(said, Report::Zone(_))).count();
    assert!(begun > 0, "work on zones is announced");
    let mut pages = finished.reported_pages();
    pages.sort_by_key(|page| page.number);
    let zone = &pages[0].zones[0];
    assert_eq!((zone.zone_id.as_str(), zone.index, zone.page), ("p1z1", 1, 1));
    assert_eq!((zone.kind(), zone.status()), (ZoneKind::Heading, ZoneStatus::Completed));
    assert_eq!(zone.tool, "text-layer");
    assert!(zone.confidence > 0.5 && zone.duration.is_some());
    for page in pages {
        for zone in &page.zones {
            let bbox = zone.bounding_box.unwrap();
            assert!(0.0 <= bbox.x0 && bbox.x0 < bbox.x1 && bbox.x1 <= page.width, "{zone:?}");
            assert!(0.0 <= bbox.y0 && bbox.y0 < bbox.y1 && bbox.y1 <= page.height, "{zone:?}");
        }
    }
}

fn is_one_scan(finished: &Finished) {
    let zones = finished.zones();
    assert_eq!(zones.len(), 1);
    assert_eq!((zones[0].kind, zones[0].status), (Kind::Scan, Status::Skipped));
    assert_eq!(finished.warnings(), ["Page 1: scanned; no OCR engine is configured; this region was not read."]);
    assert!(finished.text("result.md").contains("no OCR engine is configured"));
}

#[tokio::test]
async fn scans_say_that_they_were_not_read() {
    is_one_scan(&run("gfdl-or-cc-by-sa-3.0/scan.pdf").await);
    is_one_scan(&run("gfdl-or-cc-by-sa-3.0/scan-rotated-skewed.pdf").await);
    // 35,000 × 35,000 pixels that nobody decodes.
    is_one_scan(&run("cc-by-sa-4.0/pixel-bomb.pdf").await);
}

#[tokio::test]
async fn what_can_be_recovered_is() {
    let text = run("mit/corrupted-recoverable.pdf").await.text("result.txt");
    in_order(&text, &["Beautiful is better than ugly.", "Now is better than never.", "honking great idea"]);
    assert!(run("mit/recursive-xobjects.pdf").await.text("result.txt").contains("Hello world"));
}

#[tokio::test]
async fn documents_that_cannot_be_read_fail_with_a_reason() {
    let mut bench = Bench::start(config()).await;
    let cases = [
        (crate::support::fixture("cc-by-sa-4.0/password-openpassword.pdf"), "PASSWORD_REQUIRED", "password"),
        (crate::support::fixture("mit/password-usersecret-aes256.pdf"), "PASSWORD_REQUIRED", "without protection"),
        (crate::support::fixture("cc-by-sa-4.0/invalid.pdf"), "DAMAGED_DOCUMENT", "damaged"),
        (b"Dear reader, this is a letter.".to_vec(), "NOT_A_PDF", "not a PDF"),
    ];
    for (document, code, word) in cases {
        let job = bench.job(&document);
        let finished = bench.run(job).await;
        let error = finished.error();
        assert_eq!((error.code.as_str(), error.retryable), (code, false));
        assert!(error.message.contains(word), "{}", error.message);
    }
    let job = bench.job(&crate::support::fixture("mit/japanese.pdf"));
    assert!(!bench.run(job).await.text("result.txt").is_empty(), "the worker lives on");
}
