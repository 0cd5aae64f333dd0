//! Bodies of requests.

use courant_bridge::bodies::Parameter;
use courant_bridge::bodies::parameters::{CONVERT, SUBMIT};
use serde_json::{Map, Value, json};

use super::call::Body;
use super::{parameters, schema};

pub fn of(body: Body) -> Option<Value> {
    match body {
        Body::Nothing => None,
        Body::Json(name) => Some(json!({"required": true, "content": {"application/json": {"schema": schema(name)}}})),
        Body::MayBeJson(name) => {
            Some(json!({"required": false, "content": {"application/json": {"schema": schema(name)}}}))
        }
        Body::Piece => {
            Some(json!({"required": true, "content": {"application/offset+octet-stream": {"schema": bytes()}}}))
        }
        Body::MayBePiece => {
            Some(json!({"required": false, "content": {"application/offset+octet-stream": {"schema": bytes()}}}))
        }
        Body::Document => Some(submission(&[SUBMIT])),
        Body::Conversion => Some(submission(&[CONVERT, SUBMIT])),
    }
}

fn submission(parts: &[&[Parameter]]) -> Value {
    json!({
            "required": true,
            "description": "The document itself, of any media type, with all else in the query; or a form, whose text parts add to the \
                query and come before the part `file`.",
            "content": {
                "application/octet-stream": {"schema": document()},
                "application/pdf": {"schema": document()},
                "multipart/form-data": {"schema": form(parts)},
            },
    })
}

fn bytes() -> Value {
    json!({"type": "string", "format": "binary"})
}

fn document() -> Value {
    json!({"type": "string", "format": "binary", "minLength": 1})
}

fn form(known: &[&[Parameter]]) -> Value {
    let mut parts: Map<String, Value> = known
        .iter()
        .copied()
        .flatten()
        .map(|parameter| {
            let mut part = parameters::schema(parameter.kind);
            part["description"] = parameter.about.into();
            (parameter.name.to_owned(), part)
        })
        .collect();
    parts.insert(
        "password".into(),
        json!({"type": "string", "minLength": 1, "maxLength": 1024, "description": "Opens the document."}),
    );
    let mut file = document();
    file["description"] = "The document: the last part.".into();
    parts.insert("file".into(), file);
    json!({"type": "object", "required": ["file"], "additionalProperties": false, "properties": parts})
}
