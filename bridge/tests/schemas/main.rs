//! The machine-readable descriptions of the protocol are made from the types the bridge speaks, and committed. When one of
//! types, descriptions and `PROTOCOL.md` moves without the others, a test here fails.
//!
//! `COURANT_WRITE_SCHEMAS=1 cargo test -p courant-bridge --features schema --test schemas` writes them again; then
//! `npm run --prefix bridge/web generate` writes the TypeScript types and readers, which a test of the client compares.

#![allow(clippy::unwrap_used, reason = "a description that cannot be made fails the test")]

mod asyncapi;
mod openapi;

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use courant_bridge::bodies::OutputsAnswer;
use courant_bridge::bodies::Problem;
use courant_bridge::bodies::SessionAnswer;
use courant_bridge::bodies::{
    BatchAnswer, DevicesAnswer, QueueAnswer, QuotaAnswer, SystemAnswer, WorkerAnswer, WorkersAnswer,
};
use courant_bridge::bodies::{JobAnswer, JobsAnswer, Retry};
use courant_bridge::bodies::{
    NewWebhook, WebhookAnswer, WebhookChange, WebhookDeliveriesAnswer, WebhookReplay, WebhookRotation,
    WebhookTestAnswer, WebhooksAnswer,
};
use courant_bridge::bodies::{NotificationAnswer, NotificationsAnswer, Notify, Read, UnreadAnswer};
use courant_bridge::bodies::{PushEnd, PushKeyAnswer, PushSubscription};
use courant_bridge::wire::command::ClientMessage;
use courant_bridge::wire::packed::{PLAIN, binary};
use courant_bridge::wire::{Command, ServerMessage};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

const DOCUMENT: &str = include_str!("../../PROTOCOL.md");

/// What a poll answers with; the bridge writes it piece by piece.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "only its schema is used")]
struct PollAnswer {
    messages: Vec<ServerMessage>,
    cursors: std::collections::BTreeMap<String, Option<String>>,
}

/// The bodies of requests over HTTP: what may be left out is not required.
fn request_bodies() -> Map<String, Value> {
    let mut generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    generator.subschema_for::<PushSubscription>();
    generator.subschema_for::<PushEnd>();
    generator.subschema_for::<Notify>();
    generator.subschema_for::<Read>();
    generator.subschema_for::<Retry>();
    generator.subschema_for::<NewWebhook>();
    generator.subschema_for::<WebhookChange>();
    generator.subschema_for::<WebhookRotation>();
    generator.subschema_for::<WebhookReplay>();
    generator.take_definitions(true)
}

/// All types, by name, as JSON Schema 2020-12. References point into `$defs`.
fn definitions() -> Map<String, Value> {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let add = |generator: &mut SchemaGenerator| {
        generator.subschema_for::<ServerMessage>();
        generator.subschema_for::<ClientMessage>();
        generator.subschema_for::<JobAnswer>();
        generator.subschema_for::<JobsAnswer>();
        generator.subschema_for::<OutputsAnswer>();
        generator.subschema_for::<BatchAnswer>();
        generator.subschema_for::<QueueAnswer>();
        generator.subschema_for::<QuotaAnswer>();
        generator.subschema_for::<DevicesAnswer>();
        generator.subschema_for::<SessionAnswer>();
        generator.subschema_for::<WorkersAnswer>();
        generator.subschema_for::<WorkerAnswer>();
        generator.subschema_for::<SystemAnswer>();
        generator.subschema_for::<NotificationsAnswer>();
        generator.subschema_for::<NotificationAnswer>();
        generator.subschema_for::<UnreadAnswer>();
        generator.subschema_for::<PushKeyAnswer>();
        generator.subschema_for::<WebhooksAnswer>();
        generator.subschema_for::<WebhookAnswer>();
        generator.subschema_for::<WebhookTestAnswer>();
        generator.subschema_for::<WebhookDeliveriesAnswer>();
        generator.subschema_for::<PollAnswer>();
        generator.subschema_for::<Problem>();
    };
    add(&mut generator);
    let mut all = generator.take_definitions(true);
    all.extend(request_bodies());
    for variant in all["ClientMessage"]["oneOf"].as_array_mut().unwrap() {
        // Every command may have an id; it is read apart from the rest.
        variant["properties"]["id"] = json!({"type": "integer", "minimum": 0, "maximum": (1u64 << 53) - 1,
            "description": "Chosen by the client; the reply carries it."});
    }
    all
}

