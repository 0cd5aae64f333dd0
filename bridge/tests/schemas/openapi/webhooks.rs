//! Webhooks.

use super::call::{Answer, Body, Call};

pub const CALLS: &[Call] = &[
    Call::new(
        ("get", "/v1/webhooks"),
        ("webhooks", "listWebhooks"),
        "Lists webhooks",
        Answer::Json(200, "WebhooksAnswer"),
    ),
    Call::new(
        ("post", "/v1/webhooks"),
        ("webhooks", "createWebhook"),
        "Makes a webhook",
        Answer::Json(201, "WebhookAnswer"),
    )
    .body(Body::Json("NewWebhook"))
    .refuses(&[409]),
    Call::new(
        ("get", "/v1/webhooks/{id}"),
        ("webhooks", "getWebhook"),
        "Reads a webhook",
        Answer::Json(200, "WebhookAnswer"),
    )
    .refuses(&[404]),
    Call::new(
        ("patch", "/v1/webhooks/{id}"),
        ("webhooks", "updateWebhook"),
        "Changes a webhook",
        Answer::Json(200, "WebhookAnswer"),
    )
    .body(Body::Json("WebhookChange"))
    .refuses(&[404, 409]),
    Call::new(("delete", "/v1/webhooks/{id}"), ("webhooks", "deleteWebhook"), "Removes a webhook", Answer::Empty)
        .refuses(&[404]),
    Call::new(
        ("get", "/v1/webhooks/{id}/deliveries"),
        ("webhooks", "listWebhookDeliveries"),
        "Lists the last attempts to send",
        Answer::Json(200, "WebhookDeliveriesAnswer"),
    )
    .refuses(&[404]),
    Call::new(
        ("post", "/v1/webhooks/{id}:rotate"),
        ("webhooks", "rotateWebhookSecret"),
        "Makes a new secret",
        Answer::Json(200, "WebhookAnswer"),
    )
    .body(Body::MayBeJson("WebhookRotation"))
    .refuses(&[404, 409]),
    Call::new(
        ("post", "/v1/webhooks/{id}:test"),
        ("webhooks", "testWebhook"),
        "Sends a test event",
        Answer::Json(200, "WebhookTestAnswer"),
    )
    .refuses(&[404, 409]),
    Call::new(
        ("post", "/v1/webhooks/{id}:enable"),
        ("webhooks", "enableWebhook"),
        "Enables a webhook that was switched off",
        Answer::Json(200, "WebhookAnswer"),
    )
    .refuses(&[404, 409]),
    Call::new(
        ("post", "/v1/webhooks/{id}:replay"),
        ("webhooks", "replayWebhook"),
        "Sends again what happened after a cursor",
        Answer::Json(200, "WebhookAnswer"),
    )
    .body(Body::MayBeJson("WebhookReplay"))
    .refuses(&[404, 409, 410]),
];
