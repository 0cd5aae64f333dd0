//! Everything a client may send (`PROTOCOL.md`, section 2).

use std::collections::HashSet;

#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::device::Device;
use super::field::InvalidField;

/// A command with the id its reply carries.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Chosen by the client; none: no reply on success.
    pub id: Option<u64>,
    /// What the client asks for.
    pub verb: Verb,
}

/// What the client asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    /// Prove who one is, or renew the proof.
    Auth(Auth),
    /// Follow one or more topics.
    Subscribe(Subscribe),
    /// Stop following a topic.
    Unsubscribe(Unsubscribe),
    /// Ask for a sign of life.
    Ping,
    /// Say how far one has come.
    Ack(Ack),
    /// Mark notifications as read.
    MarkRead(MarkRead),
    /// Ask for the statistics of the service, once.
    RequestSystemMetrics,
}

/// Proves who the user is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Auth {
    /// A JWT; left out: the one in the session cookie that came with the handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The device the client runs on; left out: as it was said before, else the connection is a device of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
}

/// What to follow: one topic, or several at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Subscribe {
    /// One topic, by its name, such as `mine` or `job/ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Of that one: continue after this cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Of that one: least time between transient messages, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_interval_ms: Option<u64>,
    /// Instead of `topic`, `after` and `minIntervalMs`: 1 to `limits.maxSubscriptions` topics. Each is answered by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<SubscribeTopic>>,
    /// The span of the client that this is a part of (W3C Trace Context): `00-` and so on. One that is none is as if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// One of several topics to follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SubscribeTopic {
    /// The topic's name, such as `mine` or `job/ID`.
    pub topic: String,
    /// Continue after this cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Least time between transient messages, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_interval_ms: Option<u64>,
}

/// Notifications that were read.
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
pub struct SubscribeAdmin {
    /// Continue after this cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Least time between transient messages, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_interval_ms: Option<u64>,
}

impl From<SubscribeAdmin> for Subscribe {
    fn from(SubscribeAdmin { after, min_interval_ms }: SubscribeAdmin) -> Self {
        Self { topic: Some(ADMIN.to_owned()), after, min_interval_ms, topics: None, traceparent: None }
    }
}

impl Subscribe {
    /// The topics to follow, `most` at most. None is there twice: each has one answer.
    pub fn into_topics(self, most: usize) -> Result<Vec<SubscribeTopic>, InvalidField> {
        let Self { topic, after, min_interval_ms, topics, traceparent: _ } = self;
        match (topic, topics) {
            (Some(topic), None) => Ok(vec![SubscribeTopic { topic, after, min_interval_ms }]),
            (None, Some(topics)) => {
                if after.is_some() || min_interval_ms.is_some() {
                    return Err(InvalidField::new("topics", "after and minIntervalMs belong into its objects"));
                }
                check_names(topics.iter().map(|one| one.topic.as_str()), most)?;
                Ok(topics)
            }
            (Some(_), Some(_)) => Err(both()),
            (None, None) => Err(neither()),
        }
    }
}

/// What to follow no more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Unsubscribe {
    /// One topic, by its name, such as `mine` or `job/ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Instead of `topic`: 1 to `limits.maxSubscriptions` topics. They have one answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<String>>,
}

impl Unsubscribe {
    /// The topics to follow no more, `most` at most.
    pub fn into_topics(self, most: usize) -> Result<Vec<String>, InvalidField> {
        match (self.topic, self.topics) {
            (Some(topic), None) => Ok(vec![topic]),
            (None, Some(topics)) => {
                check_names(topics.iter().map(String::as_str), most)?;
                Ok(topics)
            }
            (Some(_), Some(_)) => Err(both()),
            (None, None) => Err(neither()),
        }
    }
}

fn both() -> InvalidField {
    InvalidField::new("topics", "stands instead of topic; send one of them")
}

fn neither() -> InvalidField {
    InvalidField::new("topic", "is missing; send topic, or topics for several")
}

fn check_names<'a>(names: impl ExactSizeIterator<Item = &'a str>, most: usize) -> Result<(), InvalidField> {
    if !(1..=most).contains(&names.len()) {
        return Err(InvalidField::new("topics", format!("must have 1 to {most} topics (limits.maxSubscriptions)")));
    }
    let mut seen = HashSet::with_capacity(names.len());
    if names.into_iter().all(|name| seen.insert(name)) {
        return Ok(());
    }
    Err(InvalidField::new("topics", "has a topic twice"))
}

/// How far a client has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Ack {
    /// The topic's name, such as `mine` or `job/ID`.
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
        /// What is wrong with the text.
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
pub enum ClientMessage {
    Auth(Auth),
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    SubscribeAdmin(SubscribeAdmin),
    UnsubscribeAdmin(NoFields),
    RequestSystemMetrics(NoFields),
    MarkRead(MarkRead),
    Ping(NoFields),
    Ack(Ack),
}

/// No fields of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct NoFields {}

/// The topic of the commands that name it themselves.
const ADMIN: &str = "admin";

