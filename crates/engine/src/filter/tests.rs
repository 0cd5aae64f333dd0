//! What filters mean, the errors of those that mean nothing, and the invariants.

use courant_joblog::ids::{BatchId, Timestamp};
use courant_joblog::job::{JobError, Lane, Parameters, State};
use proptest::prelude::*;

use super::compare::Pattern;
use super::field::{Condition, NumberField, TextField, TimeField};
use super::lexer::Comparator;
use super::*;
use crate::rfc3339::Instant;
use crate::testing::queued;

fn job() -> courant_joblog::job::Job {
    let mut job = queued("J1", "alice");
    job.document.name = "Annual report.pdf".into();
    job.batch = Some(BatchId::new("night-7"));
    job.state = State::Failed;
    job.error = Some(JobError { code: "DAMAGED".into(), message: "x".into(), retryable: false });
    job.created = Timestamp(1_767_268_800_500); // 2026-01-01T12:00:00.5Z
    job.document.bytes = 2000;
    job.labels = [("team", "red"), ("app.example/tier", "gold"), ("two words", "x*y")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let parameters = r#"{"mode":"fast","dpi":300,"big":12345678901234567890,"ocr":{"on":true,"langs":["de"]},"a.b":"c","none":null}"#;
    job.later.parameters = Some(Parameters::Inline(parameters.into()));
    job
}

#[test]
fn what_holds_and_what_does_not() {
    let job = job();
    for text in [
        "",
        "  \n ",
        "state = FAILED",
        "state:JOB_STATE_FAILED",
        r#"state = FAILED AND labels.team = "red" AND create_time > "2026-01-01T00:00:00Z""#,
        "create_time = 2026-01-01T12:00:00.5Z",
        "create_time > 2026-01-01T13:00:00+02:00",
        "create_time >= 2026-01-01",
        "NOT end_time:*",
        "end_time != 2026-01-01",
        "create_time:*",
        "document_bytes >= 2000 document_bytes < 2001",
        "attempt > -1",
        "filename = Annual*",
        r#"filename = "*.pdf""#,
        "filename = '*report*'",
        "filename:report",
        "batch_id = *",
        "labels:team",
        "labels.app.example/tier = gold",
        r#"labels."two words" = "x\*y""#,
        "labels.team:*",
        "labels.team != blue",
        "labels.none != blue",
        "-labels.team = blue",
        "error.code = DAMAGED",
        "kind >= pda kind < pdg",
        "annual",
        "RED gold",
        "-blue",
        r#""report.pdf""#,
        // OR binds tighter than AND: (QUEUED or FAILED) and red.
        "state = QUEUED OR state = FAILED AND labels.team = red",
        "labels.team = red AND state = QUEUED OR state = FAILED",
        "NOT (state = QUEUED OR labels.team = blue)",
        "lane = NORMAL -lane:LARGE",
        "red - 7",
    ] {
        let filter = parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        assert!(filter.is_none_or(|filter| filter.holds(&Candidate::new(&job))), "{text}");
    }
    for text in [
        "state = QUEUED",
        "state != FAILED",
        r#"labels.team = "re""#,
        r#"labels.team = "r\*""#,
        "filename = *.PDF",
        "start_time < 2030-01-01",
        "start_time > 1990-01-01",
        "start_time:*",
        "worker_id:*",
        "labels:blue",
        "-annual",
        "annual AND blue",
        // Were AND tighter, this would hold.
        "state = FAILED OR labels.team = red AND state = QUEUED",
    ] {
        assert!(!parse(text).unwrap().unwrap().holds(&Candidate::new(&job)), "{text}");
    }
}

#[test]
fn parameters_are_found_by_their_keys_also_within_objects() {
    let job = job();
    let holds = |text: &str| parse(text).unwrap().unwrap().holds(&Candidate::new(&job));
    for text in [
        "parameters.mode = fast",
        "parameters.mode:as",
        "parameters.dpi = 300",
        "parameters.big = 12345678901234567890",
        "parameters.ocr.on = true",
        "parameters.a.b = c",
        "parameters:none",
        "parameters:ocr.langs",
        "parameters.none != x",
    ] {
        assert!(holds(text), "{text}");
    }
    for text in [
        "parameters.mode = slow",
        "parameters:blue",
        "parameters.ocr.langs:*",
        "parameters.none:*",
        "parameters.mode.x:*",
    ] {
        assert!(!holds(text), "{text}");
    }
}

#[test]
fn what_is_no_filter_is_told_where_and_why() {
    for (text, at, what) in [
        ("state = ", 9, "expected a value"),
        ("state = DONE", 9, "expected one of QUEUED, RUNNING"),
        ("state > FAILED", 7, "= and != only"),
        ("size > 3", 1, r#"there is no field "size"; there are job_id"#),
        ("labels. = 3", 1, "there is no field"),
        ("labels = red", 8, "labels.KEY"),
        ("parameters = red", 12, "parameters.KEY"),
        ("parameters. = red", 1, "there is no field"),
        ("a AND", 6, "the filter ends where"),
        ("AND a", 1, "AND found where"),
        ("a OR OR b", 6, "OR found where"),
        ("(a", 1, "`(` without a `)`"),
        ("a)", 2, "`)` without a `(`"),
        ("()", 2, "`)` found where"),
        ("= 3", 1, "a comparison found where"),
        ("attempt = many", 11, "a whole number"),
        ("attempt = 99999999999999999999", 11, "a whole number"),
        ("create_time > yesterday", 15, "expected a time like"),
        ("filename = a*b", 12, "at an end of a text only"),
        ("filename < a*", 12, "goes with"),
        ("filename = \"open", 12, "the quote has no end"),
        ("state ! FAILED", 7, "!= or NOT"),
        ("\"state\" = FAILED", 1, "not in quotes"),
        ("stat* = FAILED", 1, "has no `*`"),
        ("a, b", 2, "`,` has no meaning"),
        ("NOT NOT a", 5, "NOT found where"),
        ("filename = (a)", 12, "in quotes"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.at == at && error.problem.contains(what), "{text}: {error:?}");
    }
}

#[test]
fn length_and_depth_are_bounded() {
    let deep = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&deep(MAX_DEPTH)).is_ok());
    assert_eq!(parse(&deep(MAX_DEPTH + 1)).unwrap_err().at, MAX_DEPTH + 1);
    assert!(parse(&"x".repeat(MAX_BYTES)).is_ok());
    assert!(parse(&"x".repeat(MAX_BYTES + 1)).unwrap_err().problem.contains("2048 bytes"));
}

