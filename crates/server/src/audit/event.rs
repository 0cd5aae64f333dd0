//! An event of the audit log, as a line of it has it: `docs/audit-log.schema.json` is its schema.

use courant_auth::Role;
use courant_joblog::ids::Timestamp;
use serde::{Deserialize, Serialize};

/// Characters that are kept of a text that a caller chose.
const TEXT_CHARS: usize = 256;

/// Something that somebody did, or tried to do. Must hold no secret and nothing out of a document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// Grows by one with each line of a server's log. The writer sets it.
    #[serde(default)]
    pub number: u64,
    #[serde(with = "time_text")]
    pub time: Timestamp,
    /// The server in whose log it is. The writer sets it.
    #[serde(default)]
    pub server: String,
    pub source: Source,
    /// What was done, such as `job.cancel`.
    pub action: String,
    /// How it ended, as gRPC names it.
    pub code: String,
    /// Who did it; none where nobody was recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// What else it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Where the call came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Where it came from before, as the caller said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_address: Option<String>,
    /// The bridge that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// How many events alike it stands for.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub count: u64,
}

/// Who wrote an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The server, of a call.
    Grpc,
    /// A bridge, of what it did and refused by itself.
    Bridge,
    /// A command that works without a server.
    Command,
    /// The server, of itself.
    #[default]
    Server,
}

impl Source {
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Bridge => "bridge",
            Self::Command => "command",
            Self::Server => "server",
        }
    }
}

impl AuditEvent {
    /// One that ended well, now.
    pub fn now(source: Source, action: &str) -> Self {
        Self {
            time: Timestamp::now(),
            source,
            action: action.to_owned(),
            code: "OK".to_owned(),
            count: 1,
            ..Self::default()
        }
    }

    /// With all texts of callers cut to what is kept.
    pub fn cut(mut self) -> Self {
        let Self { action, code, actor, job_id, target, method, address, client_address, bridge, request_id, .. } =
            &mut self;
        let optional = [actor, job_id, target, method, address, client_address, bridge, request_id];
        for text in optional.into_iter().flatten().chain([action, code]) {
            *text = cut(text);
        }
        self
    }
}

/// The part of a text that is kept.
pub fn cut(text: &str) -> String {
    text.chars().take(TEXT_CHARS).collect()
}

/// A role as it is written.
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Service => "service",
        Role::Worker => "worker",
        Role::Bridge => "bridge",
    }
}

fn one() -> u64 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_one(count: &u64) -> bool {
    *count == 1
}

mod time_text {
    use courant_joblog::ids::Timestamp;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        let nanos = i32::try_from(time.0.rem_euclid(1000)).unwrap_or_default() * 1_000_000;
        to.collect_str(&prost_types::Timestamp { seconds: time.0.div_euclid(1000), nanos })
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        let time: prost_types::Timestamp = text.parse().map_err(|_| D::Error::custom("not a time"))?;
        Ok(Timestamp(time.seconds.saturating_mul(1000).saturating_add(i64::from(time.nanos / 1_000_000))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written_and_leaves_out_what_is_not_known() {
        let event = AuditEvent {
            number: 7,
            time: Timestamp(1_767_268_800_500),
            job_id: Some("J".into()),
            count: 3,
            ..AuditEvent::now(Source::Grpc, "job.cancel")
        };
        let line = serde_json::to_string(&event).unwrap();
        assert!(line.contains(r#""time":"2026-01-01T12:00:00.500Z""#) && !line.contains("target"), "{line}");
        assert_eq!(serde_json::from_str::<AuditEvent>(&line).unwrap(), event);
        let long = AuditEvent { target: Some("é".repeat(1000)), ..event };
        assert_eq!(long.cut().target.map(|target| target.chars().count()), Some(TEXT_CHARS));
    }
}