#[derive(Deserialize)]
struct Envelope {
    id: Option<u64>,
    r#type: String,
}

#[derive(Deserialize)]
struct OnlyId {
    id: Option<u64>,
}

impl OnlyId {
    fn known(self) -> Option<u64> {
        self.id.filter(|id| *id <= MAX_ID)
    }
}

/// Bytes of a message that is refused unread, whose id is looked for all the same.
const ID_SCAN_BYTES: usize = 4 << 10;

/// Levels of lists and maps in a packed message; JSON has its own limit.
const MAX_DEPTH: usize = 128;

/// Ids above this lose digits in JavaScript.
const MAX_ID: u64 = (1 << 53) - 1;

impl Command {
    /// Reads a text message. Unknown fields are ignored.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        Self::read(&Json(text))
    }

    /// Reads the same as MessagePack.
    pub fn parse_packed(packed: &[u8]) -> Result<Self, CommandError> {
        let value = unpacked(packed).map_err(|why| CommandError::Bad { id: None, why })?;
        Self::read(&Unpacked(value))
    }

    /// The id of a text message that is not to be read otherwise, if that costs little.
    pub fn id_of(text: &str) -> Option<u64> {
        (text.len() <= ID_SCAN_BYTES).then(|| Json(text).read::<OnlyId>().ok()?.known())?
    }

    /// The same of MessagePack.
    pub fn id_of_packed(packed: &[u8]) -> Option<u64> {
        (packed.len() <= ID_SCAN_BYTES).then(|| Unpacked(unpacked(packed).ok()?).read::<OnlyId>().ok()?.known())?
    }

    fn read(message: &impl Message) -> Result<Self, CommandError> {
        if !message.is_object() {
            // A list would be read as the fields in their order.
            let why = "not an object; expected {\"type\":…}".to_owned();
            return Err(CommandError::Bad { id: None, why });
        }
        let Envelope { id, r#type } = message
            .read()
            .map_err(|error| CommandError::Bad { id: None, why: format!("{error}; expected {{\"type\":…}}") })?;
        if id.is_some_and(|id| id > MAX_ID) {
            return Err(CommandError::Bad { id: None, why: format!("id is larger than {MAX_ID}") });
        }
        let verb = match r#type.as_str() {
            "auth" => Verb::Auth(body(message, id)?),
            "subscribe" => Verb::Subscribe(body(message, id)?),
            "unsubscribe" => Verb::Unsubscribe(body(message, id)?),
            "ping" => Verb::Ping,
            "ack" => Verb::Ack(body(message, id)?),
            "subscribe-admin" => Verb::Subscribe(body::<SubscribeAdmin>(message, id)?.into()),
            "unsubscribe-admin" => Verb::Unsubscribe(Unsubscribe { topic: Some(ADMIN.to_owned()), topics: None }),
            "mark-read" => Verb::MarkRead(body(message, id)?),
            "request-system-metrics" => Verb::RequestSystemMetrics,
            _ => return Err(CommandError::Unknown { id }),
        };
        Ok(Self { id, verb })
    }
}

/// A message that can be read as one thing and then as another.
trait Message {
    fn is_object(&self) -> bool;

    fn read<T: DeserializeOwned>(&self) -> Result<T, String>;
}

struct Json<'a>(&'a str);

impl Message for Json<'_> {
    /// Or nothing that can be read.
    fn is_object(&self) -> bool {
        !self.0.trim_start().starts_with('[')
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_str(self.0).map_err(|error| error.to_string())
    }
}

struct Unpacked(Value);

impl Message for Unpacked {
    fn is_object(&self) -> bool {
        !self.0.is_array()
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        T::deserialize(&self.0).map_err(|error| error.to_string())
    }
}

/// Exactly one message, as far as it is JSON.
fn unpacked(packed: &[u8]) -> Result<Value, String> {
    let mut reader = rmp_serde::Deserializer::new(std::io::Cursor::new(packed));
    // Nobody needs more, and each level is a call on our stack.
    reader.set_max_depth(MAX_DEPTH);
    let value = Value::deserialize(&mut reader).map_err(|error| error.to_string())?;
    if reader.position() < packed.len() as u64 {
        return Err("something follows the message".to_owned());
    }
    Ok(whole(value))
}

/// JavaScript does not tell 1 from 1.0: what is a whole number becomes one.
fn whole(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if !number.is_u64() && float.fract() == 0.0 && (0.0..=MAX_ID as f64).contains(&float) => {
                Value::from(float as u64)
            }
            _ => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(whole).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, inner)| (name, whole(inner))).collect(),
        other => other,
    }
}

