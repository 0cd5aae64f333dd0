use super::*;

fn problem(text: &str) -> (String, String) {
    let InvalidParameter { path, problem } = PdfParameters::parse(text).expect_err(text);
    (path, problem)
}

#[test]
fn what_is_left_out_is_as_configured() {
    let nothing = PdfParameters::default();
    assert_eq!(PdfParameters::parse("").unwrap(), nothing);
    assert_eq!(PdfParameters::parse("{}").unwrap(), nothing);
    assert_eq!((nothing.ocr, nothing.hidden_text, nothing.pages), (OcrMode::Auto, HiddenText::Include, None));
}

#[test]
fn all_can_be_asked_for() {
    let text = r#"{"pages":"1-3,7-","ocr":"force","ocrLanguages":["deu","chi_sim"],"formats":["md","json"],
        "hiddenText":"exclude","pageSeparator":"--- {page} of {page} ---\n"}"#;
    let read = PdfParameters::parse(text).unwrap();
    assert_eq!(read.pages.unwrap().within(8), [1..=3, 7..=8]);
    assert_eq!(read.ocr_languages.iter().map(Language::as_str).collect::<Vec<_>>(), ["deu", "chi_sim"]);
    assert_eq!(read.formats.unwrap(), [ResultName::Markdown, ResultName::Json]);
    assert_eq!((read.ocr, read.hidden_text), (OcrMode::Force, HiddenText::Exclude));
    assert_eq!(read.page_separator.unwrap().before(4), "--- 4 of 4 ---\n");
    assert_eq!(PdfParameters::parse(r#"{"pages":3}"#).unwrap().pages.unwrap().within(8), [3..=3]);
}

#[test]
fn what_is_wrong_is_told_with_its_path() {
    for (text, path, words) in [
        (r#"{"page":"1"}"#, "page", "is not a parameter of the kind pdf, which has pages, ocr"),
        (r#"{"pages":"5-3"}"#, "pages", "3-5"),
        (r#"{"pages":-1}"#, "pages", "1-5,8,12-"),
        (r#"{"pages":null}"#, "pages", "1-5,8,12-"),
        (r#"{"pages":["1"]}"#, "pages", "1-5,8,12-"),
        (r#"{"ocr":"on"}"#, "ocr", "`off`, `auto`, `force`"),
        (r#"{"ocr":null}"#, "ocr", "null"),
        (r#"{"ocrLanguages":["eng","../x"]}"#, "ocrLanguages[1]", "as in \"eng\""),
        (r#"{"ocrLanguages":"eng"}"#, "ocrLanguages", "a sequence"),
        (r#"{"ocrLanguages":["a","a","a","a","a","a","a","a","a"]}"#, "ocrLanguages", "at most 8"),
        (r#"{"ocr":"off","ocrLanguages":["eng"]}"#, "ocrLanguages", "left out"),
        (r#"{"formats":["md","pdf"]}"#, "formats[1]", "`json`, `md`, `txt`, `html`"),
        (r#"{"formats":[]}"#, "formats", "at least one"),
        (r#"{"hiddenText":true}"#, "hiddenText", "bool"),
        (r#"{"pageSeparator":"\u0000"}"#, "pageSeparator", "control characters"),
        (r#"[1]"#, "", "must be a JSON object"),
        ("{", "", "must be JSON"),
    ] {
        let (at, why) = problem(text);
        assert_eq!(at, path, "{text}: {why}");
        assert!(why.contains(words), "{text}: {why}");
    }
    let long = format!(r#"{{"pageSeparator":"{}"}}"#, "x".repeat(201));
    assert_eq!(problem(&long).0, "pageSeparator");
}

#[test]
fn the_document_for_people_names_each_of_them() {
    const DOCUMENT: &str = include_str!("../../../docs/pdf-parameters.md");
    for field in FIELDS {
        assert!(DOCUMENT.contains(&format!("| `{field}` |")), "docs/pdf-parameters.md does not explain {field}");
    }
}

/// Each example here is what the schema says it is.
#[test]
fn the_schema_says_the_same() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let mut named: Vec<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    let mut fields = FIELDS;
    named.sort_unstable();
    fields.sort_unstable();
    assert_eq!(named, fields);
    let validator = jsonschema::validator_for(&schema).unwrap();
    let long = format!(r#"{{"pageSeparator":"{}"}}"#, "x".repeat(201));
    for text in [
        "{}",
        r#"{"pages":"1-3,7-"}"#,
        r#"{"pages":" 1 - 3 , 7"}"#,
        r#"{"pages":3}"#,
        r#"{"pages":100000}"#,
        r#"{"pages":100001}"#,
        r#"{"pages":0}"#,
        r#"{"pages":""}"#,
        r#"{"pages":"1,"}"#,
        r#"{"pages":"a"}"#,
        r#"{"pages":"-3"}"#,
        r#"{"pages":null}"#,
        r#"{"page":"1"}"#,
        r#"{"ocr":"force"}"#,
        r#"{"ocr":"on"}"#,
        r#"{"ocr":"auto","ocrLanguages":["eng","chi_sim"]}"#,
        r#"{"ocr":"off","ocrLanguages":["eng"]}"#,
        r#"{"ocr":"off","ocrLanguages":[]}"#,
        r#"{"ocrLanguages":["e g"]}"#,
        r#"{"ocrLanguages":[""]}"#,
        r#"{"ocrLanguages":["a","a","a","a","a","a","a","a","a"]}"#,
        r#"{"formats":["md","json","md"]}"#,
        r#"{"formats":[]}"#,
        r#"{"formats":["pdf"]}"#,
        r#"{"hiddenText":"exclude"}"#,
        r#"{"hiddenText":"keep"}"#,
        r#"{"pageSeparator":""}"#,
        r#"{"pageSeparator":"\n\f{page}\t"}"#,
        r#"{"pageSeparator":"\u0007"}"#,
        &long,
        "[]",
    ] {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let parsed = PdfParameters::parse(text);
        assert_eq!(validator.is_valid(&value), parsed.is_ok(), "{text}: {parsed:?}");
    }
}

#[test]
fn what_was_read_is_written_so_that_it_is_read_again() {
    let text = r#"{"pages":"7-,1-3,5","ocr":"auto","formats":["txt"],"hiddenText":"exclude","pageSeparator":"{page}"}"#;
    let read = PdfParameters::parse(text).unwrap();
    let written = serde_json::to_string(&read).unwrap();
    assert!(written.contains(r#""pages":"1-3,5,7-""#), "{written}");
    assert_eq!(PdfParameters::parse(&written).unwrap(), read);
}
