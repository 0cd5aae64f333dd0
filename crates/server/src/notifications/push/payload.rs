//! What a browser is sent: small JSON, read by a service worker. Nothing else that the service says is JSON.

use courant_proto::v1::NotificationSeverity;
use serde::Serialize;

use crate::convert;
use crate::notifications::store::StoredNotification;

/// The longest title and body in bytes: sealed, all of it must fit into 4096 bytes (RFC 8291, section 4).
const TITLE_BYTES: usize = 400;
const BODY_BYTES: usize = 1600;
/// More notifications than this at once are told in one.
pub(super) const SINGLY: usize = 3;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PushPayload<'a> {
    notification_id: Option<&'a str>,
    kind: &'a str,
    severity: &'static str,
    title: &'a str,
    body: &'a str,
    job_id: Option<&'a str>,
    create_time: String,
}

pub(super) fn of_one(notification: &StoredNotification) -> Vec<u8> {
    let severity = match NotificationSeverity::try_from(notification.severity) {
        Ok(NotificationSeverity::Success) => "success",
        Ok(NotificationSeverity::Warning) => "warning",
        Ok(NotificationSeverity::Error) => "error",
        _ => "info",
    };
    let letter = PushPayload {
        notification_id: Some(&notification.id),
        kind: &notification.kind,
        severity,
        title: cut(&notification.title, TITLE_BYTES),
        body: cut(&notification.body, BODY_BYTES),
        job_id: Some(notification.job.as_str()).filter(|job| !job.is_empty()),
        create_time: convert::time(notification.made).to_string(),
    };
    bytes(&letter)
}

/// Many notifications, in the order they were made. Nobody wants a hundred of them at once.
pub(super) fn of_many(notifications: &[StoredNotification]) -> Vec<u8> {
    let title = format!("{} new notifications", notifications.len());
    let newest: Vec<&str> =
        notifications.iter().rev().take(SINGLY).map(|notification| cut(&notification.title, TITLE_BYTES)).collect();
    let body = format!("{} and {} more", newest.join(", "), notifications.len() - newest.len());
    let made = notifications.last().map(|notification| convert::time(notification.made).to_string());
    let letter = PushPayload {
        notification_id: None,
        kind: "summary",
        severity: "info",
        title: &title,
        body: &body,
        job_id: None,
        create_time: made.unwrap_or_default(),
    };
    bytes(&letter)
}

fn bytes(letter: &PushPayload<'_>) -> Vec<u8> {
    // Strings and names of fields: there is nothing that could not be written.
    serde_json::to_vec(letter).unwrap_or_default()
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use courant_joblog::ids::Timestamp;

    use super::*;

    fn notification(id: &str, title: String, body: String) -> StoredNotification {
        let (kind, job) = ("job-failed".to_owned(), "J".repeat(128));
        let made = Timestamp(1_700_000_000_000);
        StoredNotification { id: id.into(), kind, severity: 4, title, body, job, made, read: None, change: 1 }
    }

    #[test]
    fn the_largest_fits_and_no_letter_is_cut_in_two() {
        let id = "x".repeat(200);
        // Control characters are the longest in JSON: six bytes each. They cannot be in a title that people read.
        let large = notification(&id, "\u{1F600}".repeat(101), "é".repeat(2000));
        let many: Vec<StoredNotification> = (0..40).map(|_| large.clone()).collect();
        for letter in [of_one(&large), of_many(&many)] {
            assert!(letter.len() < 3900, "{}", letter.len());
            let read: serde_json::Value = serde_json::from_slice(&letter).unwrap();
            assert!(read["createTime"].as_str().unwrap().starts_with("2023-11-14T22:13:20"));
        }
        let read: serde_json::Value = serde_json::from_slice(&of_one(&large)).unwrap();
        assert_eq!((read["title"].as_str().unwrap().len(), read["body"].as_str().unwrap().len()), (400, 1600));
        let read: serde_json::Value = serde_json::from_slice(&of_many(&many)).unwrap();
        assert_eq!(read["title"], "40 new notifications");
        assert!(read["body"].as_str().unwrap().ends_with(" and 37 more"));
    }
}
