//! The JSON results of all fixtures against their published schema, and the schema against the types.

// Helpers of tests count as code of their own to the lint.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::{Bench, config};
use courant_pdf::artifact::{Bbox, Cell, Item, Kind, PageArtifact, Status, VERSION, Word, Zone};
use courant_pdf::ocr::tesseract::TesseractConfig;
use courant_pdf::{OcrChoice, PdfConfig, SecretText};
use jsonschema::Validator;
use serde_json::{Value, json};

fn schema() -> Value {
    serde_json::from_str(include_str!("../../result.schema.json")).unwrap()
}

/// The schema as readers get it lets new optional fields pass. Here nothing passes that it does not name.
fn closed() -> Value {
    let mut schema = schema();
    close(&mut schema);
    schema
}

fn close(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.get("type") == Some(&json!("object")) {
                object.insert("additionalProperties".into(), json!(false));
            }
            object.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::new(schema).unwrap()
}

fn errors(validator: &Validator, instance: &Value) -> Vec<String> {
    validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn pdfs(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(pdfs(&path));
        } else if path.extension().is_some_and(|end| end == "pdf") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn password(path: &Path) -> Option<String> {
    let name = path.file_stem()?.to_str()?.strip_prefix("password-")?;
    Some(name.split('-').next()?.to_owned())
}

#[tokio::test]
async fn the_results_of_all_fixtures_are_as_the_schema_says() {
    let mut config = config();
    if std::env::var_os("COURANT_SKIP_OCR").is_none() {
        let program = TesseractConfig::find(Path::new("tesseract")).expect("`make packages` installs it");
        config.ocr = OcrChoice::Tesseract(TesseractConfig::new(program, "eng"));
    }
    let validator = validator(&closed());
    let mut read = 0;
    for path in pdfs(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/pdf")) {
        let password = password(&path).map(SecretText::new);
        let mut bench = Bench::start(PdfConfig { password, ..config.clone() }).await;
        let job = bench.job(&std::fs::read(&path).unwrap());
        let finished = bench.run(job).await;
        if path.file_stem().is_some_and(|name| name == "invalid") {
            assert!(!finished.has("result.json"));
            continue;
        }
        let result: Value = serde_json::from_slice(finished.artifact("result.json")).unwrap();
        assert_eq!(errors(&validator, &result), [] as [&str; 0], "{}", path.display());
        let page: Value = serde_json::from_slice(finished.artifact("pages/000001.json")).unwrap();
        assert_eq!(page, result["pages"][0], "a page artifact is what the result holds of it: {}", path.display());
        read += 1;
    }
    assert!(read >= 14, "only {read} fixtures were read");
}

const BOX: Bbox = Bbox { x0: 1.0, y0: 2.0, x1: 3.0, y1: 4.0 };

/// A page with everything on it. Whoever adds a field has to name it here, too.
fn everything() -> PageArtifact {
    let zone = Zone {
        id: "p1z1".into(),
        index: 1,
        kind: Kind::Table,
        bbox: BOX,
        tool: "ocr:tesseract".into(),
        status: Status::Completed,
        confidence: 0.5,
        duration_ms: 1.0,
        note: "note".into(),
        text: "text".into(),
        level: Some(1),
        preformatted: true,
        items: vec![Item { number: Some(1), text: "item".into() }],
        rows: vec![vec![Cell { text: "cell".into(), colspan: 2, rowspan: 3 }]],
        pixels: Some([1, 2]),
        words: vec![Word { text: "word".into(), bbox: BOX, confidence: 0.5 }],
    };
    PageArtifact {
        version: VERSION,
        number: 1,
        width: 10.0,
        height: 10.0,
        duration_ms: 1.0,
        zones: vec![zone],
        warnings: vec!["warning".into()],
        unreadable: true,
    }
}

fn result() -> Value {
    json!({
        "version": VERSION, "generator": "g", "warnings": [], "pages": [everything()],
        "document": {"filename": "f", "bytes": 1, "sha256": "0".repeat(64), "pages": 1},
    })
}

fn names(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_schema_knows_the_fields_of_the_types_and_no_others() {
    let (schema, page) = (schema(), serde_json::to_value(everything()).unwrap());
    assert_eq!(errors(&validator(&closed()), &result()), [] as [&str; 0]);
    let zone = &page["zones"][0];
    let in_zone = "/$defs/zone/properties";
    for (at, value) in [
        ("/$defs/page/properties".into(), &page),
        (in_zone.into(), zone),
        ("/$defs/bbox/properties".into(), &zone["bbox"]),
        (format!("{in_zone}/items/items/properties"), &zone["items"][0]),
        (format!("{in_zone}/rows/items/items/properties"), &zone["rows"][0][0]),
        (format!("{in_zone}/words/items/properties"), &zone["words"][0]),
    ] {
        assert_eq!(names(schema.pointer(&at).unwrap()), names(value), "{at}");
    }
}

/// The next value of an enum. Whoever adds one has to name it here, too.
fn next_kind(kind: Kind) -> Option<Kind> {
    match kind {
        Kind::Heading => Some(Kind::Paragraph),
        Kind::Paragraph => Some(Kind::List),
        Kind::List => Some(Kind::Table),
        Kind::Table => Some(Kind::Figure),
        Kind::Figure => Some(Kind::Header),
        Kind::Header => Some(Kind::Footer),
        Kind::Footer => Some(Kind::Scan),
        Kind::Scan => None,
    }
}

fn next_status(status: Status) -> Option<Status> {
    match status {
        Status::Completed => Some(Status::Skipped),
        Status::Skipped => None,
    }
}

#[test]
fn the_schema_knows_the_values_of_the_enums_and_no_others() {
    let kinds: Vec<Kind> = std::iter::successors(Some(Kind::Heading), |kind| next_kind(*kind)).collect();
    let statuses: Vec<Status> = std::iter::successors(Some(Status::Completed), |status| next_status(*status)).collect();
    let schema = schema();
    assert_eq!(schema["$defs"]["zone"]["properties"]["kind"]["enum"], json!(kinds));
    assert_eq!(schema["$defs"]["zone"]["properties"]["status"]["enum"], json!(statuses));
    assert_eq!(schema["properties"]["version"]["const"], VERSION);
    assert_eq!(schema["$defs"]["page"]["properties"]["version"]["const"], VERSION);
}

#[test]
fn the_schema_refuses_what_no_result_holds() {
    let validator = validator(&schema());
    assert_eq!(errors(&validator, &result()), [] as [&str; 0]);
    let breaks: [(&str, Value); 8] = [
        ("/version", json!(2)),
        ("/document/sha256", json!("short")),
        ("/pages/0/zones/0/kind", json!("poem")),
        ("/pages/0/zones/0/tool", json!("magic")),
        ("/pages/0/zones/0/confidence", json!(1.5)),
        ("/pages/0/zones/0/status", json!("skipped")),
        ("/pages/0/zones/0/bbox", json!({"x0": 1})),
        ("/pages/0/zones/0/rows/0/0/colspan", json!(1)),
    ];
    for (at, value) in breaks {
        let mut broken = result();
        *broken.pointer_mut(at).unwrap() = value;
        assert!(!errors(&validator, &broken).is_empty(), "{at}");
    }
}
