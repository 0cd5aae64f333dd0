//! Invariants of what a client may send, over anything it could send.

use courant_bridge::wire::command::ClientMessage;
use courant_bridge::wire::invariants;
use courant_bridge::wire::packed::binary;
use courant_bridge::wire::{Command, CommandError, TopicName};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Any JSON, a few levels deep.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z]{1,8}", inner, 0..4)
                .prop_map(|fields| Value::from(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Objects that look like commands, with fields that are right, wrong or missing.
fn almost_a_command() -> impl Strategy<Value = Value> {
    const FIELDS: &[&str] = &["id", "type", "token", "topic", "cursor", "after", "minIntervalMs", "ids", "x"];
    const KINDS: &[&str] = &[
        "auth",
        "subscribe",
        "unsubscribe",
        "subscribe-admin",
        "unsubscribe-admin",
        "request-system-metrics",
        "mark-read",
        "ping",
        "ack",
        "dance",
    ];
    let right = (any::<u32>(), prop::sample::select(KINDS), ".{0,20}").prop_map(|(id, kind, text)| {
        json!({"id": id, "type": kind, "token": text, "topic": text, "cursor": text, "after": text, "minIntervalMs": id, "ids": [text]})
    });
    let field = prop::sample::select(FIELDS);
    (right, prop::option::of((field, prop::option::of(json())))).prop_map(|(mut command, change)| {
        let fields = command.as_object_mut().expect("it is an object");
        match change {
            Some((name, Some(value))) => drop(fields.insert(name.to_owned(), value)),
            Some((name, None)) => drop(fields.remove(name)),
            None => {}
        }
        command
    })
}

#[test]
fn the_invariants_hold_for_all_that_the_fuzzer_keeps() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/inbound");
    let mut found = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        invariants::check(&std::fs::read(entry.unwrap().path()).unwrap());
        found += 1;
    }
    assert!(found > 5, "{found}");
}

proptest! {
    #[test]
    fn the_invariants_hold_for_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        invariants::check(&bytes);
    }

    #[test]
    fn the_invariants_hold_for_what_looks_like_a_command(value in almost_a_command()) {
        invariants::check(value.to_string().as_bytes());
        invariants::check(&binary(&value.to_string(), usize::MAX));
    }

    #[test]
    fn any_text_is_a_command_or_told_what_is_wrong(text in ".{0,200}") {
        let _ = Command::parse(&text);
        let _ = text.parse::<TopicName>();
    }

    #[test]
    fn any_json_is_a_command_or_told_what_is_wrong(value in json()) {
        let _ = Command::parse(&value.to_string());
    }

    #[test]
    fn what_is_read_is_what_the_schema_describes(value in almost_a_command()) {
        let read = Command::parse(&value.to_string());
        let described = serde_json::from_value::<ClientMessage>(value.clone());
        match read {
            Ok(command) => {
                prop_assert!(described.is_ok(), "{value}: {described:?}");
                prop_assert_eq!(command.id, value.get("id").and_then(Value::as_u64));
            }
            // An id that is none is seen by the parser alone.
            Err(CommandError::Bad { id: None, .. }) => {}
            Err(CommandError::Bad { id: Some(id), .. }) => {
                prop_assert_eq!(Some(id), value["id"].as_u64());
                prop_assert!(described.is_err(), "{value}");
            }
            Err(CommandError::Unknown { .. }) => prop_assert!(described.is_err(), "{value}"),
        }
    }

    #[test]
    fn topics_read_back_as_written(kind in "job|document|batch", id in "[^\\p{Cc}]{1,40}") {
        let text = format!("{kind}/{id}");
        match text.parse::<TopicName>() {
            Ok(topic) => prop_assert_eq!(topic.to_string(), text),
            Err(_) => prop_assert!(id.len() > 128),
        }
    }
}
