//! The parameters of each call: what is not here is refused, and the OpenAPI document has these.

use super::parameter::{Kind, Parameter};

/// The states of a job.
const STATES: &[&str] = &["queued", "running", "cancelling", "succeeded", "failed", "cancelled"];
/// The lanes.
const LANES: &[&str] = &["premium", "normal", "large"];
/// The formats of results.
pub const FORMATS: &[&str] = &["json", "md", "txt", "html"];

/// The longest id that the server takes, in bytes.
const ID: Kind = Kind::Text(128);
const USER: Kind = Kind::Text(255);

/// The longest value in a query, in bytes: the head of a request has 32 KiB, and is shorter on the way.
pub const MOST_IN_QUERY: usize = 8 << 10;

const fn parameter(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter { name, kind, about }
}

/// Of a submission, in a query, in text parts of a form, and in metadata of tus.
pub const SUBMIT: &[Parameter] = &[
    parameter(
        "name",
        Kind::Text(4096),
        "The file's name; a path before it is cut off, what is left may have 255 bytes. A form may have it at the part `file`.",
    ),
    parameter("requestId", ID, "Makes the call safe to repeat: the same id and owner give the same job."),
    parameter("documentId", ID, "Your id of the document. Chosen by the server when left out."),
    parameter("documentBytes", Kind::Integer(0, i64::MAX), "The document's size in bytes, checked; 0 for not known."),
    parameter(
        "pages",
        Kind::Integer(0, 100_000),
        "How many pages it has, for the lane and for estimates; 0 for not known.",
    ),
    parameter("batchId", ID, "Groups jobs."),
    parameter(
        "batchSize",
        Kind::Integer(0, 100_000),
        "How many jobs the batch will have; 0 for not known. Needs `batchId`.",
    ),
    parameter("kind", Kind::Pattern("^[a-z0-9-]{0,64}$"), "The kind of work; `pdf` when left out."),
    parameter("owner", USER, "The user to act for. Needs the role `service`."),
    parameter("sha256", Kind::Pattern("^([0-9a-fA-F]{64})?$"), "SHA-256 of the document in hexadecimal, checked."),
    parameter("lane", Kind::OneOf(LANES), "The lane. Large documents are put into `large` by the server."),
    parameter(
        "formats",
        Kind::AnyOf(FORMATS),
        "The formats to export; all when left out. Also with commas between them.",
    ),
    parameter("label", Kind::Labels, "`key:value`: a key of 1 to 63 bytes, a value of at most 255. At most 32 labels."),
    parameter("callback", Kind::Text(2048), "A URL that is told of the job by a webhook of its own."),
    parameter(
        "parameters",
        Kind::Text(64 << 10),
        "What the workers are to do: a JSON object as text. At most 64 KiB in a form, 8 KiB in a query.",
    ),
    parameter(
        "cancelWhenUnwatched",
        Kind::Integer(1, 24 * 3600),
        "Cancels the job when nobody has followed it for so many seconds.",
    ),
];

/// Of a conversion, beside those of its submit.
pub const CONVERT: &[Parameter] = &[
    parameter("format", Kind::OneOf(FORMATS), "The format of the result; `Accept` decides when it is left out."),
    parameter("output", Kind::Text(128), "An output of the workers, by its name, in place of a format."),
    parameter(
        "wait",
        Kind::Seconds,
        "How long to wait for the end of the job, in seconds; 50 when left out, at most what the server allows (600).",
    ),
    parameter("cancelOnDisconnect", Kind::Boolean, "Cancels the job when the client goes away while it waits."),
];

/// Of a list of jobs.
pub const LIST_JOBS: &[Parameter] = &[
    parameter("pageSize", PAGE_SIZE, "How many jobs; 50 when 0 or left out, at most 1000."),
    parameter("pageToken", Kind::Text(1024), "`nextPageToken` of the page before, with the same filters."),
    parameter("state", Kind::AnyOf(STATES), "Jobs in one of these states. Also with commas between them."),
    parameter("owner", USER, "Jobs of this user, of everybody with `-`. Others than oneself need the role `admin`."),
    parameter("documentId", ID, "Jobs of this document."),
    parameter("batchId", ID, "Jobs of this batch."),
    parameter("label", Kind::Labels, "`key:value`: jobs that have all of these labels."),
    parameter("filter", Kind::Text(2048), "Jobs for which this holds (AIP-160), as in `ListJobsRequest`."),
];

/// Of what belongs to a user: batches, quotas, uploads.
pub const OWNER: &[Parameter] = &[parameter("owner", USER, "Another user, whom only some roles may name.")];

/// Of the list of devices.
pub const DEVICES: &[Parameter] =
    &[parameter("user", USER, "Another user than oneself. Needs the role `admin` or `service`.")];

/// Of the list of notifications.
pub const LIST_NOTIFICATIONS: &[Parameter] = &[
    parameter("pageSize", PAGE_SIZE, "How many; 50 when 0 or left out, at most 200."),
    parameter("unread", Kind::Boolean, "Unread ones alone."),
];

/// Of an event stream.
pub const EVENTS: &[Parameter] = &[TOPIC, AFTER, INTERVAL, DEVICE_ID, DEVICE_NAME];

/// Of a poll.
pub const POLL: &[Parameter] = &[TOPIC, AFTER, INTERVAL, WAIT, DEVICE_ID, DEVICE_NAME];

/// Larger ones are cut to what the server gives at most.
const PAGE_SIZE: Kind = Kind::Integer(0, i32::MAX as i64);

const TOPIC: Parameter = parameter("topic", Kind::Texts, "A topic, for example `mine` or `job/ID`; each once.");
const AFTER: Parameter =
    parameter("after", Kind::Texts, "Stands behind its topic in the query: continues after this cursor.");
const INTERVAL: Parameter = parameter(
    "minIntervalMs",
    Kind::Integer(0, i64::MAX),
    "The least time between two transient messages of a job, in milliseconds.",
);
const WAIT: Parameter =
    parameter("wait", Kind::Seconds, "How long to wait for something, in seconds; longer times than allowed are cut.");
const DEVICE_ID: Parameter =
    parameter("deviceId", Kind::Pattern("^[A-Za-z0-9._-]{1,64}$"), "Names the device the client runs on.");
const DEVICE_NAME: Parameter =
    parameter("deviceName", Kind::Text(64), "The device's name for people. Needs `deviceId`.");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::names;

    #[test]
    fn the_words_are_those_of_the_protocol() {
        assert!(STATES.iter().all(|word| names::parse_state(word).is_some()));
        assert!(LANES.iter().all(|word| names::parse_lane(word).is_some()));
        assert!(FORMATS.iter().all(|word| names::parse_format(word).is_some()));
    }
}
