//! Binds the examples of `PROTOCOL.md` to the types the bridge sends and reads.

use courant_bridge::Code;
use courant_bridge::bodies::NotificationsAnswer;
use courant_bridge::bodies::Problem;
use courant_bridge::bodies::SessionAnswer;
use courant_bridge::bodies::{BatchAnswer, DevicesAnswer, QuotaAnswer};
use courant_bridge::bodies::{JobAnswer, JobsAnswer};
use courant_bridge::wire::{Command, ServerMessage};
use courant_proto::v1::ErrorReason;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a poll answers with; the bridge writes it piece by piece.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PollAnswer {
    messages: Vec<ServerMessage>,
    cursors: std::collections::BTreeMap<String, Option<String>>,
}

const DOCUMENT: &str = include_str!("../../PROTOCOL.md");

/// The examples: kind, text and the line they begin at.
fn examples() -> Vec<(String, String, usize)> {
    let mut found: Vec<(String, String, usize)> = Vec::new();
    let mut inside = false;
    for (number, line) in DOCUMENT.lines().enumerate() {
        match (inside, line.strip_prefix("```")) {
            (false, Some(kind)) => {
                let kind = kind.strip_prefix("json").unwrap_or_else(|| panic!("line {}: not json", number + 1));
                found.push((kind.trim().to_owned(), String::new(), number + 2));
                inside = true;
            }
            (true, Some(_)) => inside = false,
            (true, None) => found.last_mut().unwrap().1.push_str(line),
            (false, None) => {}
        }
    }
    found
}

/// Reads an example into its type and writes it back: nothing may be lost, nothing added.
fn same<T: DeserializeOwned + Serialize>(text: &str, line: usize) {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("line {line}: {error}"));
    let read: T = serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("line {line}: {error}"));
    assert_eq!(serde_json::to_value(&read).unwrap(), value, "line {line}");
}

#[test]
fn every_example_is_what_the_bridge_speaks() {
    let examples = examples();
    for (kind, text, line) in &examples {
        match kind.as_str() {
            "client" => drop(Command::parse(text).unwrap_or_else(|error| panic!("line {line}: {error}"))),
            "server" => same::<ServerMessage>(text, *line),
            "problem" => same::<Problem>(text, *line),
            "submitted" => same::<JobAnswer>(text, *line),
            "jobs" => same::<JobsAnswer>(text, *line),
            "batch" => same::<BatchAnswer>(text, *line),
            "notifications" => same::<NotificationsAnswer>(text, *line),
            "quota" => same::<QuotaAnswer>(text, *line),
            "devices" => same::<DevicesAnswer>(text, *line),
            "session" => same::<SessionAnswer>(text, *line),
            "poll" => same::<PollAnswer>(text, *line),
            other => panic!("line {line}: nobody checks examples of the kind {other:?}"),
        }
    }
    assert!(examples.len() > 20, "only {} examples were found", examples.len());
}

#[test]
fn every_message_type_is_described() {
    let types = [
        "connected",
        "auth-error",
        "subscribed",
        "ok",
        "pong",
        "error",
        "snapshot",
        "live",
        "gap",
        "bookmark",
        "stalled",
        "unsubscribed",
        "draining",
        "closing",
        "job-queued",
        "job-started",
        "job-planned",
        "job-progress",
        "zone-processing",
        "zone-completed",
        "page-completed",
        "export-started",
        "export-progress",
        "export-completed",
        "export-failed",
        "job-retrying",
        "job-cancelling",
        "job-completed",
        "job-failed",
        "job-cancelled",
        "job-deleted",
        "queue-position",
        "queue-status",
        "system-metrics",
        "workers",
        "connections",
        "audit",
        "devices",
        "auth-expiring",
        "notification",
    ];
    for name in types {
        let described = DOCUMENT.contains(&format!("`{name}`")) || DOCUMENT.contains(&format!("\"type\":\"{name}\""));
        assert!(described, "{name} is not described");
        // The name is one the types know: any other error than an unknown variant will do.
        let error = serde_json::from_value::<ServerMessage>(serde_json::json!({ "type": name }));
        assert!(!error.is_err_and(|error| error.to_string().contains("unknown variant")), "{name} is not a type");
    }
}

/// Every `"NAME"` of at least two words after one of these beginnings, in a source file.
fn codes_in(source: &str, beginnings: &[&str]) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap();
    let after = |begin: &str| {
        source.split(begin).skip(1).map(|rest| rest.trim_start().trim_start_matches('"')).collect::<Vec<_>>()
    };
    let all = beginnings.iter().flat_map(|begin| after(begin));
    let name = all.map(|rest| {
        rest.chars().take_while(|letter| letter.is_ascii_uppercase() || *letter == '_').collect::<String>()
    });
    name.filter(|name| name.contains('_')).collect()
}

#[test]
fn every_field_of_a_submission_stands_in_the_document() {
    let section = DOCUMENT.split("**Submitting.**").nth(1).unwrap().split("\n\n").next().unwrap();
    for name in courant_bridge::bodies::parameters::SUBMIT.iter().map(|parameter| parameter.name) {
        assert!(section.contains(&format!("`{name}`")), "the paragraph about submitting does not name {name}");
    }
}

#[test]
fn every_code_there_is_stands_in_the_document_with_its_status() {
    let section = DOCUMENT.split("## 7. ").nth(1).unwrap().split("## 8. ").next().unwrap();
    for reason in (1..1000).filter_map(|number| ErrorReason::try_from(number).ok()) {
        let code = Code::Server(reason);
        let status = code.http().as_u16();
        let found = section
            .lines()
            .any(|line| line.starts_with(&format!("| {status} | `")) && line.contains(&format!("`{}`", code.name())));
        assert!(found, "section 7 has no row for {} with {status}", code.name());
    }
    let own = codes_in(include_str!("../../src/api_error.rs"), &["=>"]);
    assert!(own.len() > 10, "{own:?}");
    for code in own {
        assert!(section.contains(&format!("`{code}`")), "section 7 does not name {code}");
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut found = Vec::new();
    for (file, beginnings) in [
        ("server/src/worker/sweep.rs", &["code:"][..]),
        ("server/src/worker/reports.rs", &["code:"]),
        ("engine/src/large.rs", &["code:"]),
        ("server/src/worker/dispatch.rs", &["code:"]),
        ("server/src/worker/session.rs", &["code:"]),
        ("pdf/src/failure.rs", &["permanent(", "transient("]),
    ] {
        found.extend(codes_in(&std::fs::read_to_string(folder.join(file)).unwrap(), beginnings));
    }
    assert!(found.len() > 12, "{found:?}");
    for code in found {
        assert!(DOCUMENT.contains(&format!("`{code}`")), "PROTOCOL.md does not name the job error {code}");
    }
}
