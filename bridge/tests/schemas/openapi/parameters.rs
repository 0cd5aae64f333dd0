//! Parameters and headers of requests, by the tables that the bridge reads them by.

use courant_bridge::bodies::{Kind, Parameter, parameters};
use serde_json::{Value, json};

use super::call::{Call, Header, HeaderKind};

pub fn of(call: &Call) -> Vec<Value> {
    let path = call.path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).map(in_path);
    let query = call.query.iter().copied().flatten().map(in_query);
    path.chain(query).chain(call.headers.iter().map(in_header)).collect()
}

fn in_path(name: &str) -> Value {
    let schema = match name {
        "page" => json!({"type": "integer", "minimum": 1, "maximum": i32::MAX}),
        "format" => json!({"enum": parameters::FORMATS, "type": "string"}),
        _ => json!({"type": "string", "minLength": 1}),
    };
    let about = match name {
        "page" => "From 1.",
        "name" => "As the output is listed; a `/` in it may be `%2F`.",
        "format" => "The format of the result.",
        _ => "Its id.",
    };
    json!({"name": name, "in": "path", "required": true, "description": about, "schema": schema})
}

fn in_query(parameter: &Parameter) -> Value {
    let kind = match parameter.kind {
        Kind::Text(most) => Kind::Text(most.min(parameters::MOST_IN_QUERY)),
        kind => kind,
    };
    json!({"name": parameter.name, "in": "query", "required": false, "description": parameter.about, "schema": schema(kind)})
}

/// What a value of this kind may be.
pub fn schema(kind: Kind) -> Value {
    match kind {
        Kind::Text(most) => json!({"type": "string", "maxLength": most}),
        Kind::Pattern(pattern) => json!({"type": "string", "pattern": pattern}),
        Kind::Integer(least, i64::MAX) => json!({"type": "integer", "format": "int64", "minimum": least}),
        Kind::Integer(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Kind::Seconds => json!({"type": "number", "minimum": 0}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::OneOf(words) => json!({"type": "string", "enum": words}),
        Kind::AnyOf(words) => json!({"type": "array", "items": {"type": "string", "enum": words}}),
        Kind::Labels => {
            json!({"type": "array", "items": {"type": "string", "pattern": "^[^:]{1,63}:"}, "maxItems": 32})
        }
        Kind::Texts => json!({"type": "array", "items": {"type": "string"}}),
    }
}

fn in_header(header: &Header) -> Value {
    let schema = match header.kind {
        HeaderKind::Text => json!({"type": "string"}),
        HeaderKind::Exactly(value) => json!({"type": "string", "enum": [value]}),
        HeaderKind::OneOf(values) => json!({"type": "string", "enum": values}),
        HeaderKind::AtLeast(least) => json!({"type": "integer", "format": "int64", "minimum": least}),
    };
    json!({"name": header.name, "in": "header", "required": header.required, "description": header.about, "schema": schema})
}
