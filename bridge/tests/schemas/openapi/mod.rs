//! The HTTP side as an OpenAPI 3.1 document: its schemas are those of the types, its parameters those that requests are read by, its
//! errors those of the codes.

mod bodies;
mod call;
mod calls;
mod parameters;
mod responses;
mod uploads;
mod webhooks;

use serde_json::{Map, Value, json};

use self::call::Call;
use super::moved;

const AT: &str = "#/components/schemas/";

const TAGS: [(&str, &str); 8] = [
    ("jobs", "Submit documents, follow and change jobs, read results"),
    ("uploads", "Resumable uploads by tus 1.0.0"),
    ("events", "Topics without a WebSocket"),
    ("notifications", "Notifications and Web Push"),
    ("webhooks", "Events of jobs, sent to a URL of yours"),
    ("session", "The session cookie"),
    ("service", "The queue, quotas, devices, workers"),
    ("operation", "Probes and metrics"),
];

pub fn document(types: &Map<String, Value>) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for call in calls::CALLS.iter().chain(uploads::CALLS).chain(webhooks::CALLS) {
        paths.entry(call.path).or_insert_with(|| json!({}))[call.method] = operation(call);
    }
    let schemas: Map<_, _> = types.iter().map(|(name, schema)| (name.clone(), moved(schema, AT))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Courant, HTTP side of the bridge",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What PROTOCOL.md says in section 8, for programs.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [
            {"url": "http://127.0.0.1:8080", "description": "`courant up` on this machine"},
            {"url": "https://{host}", "description": "A bridge under TLS", "variables": {"host": {"default": "courant.example"}}},
        ],
        "tags": TAGS.map(|(name, about)| json!({"name": name, "description": about})),
        "security": [{"bearer": []}, {"cookie": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": responses::problems(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-courant",
                    "description": "For pages; `courant` where browsers come by plain http",
                },
            },
        },
    })
}

fn operation(call: &Call) -> Value {
    let mut operation = json!({
        "operationId": call.id,
        "tags": [call.tag],
        "summary": call.summary,
        "parameters": parameters::of(call),
        "responses": responses::of(call),
    });
    if let Some(body) = bodies::of(call.body) {
        operation["requestBody"] = body;
    }
    if !call.needs_token() {
        operation["security"] = json!([]);
    }
    operation
}

fn schema(name: &str) -> Value {
    json!({"$ref": format!("{AT}{name}")})
}