fn body<T: DeserializeOwned>(message: &impl Message, id: Option<u64>) -> Result<T, CommandError> {
    message.read().map_err(|why| CommandError::Bad { id, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_ignored() {
        let text = r#"{"id":7,"type":"unsubscribe","topic":"mine","colour":{"deep":[1]}}"#;
        let verb = Verb::Unsubscribe(Unsubscribe { topic: Some("mine".into()), topics: None });
        assert_eq!(Command::parse(text), Ok(Command { id: Some(7), verb }));
    }

    #[test]
    fn one_topic_or_several_are_named_and_never_both() {
        let read = |text: &str| match Command::parse(text).unwrap().verb {
            Verb::Subscribe(subscribe) => subscribe.into_topics(2).map(|wanted| wanted.len()),
            Verb::Unsubscribe(unsubscribe) => unsubscribe.into_topics(2).map(|unwanted| unwanted.len()),
            other => panic!("{other:?}"),
        };
        for (count, good) in [
            (1, r#"{"type":"subscribe","topic":"mine","after":"c","topics":null}"#),
            (2, r#"{"type":"subscribe","topics":[{"topic":"job/A","after":"c"},{"topic":"mine","minIntervalMs":0}]}"#),
            (1, r#"{"type":"unsubscribe","topic":"mine"}"#),
            (2, r#"{"type":"unsubscribe","topics":["job/A","job/B"]}"#),
        ] {
            assert_eq!(read(good).unwrap(), count, "{good}");
        }
        for (field, bad) in [
            ("topic", r#"{"type":"subscribe"}"#),
            ("topics", r#"{"type":"subscribe","topics":[]}"#),
            ("topics", r#"{"type":"subscribe","topic":"mine","topics":[{"topic":"queue"}]}"#),
            ("topics", r#"{"type":"subscribe","after":"c","topics":[{"topic":"queue"}]}"#),
            ("topics", r#"{"type":"subscribe","topics":[{"topic":"queue"},{"topic":"queue"}]}"#),
            ("topics", r#"{"type":"subscribe","topics":[{"topic":"a"},{"topic":"b"},{"topic":"c"}]}"#),
            ("topic", r#"{"type":"unsubscribe"}"#),
            ("topics", r#"{"type":"unsubscribe","topics":[]}"#),
            ("topics", r#"{"type":"unsubscribe","topic":"mine","topics":["queue"]}"#),
            ("topics", r#"{"type":"unsubscribe","topics":["a","b","c"]}"#),
        ] {
            assert_eq!(read(bad).unwrap_err().field, field, "{bad}");
        }
        assert!(matches!(
            Command::parse(r#"{"id":1,"type":"subscribe","topics":["mine"]}"#),
            Err(CommandError::Bad { id: Some(1), .. })
        ));
    }

    #[test]
    fn the_id_of_a_refused_message_is_found_if_it_is_short() {
        let padded = |bytes| format!(r#"{{"x":"{}","id":7,"type":"dance"}}"#, "y".repeat(bytes));
        assert_eq!((Command::id_of(&padded(10)), Command::id_of(&padded(ID_SCAN_BYTES))), (Some(7), None));
        assert_eq!((Command::id_of("{"), Command::id_of(r#"{"id":-1}"#), Command::id_of("{}")), (None, None, None));
        let packed = rmp_serde::to_vec_named(&serde_json::json!({"type": "x", "id": 9})).unwrap();
        assert_eq!((Command::id_of_packed(&packed), Command::id_of_packed(&[0xc1])), (Some(9), None));
    }

    #[test]
    fn packed_commands_are_read_like_json_and_bad_ones_refused() {
        for text in [
            r#"{"id":7,"type":"subscribe","topic":"mine","minIntervalMs":250,"colour":[{"deep":null}]}"#,
            r#"{"type":"mark-read","ids":["a"]}"#,
            r#"{"id":9007199254740991,"type":"ping"}"#,
            r#"{"id":3,"type":"dance"}"#,
        ] {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(
                Command::parse_packed(&rmp_serde::to_vec_named(&value).unwrap()),
                Command::parse(text),
                "{text}"
            );
        }
        // As JavaScript writes large numbers.
        let float = rmp_serde::to_vec_named(&serde_json::json!({"id": 4294967296.0, "type": "ping"})).unwrap();
        assert_eq!(Command::parse_packed(&float), Ok(Command { id: Some(1 << 32), verb: Verb::Ping }));
        let ping = rmp_serde::to_vec_named(&serde_json::json!({"type": "ping"})).unwrap();
        let followed = [ping.as_slice(), &[0xc0]].concat();
        let deep = [&[0x82, 0xa4], b"type".as_slice(), &[0xa4], b"ping", &[0xa1, b'x'], &[0x91; 5000]].concat();
        // Claims of four billion elements, and of bytes that do not come.
        let claims: [&[u8]; 5] = [
            &[0xdd, 0xff, 0xff, 0xff, 0xff],
            &[0xdf, 0xff, 0xff, 0xff, 0xff],
            &[0xdb, 0xff, 0xff, 0xff, 0xff, b'x'],
            &[0xc1],
            &[],
        ];
        for bad in claims.into_iter().chain([followed.as_slice(), &deep, &ping[..ping.len() - 1]]) {
            assert!(matches!(Command::parse_packed(bad), Err(CommandError::Bad { .. })), "{bad:?}");
        }
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