fn word() -> impl Strategy<Value = TextField> {
    prop_oneof![
        prop::sample::select(vec![
            TextField::JobId,
            TextField::Owner,
            TextField::DocumentId,
            TextField::BatchId,
            TextField::RequestId,
            TextField::Kind,
            TextField::Filename,
            TextField::WorkerId,
            TextField::ErrorCode
        ]),
        "\\PC{1,8}".prop_map(TextField::Label),
        "\\PC{1,8}".prop_map(TextField::Parameter),
    ]
}

fn test() -> impl Strategy<Value = Condition> {
    use Comparator::*;
    let sense = || prop::sample::select(vec![Polarity::Is, Polarity::IsNot]);
    let order = || prop::sample::select(vec![Less, AtMost, Greater, AtLeast]);
    let any = || prop::sample::select(vec![Equal, NotEqual, Less, AtMost, Greater, AtLeast]);
    let number = prop::sample::select(vec![
        NumberField::DocumentBytes,
        NumberField::Attempt,
        NumberField::PagesTotal,
        NumberField::PagesDone,
    ]);
    let moment = || prop::sample::select(vec![TimeField::Create, TimeField::Start, TimeField::End]);
    let pattern = (".{0,8}", any_bool(), any_bool())
        .prop_map(|(text, open_start, open_end)| Pattern { text, open_start, open_end }.normalized());
    prop_oneof![
        (word(), pattern, sense()).prop_map(|(word, pattern, sense)| Condition::Like(word, pattern, sense)),
        (word(), order(), ".{0,8}").prop_map(|(word, how, text)| Condition::Sorted(word, how, text)),
        (number, any(), proptest::num::i64::ANY).prop_map(|(number, how, count)| Condition::Count(number, how, count)),
        (moment(), any(), 0i64..200_000_000_000, 0i32..1_000_000_000)
            .prop_map(|(moment, how, seconds, nanos)| Condition::At(moment, how, Instant { seconds, nanos })),
        moment().prop_map(Condition::Came),
        (prop::sample::select(vec![State::Queued, State::Running, State::Cancelled]), sense())
            .prop_map(|(state, sense)| Condition::State(state, sense)),
        (prop::sample::select(Lane::ALL.to_vec()), sense()).prop_map(|(lane, sense)| Condition::Lane(lane, sense)),
        ".{0,8}".prop_map(Condition::HasLabel),
        ".{0,8}".prop_map(Condition::HasParameter),
    ]
}

fn any_bool() -> proptest::bool::Any {
    proptest::bool::ANY
}

fn filter() -> impl Strategy<Value = Filter> {
    let leaf =
        prop_oneof![test().prop_map(Filter::Condition), ".{0,8}".prop_map(|text| Filter::Search(text.to_lowercase()))];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let many = || prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            many().prop_map(Filter::All),
            many().prop_map(Filter::Any),
            inner.prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_shown_is_read_as_the_same(filter in filter()) {
        let shown = filter.to_string();
        prop_assume!(shown.len() <= MAX_BYTES);
        prop_assert_eq!(parse(&shown), Ok(Some(filter)), "{}", shown);
    }

    #[test]
    fn no_text_brings_it_down(text in "\\PC{0,200}") {
        check(&text);
    }

    #[test]
    fn no_text_of_its_own_signs_brings_it_down(
        words in prop::collection::vec(prop::sample::select(vec![
            "(", ")", "-", "AND", "OR", "NOT", "=", "!=", "<", ":", "*", "\"", "'", "\\", ".", ",", " ", "\n", "é", "a",
            "state", "labels.", "FAILED", "create_time", "2026-01-01", "filename", "attempt", "7", "\u{202e}", "\0",
        ]), 0..40),
    ) {
        check(&words.concat());
        check(&words.join(" "));
    }
}

/// Never a panic; a problem lies within the text; what is understood can be shown and read again.
fn check(text: &str) {
    match parse(text) {
        Ok(None) => assert!(text.trim().is_empty()),
        Ok(Some(filter)) => {
            filter.holds(&Candidate::new(&job()));
            let shown = filter.to_string();
            if shown.len() <= MAX_BYTES && shown.matches('(').count() < MAX_DEPTH {
                assert_eq!(parse(&shown), Ok(Some(filter)), "{text} is shown as {shown}");
            }
        }
        Err(error) => assert!((1..=text.len().min(MAX_BYTES) + 1).contains(&error.at), "{text:?}: {error:?}"),
    }
}

/// Texts that once were, or could well be, trouble.
#[test]
fn the_corpus_is_harmless() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/filter");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 8);
    for file in files {
        check(&String::from_utf8_lossy(&std::fs::read(file).unwrap()));
    }
}
