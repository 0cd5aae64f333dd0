//! The WebSocket side as an AsyncAPI 3 document.

use serde_json::{Map, Value, json};

use super::moved;

const AT: &str = "#/components/schemas/";

/// All messages, each under its own name, in both directions.
pub fn document(types: &Map<String, Value>) -> Value {
    let (mut messages, mut refs) = (Map::new(), Map::new());
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    for (direction, name) in [("server", "ServerMessage"), ("client", "ClientMessage")] {
        for variant in types[name]["oneOf"].as_array().unwrap() {
            let kind = variant["properties"]["type"]["const"].as_str().unwrap();
            let key = format!("{direction}.{kind}");
            messages.insert(key.clone(), json!({"name": kind, "payload": moved(variant, AT)}));
            refs.insert(key.clone(), json!({"$ref": format!("#/components/messages/{key}")}));
            let list = if direction == "server" { &mut sent } else { &mut received };
            list.push(json!({"$ref": format!("#/channels/socket/messages/{key}")}));
        }
    }
    let schemas: Map<_, _> = types.iter().map(|(name, schema)| (name.clone(), moved(schema, AT))).collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Courant, browser protocol",
            "version": "1",
            "description": "What PROTOCOL.md says, for programs. Operations are those of the bridge.",
        },
        "defaultContentType": "application/json",
        "channels": {"socket": {
            "address": "/ws",
            "description": "A WebSocket with the subprotocol courant.v1.json.",
            "messages": refs,
            "bindings": {"ws": {"method": "GET"}},
        }},
        "operations": {
            "tell": {"action": "send", "channel": {"$ref": "#/channels/socket"}, "messages": sent},
            "hear": {"action": "receive", "channel": {"$ref": "#/channels/socket"}, "messages": received},
        },
        "components": {"messages": messages, "schemas": schemas},
    })
}
