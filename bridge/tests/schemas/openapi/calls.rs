//! The calls, but those of uploads.

use courant_bridge::bodies::parameters;

use super::call::{Answer, Body, Call, Header, HeaderKind};

const JOB: &str = "JobAnswer";

const IF_NONE_MATCH: Header = Header {
    name: "If-None-Match",
    required: false,
    kind: HeaderKind::Text,
    about: "`ETag` of what you have: 304 if it is still that.",
};
const FILE: &[Header] = &[
    IF_NONE_MATCH,
    Header { name: "Range", required: false, kind: HeaderKind::Text, about: "One range of bytes, as `bytes=0-99`." },
    Header {
        name: "If-Range",
        required: false,
        kind: HeaderKind::Text,
        about: "`ETag` of what you have a part of: everything comes if it is another one now.",
    },
];
const CONVERT: &[Header] = &[Header {
    name: "Prefer",
    required: false,
    kind: HeaderKind::Text,
    about: "`wait=N`: how long to wait, in seconds, where the query does not say it.",
}];
const LAST_EVENT_ID: &[Header] = &[Header {
    name: "Last-Event-ID",
    required: false,
    kind: HeaderKind::Text,
    about: "Of the last event that came, where one topic is followed; newer than `after`.",
}];

pub const CALLS: &[Call] = &[
    Call::new(("post", "/v1/jobs"), ("jobs", "submitJob"), "Submits a document", Answer::Created(JOB))
        .query(&[parameters::SUBMIT])
        .body(Body::Document)
        .refuses(&[403, 408, 409, 413, 422, 507]),
    Call::new(
        ("post", "/v1/convert"),
        ("jobs", "convertDocument"),
        "Submits a document, waits for the end of its job, and answers with the result",
        Answer::Converted,
    )
    .query(&[parameters::CONVERT, parameters::SUBMIT])
    .headers(CONVERT)
    .body(Body::Conversion)
    .refuses(&[403, 404, 406, 408, 409, 413, 422, 507]),
    Call::new(("get", "/v1/jobs"), ("jobs", "listJobs"), "Lists jobs, newest first", Answer::Json(200, "JobsAnswer"))
        .query(&[parameters::LIST_JOBS])
        .refuses(&[403]),
    Call::new(("get", "/v1/jobs/{id}"), ("jobs", "getJob"), "Reads a job", Answer::Json(200, JOB)).refuses(&[404]),
    Call::new(("delete", "/v1/jobs/{id}"), ("jobs", "deleteJob"), "Removes a job that has ended", Answer::Empty)
        .refuses(&[403, 404, 409]),
    Call::new(("post", "/v1/jobs/{id}:cancel"), ("jobs", "cancelJob"), "Cancels a job", Answer::Json(200, JOB))
        .refuses(&[403, 404, 409]),
    Call::new(("post", "/v1/jobs/{id}:retry"), ("jobs", "retryJob"), "Tries a job again", Answer::Json(200, JOB))
        .body(Body::MayBeJson("Retry"))
        .refuses(&[403, 404, 409]),
    Call::new(
        ("get", "/v1/jobs/{id}/document"),
        ("jobs", "getDocument"),
        "Downloads the document",
        Answer::File("Of the media type that the worker or the submitter gave"),
    )
    .headers(FILE)
    .refuses(&[404, 409, 416]),
    Call::new(
        ("get", "/v1/jobs/{id}/pages/{page}"),
        ("jobs", "getPage"),
        "Reads what was found on a page that is done",
        Answer::Page,
    )
    .headers(&[IF_NONE_MATCH])
    .refuses(&[404, 409]),
    Call::new(
        ("get", "/v1/jobs/{id}/results/{format}"),
        ("jobs", "getResult"),
        "Downloads a result",
        Answer::File("`application/json`, `text/markdown`, `text/plain` or `text/html`, by the format"),
    )
    .headers(FILE)
    .refuses(&[404, 409, 416]),
    Call::new(
        ("get", "/v1/jobs/{id}/outputs"),
        ("jobs", "listOutputs"),
        "Lists what workers have made",
        Answer::Json(200, "OutputsAnswer"),
    )
    .refuses(&[404]),
    Call::new(
        ("get", "/v1/jobs/{id}/outputs/{name}"),
        ("jobs", "getOutput"),
        "Downloads an output",
        Answer::File("Of the media type that the worker or the submitter gave"),
    )
    .headers(FILE)
    .refuses(&[404, 409, 416]),
    Call::new(("get", "/v1/batches/{id}"), ("jobs", "getBatch"), "Reads a batch", Answer::Json(200, "BatchAnswer"))
        .query(&[parameters::OWNER])
        .refuses(&[403, 404]),
    Call::new(
        ("post", "/v1/batches/{id}:cancel"),
        ("jobs", "cancelBatch"),
        "Cancels all jobs of a batch that have not ended",
        Answer::Json(200, "BatchAnswer"),
    )
    .query(&[parameters::OWNER])
    .refuses(&[403, 404]),
    Call::new(
        ("get", "/v1/events"),
        ("events", "followEvents"),
        "Follows topics as Server-Sent Events",
        Answer::Events,
    )
    .query(&[parameters::EVENTS])
    .headers(LAST_EVENT_ID)
    .refuses(&[403, 404, 410]),
    Call::new(
        ("get", "/v1/events:poll"),
        ("events", "pollEvents"),
        "Follows topics by long polling",
        Answer::Json(200, "PollAnswer"),
    )
    .query(&[parameters::POLL])
    .refuses(&[403, 404, 410]),
    Call::new(
        ("get", "/v1/notifications"),
        ("notifications", "listNotifications"),
        "Lists notifications, newest first",
        Answer::Json(200, "NotificationsAnswer"),
    )
    .query(&[parameters::LIST_NOTIFICATIONS]),
    Call::new(
        ("post", "/v1/notifications"),
        ("notifications", "sendNotification"),
        "Sends a notification (roles `service` and `admin`)",
        Answer::Json(200, "NotificationAnswer"),
    )
    .body(Body::Json("Notify"))
    .refuses(&[403, 404, 409]),
    Call::new(
        ("post", "/v1/notifications:read"),
        ("notifications", "markNotificationsRead"),
        "Marks notifications as read",
        Answer::Json(200, "UnreadAnswer"),
    )
    .body(Body::Json("Read")),
    Call::new(
        ("get", "/v1/push/key"),
        ("notifications", "getPushKey"),
        "Reads the key for Web Push",
        Answer::Json(200, "PushKeyAnswer"),
    ),
    Call::new(
        ("put", "/v1/push/subscriptions"),
        ("notifications", "addPushSubscription"),
        "Subscribes a browser to Web Push",
        Answer::Empty,
    )
    .body(Body::Json("PushSubscription"))
    .refuses(&[409]),
    Call::new(
        ("delete", "/v1/push/subscriptions"),
        ("notifications", "removePushSubscription"),
        "Ends a subscription to Web Push",
        Answer::Empty,
    )
    .body(Body::Json("PushEnd"))
    .refuses(&[409]),
    Call::new(
        ("post", "/v1/session"),
        ("session", "beginSession"),
        "Puts the token of `Authorization` into a cookie",
        Answer::Json(200, "SessionAnswer"),
    )
    .refuses(&[403]),
    Call::new(
        ("get", "/v1/session"),
        ("session", "getSession"),
        "Says whose session it is",
        Answer::Json(200, "SessionAnswer"),
    )
    .refuses(&[403]),
    Call::new(("delete", "/v1/session"), ("session", "endSession"), "Ends the session", Answer::Empty).refuses(&[403]),
    Call::new(("get", "/v1/queue"), ("service", "getQueue"), "Reads the queue", Answer::Json(200, "QueueAnswer")),
    Call::new(("get", "/v1/quota"), ("service", "getQuota"), "Reads quotas", Answer::Json(200, "QuotaAnswer"))
        .query(&[parameters::OWNER])
        .refuses(&[403]),
    Call::new(
        ("get", "/v1/devices"),
        ("service", "listDevices"),
        "Lists devices that are connected",
        Answer::Json(200, "DevicesAnswer"),
    )
    .query(&[parameters::DEVICES])
    .refuses(&[403]),
    Call::new(
        ("get", "/v1/system"),
        ("service", "getSystem"),
        "Reads the statistics (role `admin`)",
        Answer::Json(200, "SystemAnswer"),
    )
    .refuses(&[403]),
    Call::new(
        ("get", "/v1/workers"),
        ("service", "listWorkers"),
        "Lists workers (role `admin`)",
        Answer::Json(200, "WorkersAnswer"),
    )
    .refuses(&[403]),
    Call::new(
        ("post", "/v1/workers/{id}:drain"),
        ("service", "drainWorker"),
        "Gives a worker nothing new (role `admin`)",
        Answer::Json(200, "WorkerAnswer"),
    )
    .refuses(&[403, 404]),
    Call::new(
        ("post", "/v1/workers/{id}:resume"),
        ("service", "resumeWorker"),
        "Gives a worker jobs again (role `admin`)",
        Answer::Json(200, "WorkerAnswer"),
    )
    .refuses(&[403, 404]),
    Call::new(
        ("get", "/metrics"),
        ("operation", "getMetrics"),
        "Reads the bridge's counters (role `admin`)",
        Answer::Text("application/openmetrics-text"),
    )
    .refuses(&[403]),
    Call::new(
        ("get", "/livez"),
        ("operation", "getLiveness"),
        "Says that the process lives",
        Answer::Text("text/plain"),
    ),
    Call::new(("get", "/readyz"), ("operation", "getReadiness"), "Says whether it can serve", Answer::Ready),
    Call::new(("get", "/healthz"), ("operation", "getHealth"), "The same as `/readyz`", Answer::Ready),
];
