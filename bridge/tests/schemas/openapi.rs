//! The HTTP side as an OpenAPI 3.1 document, whose schemas are those of the types.

use serde_json::{Map, Value, json};

use super::moved;

const AT: &str = "#/components/schemas/";

/// One operation: method, path, what it does, its query parameters and (in capitals) headers, its body and its answer.
struct Operation(&'static str, &'static str, &'static str, &'static [&'static str], Body, Answer);

enum Body {
    Nothing,
    Json(&'static str),
    Document,
    Piece,
}

/// What a good answer is.
enum Answer {
    Json(u16, &'static str),
    Empty,
    File,
    Page,
    Events,
    Text,
    Upload(u16),
}

use Answer::{Empty, Events, File, Page, Text, Upload};

const LIST: &[&str] = &["pageSize", "pageToken", "state", "documentId", "batchId", "label", "filter", "owner"];
const SUBMIT: &[&str] = &courant_bridge::bodies::SUBMIT_FIELDS;

const BEGIN: &[&str] = &["Tus-Resumable", "Upload-Length", "Upload-Metadata"];
const WRITE: &[&str] = &["owner", "Tus-Resumable", "Upload-Offset"];
const UPLOAD: &[&str] = &["owner", "Tus-Resumable"];

const OPERATIONS: &[Operation] = &[
    Operation("options", "/v1/uploads", "Says what of tus 1.0.0 there is", &[], Body::Nothing, Empty),
    Operation("post", "/v1/uploads", "Begins an upload, or finds it", BEGIN, Body::Piece, Upload(201)),
    Operation("head", "/v1/uploads/{id}", "Says how far an upload is", UPLOAD, Body::Nothing, Upload(200)),
    Operation("patch", "/v1/uploads/{id}", "Sends more of an upload", WRITE, Body::Piece, Upload(204)),
    Operation("delete", "/v1/uploads/{id}", "Gives up an upload", UPLOAD, Body::Nothing, Empty),
    Operation("post", "/v1/jobs", "Submits a document", SUBMIT, Body::Document, Answer::Json(201, "JobAnswer")),
    Operation("get", "/v1/jobs", "Lists jobs, newest first", LIST, Body::Nothing, Answer::Json(200, "JobsAnswer")),
    Operation("get", "/v1/jobs/{id}", "Reads a job", &[], Body::Nothing, Answer::Json(200, "JobAnswer")),
    Operation("delete", "/v1/jobs/{id}", "Removes an ended job", &[], Body::Nothing, Empty),
    Operation("post", "/v1/jobs/{id}:cancel", "Cancels a job", &[], Body::Nothing, Answer::Json(200, "JobAnswer")),
    Operation("post", "/v1/jobs/{id}:retry", "Tries a job again", &[], Body::Nothing, Answer::Json(200, "JobAnswer")),
    Operation("get", "/v1/jobs/{id}/pages/{page}", "What was found on a page that is done", &[], Body::Nothing, Page),
    Operation("get", "/v1/jobs/{id}/results/{format}", "Downloads a result", &[], Body::Nothing, File),
    Operation(
        "get",
        "/v1/jobs/{id}/outputs",
        "Lists what workers have made",
        &[],
        Body::Nothing,
        Answer::Json(200, "OutputsAnswer"),
    ),
    Operation("get", "/v1/jobs/{id}/outputs/{name}", "Downloads an output", &[], Body::Nothing, File),
    Operation("get", "/v1/batches/{id}", "Reads a batch", &["owner"], Body::Nothing, Answer::Json(200, "BatchAnswer")),
    Operation(
        "post",
        "/v1/batches/{id}:cancel",
        "Cancels a batch",
        &["owner"],
        Body::Nothing,
        Answer::Json(200, "BatchAnswer"),
    ),
    Operation(
        "post",
        "/v1/session",
        "Puts the token into a cookie",
        &[],
        Body::Nothing,
        Answer::Json(200, "SessionAnswer"),
    ),
    Operation("get", "/v1/session", "Whose session it is", &[], Body::Nothing, Answer::Json(200, "SessionAnswer")),
    Operation("delete", "/v1/session", "Ends the session", &[], Body::Nothing, Empty),
    Operation("get", "/v1/jobs/{id}/document", "Downloads the document", &[], Body::Nothing, File),
    Operation(
        "get",
        "/v1/push/key",
        "Reads the key for Web Push",
        &[],
        Body::Nothing,
        Answer::Json(200, "PushKeyAnswer"),
    ),
    Operation(
        "put",
        "/v1/push/subscriptions",
        "Subscribes a browser to Web Push",
        &[],
        Body::Json("PushSubscription"),
        Empty,
    ),
    Operation("delete", "/v1/push/subscriptions", "Ends a subscription to Web Push", &[], Body::Json("PushEnd"), Empty),
    Operation("get", "/v1/queue", "Reads the queue", &[], Body::Nothing, Answer::Json(200, "QueueAnswer")),
    Operation(
        "get",
        "/v1/devices",
        "Lists connected devices",
        &["user"],
        Body::Nothing,
        Answer::Json(200, "DevicesAnswer"),
    ),
    Operation("get", "/v1/quota", "Reads quotas", &["owner"], Body::Nothing, Answer::Json(200, "QuotaAnswer")),
    Operation(
        "get",
        "/v1/system",
        "Reads the statistics (admins)",
        &[],
        Body::Nothing,
        Answer::Json(200, "FiguresAnswer"),
    ),
    Operation("get", "/v1/workers", "Lists workers (admins)", &[], Body::Nothing, Answer::Json(200, "WorkersAnswer")),
    Operation(
        "post",
        "/v1/workers/{id}:drain",
        "Drains a worker (admins)",
        &[],
        Body::Nothing,
        Answer::Json(200, "WorkerAnswer"),
    ),
    Operation(
        "post",
        "/v1/workers/{id}:resume",
        "Resumes a worker (admins)",
        &[],
        Body::Nothing,
        Answer::Json(200, "WorkerAnswer"),
    ),
    Operation(
        "get",
        "/v1/notifications",
        "Lists notifications",
        &["pageSize", "unread"],
        Body::Nothing,
        Answer::Json(200, "NotificationsAnswer"),
    ),
    Operation(
        "post",
        "/v1/notifications",
        "Sends a notification (services, admins)",
        &[],
        Body::Json("Notify"),
        Answer::Json(200, "NotificationAnswer"),
    ),
    Operation(
        "post",
        "/v1/notifications:read",
        "Marks notifications as read",
        &[],
        Body::Json("Read"),
        Answer::Json(200, "UnreadAnswer"),
    ),
    Operation(
        "get",
        "/v1/events",
        "Follows topics as Server-Sent Events",
        &["topic", "after", "minIntervalMs", "deviceId", "deviceName"],
        Body::Nothing,
        Events,
    ),
    Operation(
        "get",
        "/v1/events:poll",
        "Follows topics by long polling",
        &["topic", "after", "minIntervalMs", "wait", "deviceId", "deviceName"],
        Body::Nothing,
        Answer::Json(200, "PollAnswer"),
    ),
    Operation("get", "/metrics", "Reads the bridge's counters (admins)", &[], Body::Nothing, Text),
    Operation("get", "/livez", "Whether the process lives", &[], Body::Nothing, Text),
    Operation("get", "/readyz", "Whether it can serve", &[], Body::Nothing, Text),
    Operation("get", "/healthz", "The same as readyz", &[], Body::Nothing, Text),
];

pub fn document(types: &Map<String, Value>) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for Operation(method, path, summary, query, body, answer) in OPERATIONS {
        let mut operation = json!({
            "summary": summary,
            "parameters": parameters(path, query),
            "responses": responses(answer),
        });
        if let Some(body) = content(body) {
            operation["requestBody"] = body;
        }
        let is_open = !path.starts_with("/v1") && *path != "/metrics";
        if is_open || *method == "options" {
            operation["security"] = json!([]);
        }
        paths.entry((*path).to_owned()).or_insert_with(|| json!({}))[*method] = operation;
    }
    let schemas: Map<_, _> = types.iter().map(|(name, schema)| (name.clone(), moved(schema, AT))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Courant, HTTP side of the bridge", "version": "1", "description": "What PROTOCOL.md says in section 8, for programs."},
        "security": [{"bearer": []}, {"cookie": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "__Host-courant"},
            },
        },
    })
}

fn parameters(path: &str, query: &[&str]) -> Vec<Value> {
    let text = json!({"type": "string"});
    let within = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let paths = within.map(|name| json!({"name": name, "in": "path", "required": true, "schema": text}));
    let named = query.iter().map(|name| {
        let is_header = name.starts_with(char::is_uppercase);
        json!({"name": name, "in": if is_header { "header" } else { "query" }, "schema": text})
    });
    paths.chain(named).collect()
}

fn schema(name: &str) -> Value {
    json!({"$ref": format!("{AT}{name}")})
}

fn content(body: &Body) -> Option<Value> {
    match body {
        Body::Nothing => None,
        Body::Json(name) => Some(json!({"required": true, "content": {"application/json": {"schema": schema(name)}}})),
        Body::Piece => Some(json!({"required": false, "content": {"application/offset+octet-stream": {}}})),
        Body::Document => Some(json!({"required": true, "content": {
            "application/pdf": {},
            "multipart/form-data": {"schema": {"type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}}}},
        }})),
    }
}

fn responses(answer: &Answer) -> Value {
    let (status, good) = match answer {
        Answer::Json(status, name) => {
            (*status, json!({"description": "Done", "content": {"application/json": {"schema": schema(name)}}}))
        }
        Empty => (204, json!({"description": "Done"})),
        File => (
            200,
            json!({"description": "The bytes; also 206 with a Range and 304 with If-None-Match", "content": {"*/*": {}}}),
        ),
        Page => (
            200,
            json!({"description": "The page as its worker wrote it; also 304 with If-None-Match", "content": {"application/json": {}}}),
        ),
        Events => (
            200,
            json!({"description": "One message in each event", "content": {"text/event-stream": {"schema": {"type": "string"}}}}),
        ),
        Upload(status) => (*status, json!({"description": "Done", "headers": upload_headers()})),
        Text => (200, json!({"description": "Text", "content": {"text/plain": {"schema": {"type": "string"}}}})),
    };
    let mut all = Map::new();
    all.insert(status.to_string(), good);
    all.insert(
        "default".into(),
        json!({"description": "A problem", "content": {"application/problem+json": {"schema": schema("Problem")}}}),
    );
    all.into()
}

fn upload_headers() -> Value {
    let said = [
        ("Location", "Of a new upload: its address"),
        ("Upload-Offset", "Bytes that have arrived"),
        ("Upload-Length", "Bytes of the document"),
        ("Upload-Expires", "When it goes if nothing more comes"),
        ("Courant-Job", "Once it is finished: the job"),
        ("Courant-Cursor", "Once it is finished: just before the job's first event"),
    ];
    let header =
        |(name, what): (&str, &str)| (name.to_owned(), json!({"description": what, "schema": {"type": "string"}}));
    Value::Object(said.into_iter().map(header).collect())
}
