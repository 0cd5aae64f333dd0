//! Answers, good and bad.

use std::collections::BTreeMap;

use courant_bridge::Code;
use courant_proto::v1::ErrorReason;
use serde_json::{Map, Value, json};

use super::call::{Answer, Call};
use super::schema;

/// What any call with a token may be refused with.
const ALWAYS: [u16; 5] = [400, 401, 429, 500, 503];
/// The codes of the bridge itself that answers over HTTP have.
const OWN: [Code; 11] = [
    Code::NotAcceptable,
    Code::JobFailed,
    Code::BadMessage,
    Code::OriginForbidden,
    Code::RateLimited,
    Code::ServerUnavailable,
    Code::NotFound,
    Code::MethodNotAllowed,
    Code::TusVersion,
    Code::ContentType,
    Code::UpgradeRequired,
];

pub fn of(call: &Call) -> Value {
    let mut all = good(call.answer);
    let always = ALWAYS.iter().filter(|_| call.needs_token());
    for status in always.chain(call.refusals) {
        let problem = json!({"$ref": format!("#/components/responses/Problem{status}")});
        // To HEAD no answer has a body.
        let bare = json!({"description": "Refused"});
        all.insert(status.to_string(), if call.method == "head" { bare } else { problem });
    }
    all.into()
}

fn good(answer: Answer) -> Map<String, Value> {
    let mut all = Map::new();
    let mut add = |status: u16, value: Value| all.insert(status.to_string(), value);
    match answer {
        Answer::Json(status, name) => add(status, json_of("Done", &schema(name))),
        Answer::Created(name) => {
            let mut created = json_of("There is a job", &schema(name));
            created["headers"] = headers(&[("Location", "The job's path")]);
            created["links"] = links();
            add(201, created)
        }
        Answer::Converted => {
            add(202, accepted());
            add(
                200,
                json!({"description": "The result, of the media type of its format or output",
                "content": {"*/*": {"schema": {}}}, "headers": headers(&[COURANT_JOB, ("Content-Location", "The job's path")])}),
            )
        }
        Answer::Empty => add(204, json!({"description": "Done"})),
        Answer::File(kind) => {
            // Any schema: what a format or an output holds is not told here.
            let content = json!({"*/*": {"schema": {}}});
            let whole = [ETAG, ("Content-Disposition", "With the name of the file"), ("Accept-Ranges", "`bytes`")];
            add(
                206,
                json!({"description": "The part that was asked for", "content": content,
                "headers": headers(&[ETAG, ("Content-Range", "Which bytes of how many")])}),
            );
            add(304, json!({"description": "Still what you have"}));
            add(
                200,
                json!({"description": format!("All of it. {kind}"), "content": content, "headers": headers(&whole)}),
            )
        }
        Answer::Page => {
            add(304, json!({"description": "Still what you have"}));
            let mut page = json_of("The page as its worker wrote it", &json!({}));
            page["headers"] = headers(&[ETAG]);
            add(200, page)
        }
        Answer::Events => add(200, text("One message in each event", "text/event-stream")),
        Answer::Text(kind) => add(200, text("Text", kind)),
        Answer::Ready => {
            add(503, text("Why it cannot serve", "text/plain"));
            add(200, text("It can serve", "text/plain"))
        }
        Answer::Upload(status) => {
            if status == 204 {
                add(200, json!({"description": "How far it is", "headers": headers(&UPLOAD[1..])}));
            }
            add(
                status,
                json!({"description": "How far it is", "headers": headers(&UPLOAD[usize::from(status != 201)..])}),
            )
        }
        Answer::UploadOptions => add(204, json!({"description": "What there is", "headers": headers(&OPTIONS)})),
    };
    all
}

const COURANT_JOB: (&str, &str) = ("Courant-Job", "The job");
const ETAG: (&str, &str) = ("ETag", "For `If-None-Match` and `If-Range`");
const OPTIONS: [(&str, &str); 3] = [
    ("Tus-Version", "The version of the protocol"),
    ("Tus-Extension", "Its extensions that are known, with commas between them"),
    ("Tus-Max-Size", "The most bytes a document may have"),
];
const UPLOAD: [(&str, &str); 6] = [
    ("Location", "Its address"),
    ("Upload-Offset", "Bytes that have arrived"),
    ("Upload-Length", "Bytes of the document"),
    ("Upload-Expires", "When it goes if nothing more comes"),
    ("Courant-Job", "Once it is finished: the job"),
    ("Courant-Cursor", "Once it is finished: just before the job's first event"),
];

fn headers(named: &[(&str, &str)]) -> Value {
    let header = |(name, about): &(&str, &str)| {
        ((*name).to_owned(), json!({"description": about, "schema": {"type": "string"}}))
    };
    Value::Object(named.iter().map(header).collect())
}

/// A job that goes on.
fn accepted() -> Value {
    let mut accepted = json_of("The job goes on: follow it from the cursor", &schema("JobAnswer"));
    accepted["headers"] = headers(&[("Location", "The job's path"), COURANT_JOB]);
    accepted["links"] = links();
    accepted
}

/// What one does next with a job.
fn links() -> Value {
    let link = |id: &str| json!({"operationId": id, "parameters": {"id": "$response.body#/job/jobId"}});
    let mut all = Map::new();
    for id in ["getJob", "cancelJob", "retryJob", "deleteJob", "listOutputs", "getDocument", "getResult"] {
        all.insert(id.to_owned(), link(id));
    }
    all.into()
}

fn json_of(about: &str, schema: &Value) -> Value {
    json!({"description": about, "content": {"application/json": {"schema": schema}}})
}

fn text(about: &str, kind: &str) -> Value {
    json!({"description": about, "content": {kind: {"schema": {"type": "string"}}}})
}

/// The problems by their status, with the codes that have it.
pub fn problems() -> Value {
    let server = (1..1000).filter_map(|number| ErrorReason::try_from(number).ok()).map(Code::Server);
    let mut codes: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for code in server.chain(OWN) {
        codes.entry(code.http().as_u16()).or_default().push(code.name());
    }
    // Of HEAD on an upload: 503 in another guise.
    codes.insert(423, codes[&503].clone());
    let problem = |(status, codes): (u16, Vec<&str>)| {
        let about = format!("`code` is one of {}", codes.join(", "));
        let mut answer =
            json!({"description": about, "content": {"application/problem+json": {"schema": schema("Problem")}}});
        if matches!(status, 429 | 503) {
            answer["headers"] = headers(&[("Retry-After", "Seconds to wait before trying again")]);
        }
        (format!("Problem{status}"), answer)
    };
    Value::Object(codes.into_iter().map(problem).collect())
}
