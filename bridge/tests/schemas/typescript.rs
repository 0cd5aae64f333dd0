//! TypeScript types from the schemas.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// A module with one exported type for each definition.
pub fn module(types: &Map<String, Value>) -> String {
    let mut out = String::from(
        "// biome-ignore-all format: generated\n// biome-ignore-all lint: generated\n// biome-ignore-all assist: generated\n\n/**\n * What goes over the wire, made from the bridge's own types. Not to be edited: a test of the bridge compares it,\n \
         * and writes it anew with `COURANT_WRITE_SCHEMAS=1 cargo test -p courant-bridge --features schema --test schemas`.\n */\n",
    );
    for (name, schema) in types {
        out.push('\n');
        comment(&mut out, schema, 0);
        writeln!(out, "export type {name} = {};", shape(schema, 0)).unwrap();
    }
    out
}

fn comment(out: &mut String, schema: &Value, depth: usize) {
    if let Some(text) = schema["description"].as_str() {
        let line = text
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .replace("*/", "* /")
            .replace("[`", "`")
            .replace("`]", "`");
        writeln!(out, "{}/** {line} */", "  ".repeat(depth)).unwrap();
    }
}

fn shape(schema: &Value, depth: usize) -> String {
    let mut parts = Vec::new();
    if let Some(target) = schema["$ref"].as_str() {
        parts.push(target.trim_start_matches("#/$defs/").to_owned());
    }
    for (key, joint) in [("oneOf", " | "), ("anyOf", " | "), ("allOf", " & ")] {
        if let Some(several) = schema[key].as_array() {
            let several: Vec<_> = several.iter().map(|one| shape(one, depth)).collect();
            let joined = several.join(joint);
            parts.push(if several.len() > 1 { format!("({joined})") } else { joined });
        }
    }
    match (&schema["const"], &schema["enum"], &schema["type"]) {
        (Value::Null, Value::Null, Value::String(kind)) => parts.push(plain(kind, schema, depth)),
        (Value::Null, Value::Null, Value::Array(kinds)) => {
            let all: Vec<_> = kinds.iter().map(|kind| plain(kind.as_str().unwrap(), schema, depth)).collect();
            parts.push(all.join(" | "));
        }
        (Value::Null, Value::Array(values), _) => {
            parts.push(values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | "));
        }
        (Value::Null, _, _) => {}
        (value, _, _) => parts.push(value.to_string()),
    }
    if parts.is_empty() { "unknown".to_owned() } else { parts.join(" & ") }
}

fn plain(kind: &str, schema: &Value, depth: usize) -> String {
    match kind {
        "string" => "string".into(),
        "integer" | "number" => "number".into(),
        "boolean" => "boolean".into(),
        "null" => "null".into(),
        "array" => format!("readonly ({})[]", shape(&schema["items"], depth)),
        "object" => object(schema, depth),
        other => panic!("no TypeScript for {other}"),
    }
}

fn object(schema: &Value, depth: usize) -> String {
    let Some(fields) = schema["properties"].as_object() else {
        let values = &schema["additionalProperties"];
        return match values {
            Value::Object(_) => format!("{{ readonly [name: string]: {} }}", shape(values, depth)),
            _ => "object".to_owned(),
        };
    };
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut out = String::from("{\n");
    for (name, field) in fields {
        comment(&mut out, field, depth + 1);
        let optional = if required.contains(&name.as_str()) { "" } else { "?" };
        let indent = "  ".repeat(depth + 1);
        writeln!(out, "{indent}readonly {name}{optional}: {};", shape(field, depth + 1)).unwrap();
    }
    out + &"  ".repeat(depth) + "}"
}