/// The schema with its references turned to where another document keeps its types.
fn moved(value: &Value, to: &str) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(name, inner)| (name.clone(), moved(inner, to))).collect(),
        Value::Array(items) => items.iter().map(|item| moved(item, to)).collect(),
        Value::String(text) => text.replace("#/$defs/", to).into(),
        other => other.clone(),
    }
}

/// Compares with what is committed, or writes it.
fn committed(path: &str, made: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("COURANT_WRITE_SCHEMAS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, made).unwrap();
        return;
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let same = there == made;
    assert!(same, "{} is not what the types say; write it again with COURANT_WRITE_SCHEMAS=1", path.display());
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

#[test]
fn the_json_schemas_are_those_of_the_types() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Messages of the browser protocol of Courant, version 1",
        "$defs": definitions(),
    });
    committed("schema/messages.schema.json", &pretty(&schema));
}

#[test]
fn the_asyncapi_document_is_that_of_the_types() {
    committed("schema/asyncapi.json", &pretty(&asyncapi::document(&definitions())));
}

#[test]
fn the_openapi_document_is_that_of_the_types() {
    committed("schema/openapi.json", &pretty(&openapi::document(&definitions())));
}

/// Examples of the document of one kind.
fn examples(kind: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut lines = DOCUMENT.lines();
    while let Some(line) = lines.next() {
        if line.strip_prefix("```json").is_some_and(|named| named.trim() == kind) {
            let text: String = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
            found.push(serde_json::from_str(&text).unwrap());
        }
    }
    found
}

/// The bytes of compressed messages are not fixed: another library may find a shorter form.
#[test]
fn the_golden_messages_are_the_examples_in_both_formats() {
    let golden = |kind: &'static str| {
        examples(kind).into_iter().map(move |example| {
            let packed = binary(&example.to_string(), usize::MAX);
            let read: Value = rmp_serde::from_slice(&packed[1..]).unwrap();
            assert_eq!((packed[0], &read), (PLAIN, &example));
            if kind == "client" {
                assert_eq!(Command::parse_packed(&packed[1..]), Command::parse(&example.to_string()));
            }
            json!({"from": kind, "json": example, "msgpack": BASE64.encode(&packed)})
        })
    };
    let all: Vec<Value> = golden("client").chain(golden("server")).collect();
    committed("schema/golden.json", &pretty(&json!(all)));
}

#[test]
fn every_example_fits_the_schema() {
    let all = definitions();
    for (kind, name) in [
        ("server", "ServerMessage"),
        ("client", "ClientMessage"),
        ("problem", "Problem"),
        ("submitted", "JobAnswer"),
        ("jobs", "JobsAnswer"),
        ("batch", "BatchAnswer"),
        ("quota", "QuotaAnswer"),
        ("devices", "DevicesAnswer"),
        ("session", "SessionAnswer"),
        ("notifications", "NotificationsAnswer"),
        ("poll", "PollAnswer"),
    ] {
        let schema = json!({"$ref": format!("#/$defs/{name}"), "$defs": all});
        let judge = jsonschema::validator_for(&schema).unwrap();
        let examples = examples(kind);
        assert!(!examples.is_empty(), "there is no example of {kind}");
        for example in examples {
            let faults: Vec<_> = judge.iter_errors(&example).map(|fault| fault.to_string()).collect();
            assert!(faults.is_empty(), "{example}\n{faults:?}");
        }
    }
    // And it can refuse: a schema that takes everything would prove nothing.
    let schema = json!({"$ref": "#/$defs/ServerMessage", "$defs": all});
    for bad in [json!({"type": "dance"}), json!({"type": "live", "topic": 5, "cursor": "c"}), json!({"type": "live"})] {
        assert!(!jsonschema::is_valid(&schema, &bad), "{bad}");
    }
}

#[test]
fn every_message_of_the_types_has_an_example_and_a_command_is_read() {
    let kinds = |name: &str| -> Vec<String> {
        let all = definitions();
        let variants = all[name]["oneOf"].as_array().unwrap();
        variants.iter().map(|variant| variant["properties"]["type"]["const"].as_str().unwrap().to_owned()).collect()
    };
    let named = |kind: &str| DOCUMENT.contains(&format!("`{kind}`"));
    for kind in kinds("ServerMessage") {
        let shown = examples("server").iter().any(|example| example["type"] == kind.as_str());
        assert!(shown || named(&kind), "PROTOCOL.md says nothing about {kind}");
    }
    for kind in kinds("ClientMessage") {
        let example = examples("client").into_iter().find(|example| example["type"] == kind.as_str());
        let example = example.unwrap_or_else(|| panic!("PROTOCOL.md has no example of {kind}"));
        Command::parse(&example.to_string()).unwrap();
    }
}
