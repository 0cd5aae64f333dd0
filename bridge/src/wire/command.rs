//! Everything a browser may say (`PROTOCOL.md`, section 2).

#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A command with the id its reply carries.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Chosen by the client; none: no reply on success.
    pub id: Option<u64>,
    /// What to do.
    pub verb: Verb,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    /// Prove who one is, or renew the proof.
    Auth(Auth),
    /// Follow a topic.
    Subscribe(Subscribe),
    /// Stop following a topic.
    Unsubscribe(TopicOnly),
    /// Ask for a sign of life.
    Ping,
    /// Say how far one has come.
    Ack(Ack),
    /// Say which notices were read.
    MarkRead(MarkRead),
    /// Ask for the figures of the service, once.
    RequestSystemMetrics,
}

/// Who one is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Auth {
    /// A JWT; left out: the one in the session cookie that came with the handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// What to follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Subscribe {
    /// See [`super::Topic`].
    pub topic: String,
    /// Continue after this cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// See [`super::Tier`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_interval_ms: Option<u64>,
}

/// Notices that were read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct MarkRead {
    /// Which; all when left out or empty.
    #[serde(default)]
    pub ids: Vec<String>,
}

/// What to follow when it is clear what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AdminOnly {
    /// As in [`Subscribe`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// As in [`Subscribe`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_interval_ms: Option<u64>,
}

impl From<AdminOnly> for Subscribe {
    fn from(AdminOnly { after, min_interval_ms }: AdminOnly) -> Self {
        Self { topic: ADMIN.to_owned(), after, min_interval_ms }
    }
}

/// Names a topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct TopicOnly {
    /// See [`super::Topic`].
    pub topic: String,
}

/// How far a client has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Ack {
    /// See [`super::Topic`].
    pub topic: String,
    /// The cursor of the last message worked on.
    pub cursor: String,
}

/// Why a text is not a command. Carries the id as far as it could be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Not an object with a `type`, or a field of the wrong kind.
    #[error("not a message of this protocol: {why}")]
    Bad {
        /// The id, when there was one.
        id: Option<u64>,
        /// What is wrong.
        why: String,
    },
    /// A `type` we do not know.
    #[error(
        "unknown command; there are auth, subscribe, unsubscribe, subscribe-admin, unsubscribe-admin, request-system-metrics, mark-read, ping and ack"
    )]
    Unknown {
        /// The id, when there was one.
        id: Option<u64>,
    },
}

/// All commands as they are written; for the schema and the examples. [`Command::parse`] reads them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(tag = "type", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "described in PROTOCOL.md")]
pub enum ClientMessage {
    Auth(Auth),
    Subscribe(Subscribe),
    Unsubscribe(TopicOnly),
    SubscribeAdmin(AdminOnly),
    UnsubscribeAdmin(Nothing),
    RequestSystemMetrics(Nothing),
    MarkRead(MarkRead),
    Ping(Nothing),
    Ack(Ack),
}

/// No fields of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Nothing {}

/// The topic of the commands that name it themselves.
const ADMIN: &str = "admin";

#[derive(Deserialize)]
struct Envelope {
    id: Option<u64>,
    r#type: String,
}

/// Ids above this lose digits in JavaScript.
const MAX_ID: u64 = (1 << 53) - 1;

impl Command {
    /// Reads a text message. Unknown fields are ignored.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        let Envelope { id, r#type } = serde_json::from_str(text)
            .map_err(|error| CommandError::Bad { id: None, why: format!("{error}; expected {{\"type\":…}}") })?;
        if id.is_some_and(|id| id > MAX_ID) {
            return Err(CommandError::Bad { id: None, why: format!("id is larger than {MAX_ID}") });
        }
        let verb = match r#type.as_str() {
            "auth" => Verb::Auth(body(text, id)?),
            "subscribe" => Verb::Subscribe(body(text, id)?),
            "unsubscribe" => Verb::Unsubscribe(body(text, id)?),
            "ping" => Verb::Ping,
            "ack" => Verb::Ack(body(text, id)?),
            "subscribe-admin" => Verb::Subscribe(body::<AdminOnly>(text, id)?.into()),
            "unsubscribe-admin" => Verb::Unsubscribe(TopicOnly { topic: ADMIN.to_owned() }),
            "mark-read" => Verb::MarkRead(body(text, id)?),
            "request-system-metrics" => Verb::RequestSystemMetrics,
            _ => return Err(CommandError::Unknown { id }),
        };
        Ok(Self { id, verb })
    }
}

fn body<'a, T: Deserialize<'a>>(text: &'a str, id: Option<u64>) -> Result<T, CommandError> {
    serde_json::from_str(text).map_err(|error| CommandError::Bad { id, why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_ignored() {
        let text = r#"{"id":7,"type":"unsubscribe","topic":"mine","colour":{"deep":[1]}}"#;
        let verb = Verb::Unsubscribe(TopicOnly { topic: "mine".into() });
        assert_eq!(Command::parse(text), Ok(Command { id: Some(7), verb }));
    }

    #[test]
    fn what_is_wrong_is_said_with_the_id_when_it_can_be_read() {
        assert_eq!(Command::parse(r#"{"id":3,"type":"dance"}"#), Err(CommandError::Unknown { id: Some(3) }));
        assert!(matches!(
            Command::parse(r#"{"id":3,"type":"subscribe","topic":5}"#),
            Err(CommandError::Bad { id: Some(3), .. })
        ));
        let unreadable =
            ["", "[]", "nul", "{}", r#"{"type":5}"#, r#"{"id":-1,"type":"ping"}"#, r#"{"id":1e300,"type":"ping"}"#];
        for text in unreadable.into_iter().chain([r#"{"id":9007199254740992,"type":"ping"}"#]) {
            assert!(matches!(Command::parse(text), Err(CommandError::Bad { id: None, .. })), "{text}");
        }
        assert!(matches!(Command::parse(&"[".repeat(10_000)), Err(CommandError::Bad { .. })));
    }
}
