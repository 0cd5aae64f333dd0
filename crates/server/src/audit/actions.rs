//! Which calls are written into the audit log, and as what.

/// When a call is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It changes something.
    Always,
    /// If a job came of it.
    WithJob,
    /// If somebody reads what is somebody else's, by a role.
    OthersRead,
    /// It reads what only operators may. Bridges do that for those whom they show it to, and write that themselves.
    OperatorsRead,
    /// Only if it was refused because of who called.
    Refused,
}

/// How a call is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub action: &'static str,
    pub when: When,
}

/// The name of a refusal because of the token.
pub const TOKEN_REFUSED: &str = "token.refused";
/// The name of a refusal because of the role.
pub const ACCESS_REFUSED: &str = "access.refused";
/// The name of the line that says how many events have none.
pub const DROPPED: &str = "audit.dropped";

/// The rule of a method of ours, by its path; none for those of other services, as health checks.
pub fn rule(path: &str) -> Option<Rule> {
    let (service, method) = path.strip_prefix("/courant.v1.")?.split_once('/')?;
    let (action, when) = match (service, method) {
        ("JobService", "SubmitJob" | "ConvertDocument") => ("job.submit", When::Always),
        ("JobService", "CancelJob") => ("job.cancel", When::Always),
        ("JobService", "RetryJob") => ("job.retry", When::Always),
        ("JobService", "DeleteJob") => ("job.delete", When::Always),
        ("JobService", "CancelBatch") => ("batch.cancel", When::Always),
        // Each submit of the stream is written by itself; streams of many scopes are of bridges.
        ("JobService", "SubmitJobs" | "WatchScopes") => (ACCESS_REFUSED, When::Refused),
        ("JobService", _) => ("job.read", When::OthersRead),
        ("UploadService", "CreateUpload" | "WriteUpload") => ("job.submit", When::WithJob),
        ("UploadService", "DeleteUpload") => ("upload.delete", When::Always),
        ("NotificationService", "Notify") => ("notification.send", When::Always),
        ("NotificationService", "AddPushSubscription") => ("push.subscribe", When::Always),
        ("NotificationService", "RemovePushSubscription") => ("push.unsubscribe", When::Always),
        ("WebhookService", "CreateWebhook") => ("webhook.create", When::Always),
        ("WebhookService", "UpdateWebhook" | "EnableWebhook") => ("webhook.update", When::Always),
        ("WebhookService", "DeleteWebhook") => ("webhook.delete", When::Always),
        ("WebhookService", "RotateWebhookSecret") => ("webhook.rotate", When::Always),
        ("WebhookService", "TestWebhook") => ("webhook.test", When::Always),
        ("WebhookService", "ReplayWebhook") => ("webhook.replay", When::Always),
        ("QueueService", "GetQuota") => ("quota.read", When::OthersRead),
        ("PresenceService", "ListDevices") => ("connection.read", When::OthersRead),
        ("PresenceService", "WatchBridges") => ("admin.read", When::OperatorsRead),
        ("AdminService", "DrainWorker") => ("worker.drain", When::Always),
        ("AdminService", "ResumeWorker") => ("worker.resume", When::Always),
        ("AdminService", "PauseLane") => ("lane.pause", When::Always),
        ("AdminService", "ResumeLane") => ("lane.resume", When::Always),
        ("AdminService", "SetLaneWeight") => ("lane.weight", When::Always),
        ("AdminService", "VerifyIntegrity") => ("integrity.verify", When::Always),
        ("AdminService", "CloseConnections") => ("connection.terminate", When::Always),
        ("AdminService", "RecordAuditEvents") => (ACCESS_REFUSED, When::Refused),
        ("AdminService", _) => ("admin.read", When::OperatorsRead),
        _ => (ACCESS_REFUSED, When::Refused),
    };
    Some(Rule { action, when })
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn every_method_that_is_named_exists() {
        // A method that was renamed would be written no more.
        let described = method_names();
        for path in [
            "JobService/SubmitJob",
            "JobService/CancelJob",
            "JobService/RetryJob",
            "JobService/DeleteJob",
            "JobService/CancelBatch",
            "JobService/SubmitJobs",
            "JobService/WatchScopes",
            "UploadService/CreateUpload",
            "UploadService/WriteUpload",
            "UploadService/DeleteUpload",
            "NotificationService/Notify",
            "NotificationService/AddPushSubscription",
            "NotificationService/RemovePushSubscription",
            "WebhookService/CreateWebhook",
            "WebhookService/UpdateWebhook",
            "WebhookService/EnableWebhook",
            "WebhookService/DeleteWebhook",
            "WebhookService/RotateWebhookSecret",
            "WebhookService/TestWebhook",
            "WebhookService/ReplayWebhook",
            "QueueService/GetQuota",
            "PresenceService/ListDevices",
            "PresenceService/WatchBridges",
            "AdminService/DrainWorker",
            "AdminService/ResumeWorker",
            "AdminService/PauseLane",
            "AdminService/ResumeLane",
            "AdminService/SetLaneWeight",
            "AdminService/VerifyIntegrity",
            "AdminService/CloseConnections",
            "AdminService/RecordAuditEvents",
        ] {
            assert!(described.contains(&path.to_owned()), "{path}");
        }
        assert_eq!(rule("/grpc.health.v1.Health/Check"), None);
    }

    fn method_names() -> Vec<String> {
        let files = prost_types::FileDescriptorSet::decode(courant_proto::DESCRIPTORS).unwrap().file;
        let services = files.iter().flat_map(|file| &file.service);
        let names = services.flat_map(|service| {
            service.method.iter().map(move |method| format!("{}/{}", service.name(), method.name()))
        });
        names.collect()
    }
}
