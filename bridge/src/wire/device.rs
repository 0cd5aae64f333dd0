//! Devices: what a client says of the one it runs on, and how those that are connected are shown.

use courant_proto::v1;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::field::InvalidField;
use super::job::time;

/// The longest id of a device in bytes.
pub const MAX_ID: usize = 64;
/// The longest name of a device in characters.
pub const MAX_NAME: usize = 64;
/// All polls of one user that name no device are one: nothing shows which belong together.
const POLLS: &str = "polls";

/// The device a client runs on, in its words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Device {
    /// Names it among the user's devices, the same whenever it connects: 1 to 64 of `[A-Za-z0-9._-]`.
    pub id: String,
    /// For people: at most 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Device {
    /// Refuses what cannot be one. `prefix` and the names in it are those of the message or the URL.
    pub fn check(self, id: &str, name: &str) -> Result<Self, InvalidField> {
        if !is_id(&self.id) {
            return Err(InvalidField::new(id, "must be 1 to 64 of [A-Za-z0-9._-]"));
        }
        let unfit = |text: &String| text.chars().count() > MAX_NAME || text.chars().any(changes_text_layout);
        if self.name.as_ref().is_some_and(unfit) {
            return Err(InvalidField::new(name, "must be at most 64 characters and no control characters"));
        }
        Ok(Self { name: self.name.filter(|name| !name.trim().is_empty()), ..self })
    }

    /// Of a connection that named none.
    pub fn of(connection: Ulid) -> Self {
        Self { id: connection.to_string(), name: None }
    }

    /// Of polls that name none.
    pub fn of_polls() -> Self {
        Self { id: POLLS.to_owned(), name: None }
    }
}

fn is_id(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// What turns round how its neighbours are shown, or ends the line. The server judges alike.
pub fn changes_text_layout(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// One device of the user that is connected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ShownDevice {
    pub device_id: String,
    /// As the device calls itself; `null` when it did not.
    pub name: Option<String>,
    #[cfg_attr(feature = "schema", schemars(extend("x-unknown" = "skip")))]
    pub transports: Vec<TransportName>,
    /// Pages and programs that are open on it.
    pub connections: i32,
    /// Since when it has been connected without a break.
    pub connect_time: Option<String>,
}

/// How a device is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum TransportName {
    Websocket,
    Sse,
    Polling,
}

impl From<&v1::Device> for ShownDevice {
    fn from(device: &v1::Device) -> Self {
        let ways = [
            (device.websockets > 0, TransportName::Websocket),
            (device.event_streams > 0, TransportName::Sse),
            (device.polls, TransportName::Polling),
        ];
        Self {
            device_id: device.device_id.clone(),
            name: Some(device.name.clone()).filter(|name| !name.is_empty()),
            transports: ways.into_iter().filter_map(|(used, way)| used.then_some(way)).collect(),
            // Polls of one device cannot be told apart: together they are one.
            connections: device.websockets.saturating_add(device.event_streams).saturating_add(device.polls.into()),
            connect_time: time(device.connect_time.as_ref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked_name(id: &str, name: &str) -> Result<Option<String>, String> {
        let device = Device { id: id.into(), name: Some(name.into()) };
        let checked = device.check("device.id", "device.name");
        checked.map(|device| device.name).map_err(|invalid| invalid.field)
    }

    #[test]
    fn ids_and_names_have_their_bounds() {
        assert_eq!(checked_name("a.B-9_", "Firefox on Linux"), Ok(Some("Firefox on Linux".into())));
        assert_eq!(checked_name(&"x".repeat(64), &"ü".repeat(64)), Ok(Some("ü".repeat(64))));
        assert_eq!(checked_name("a", "  "), Ok(None));
        for id in ["", "a b", "ü", &"x".repeat(65)] {
            assert_eq!(checked_name(id, "n"), Err("device.id".into()), "{id}");
        }
        for name in [&"x".repeat(65), "a\nb", "a\u{202e}b"] {
            assert_eq!(checked_name("a", name), Err("device.name".into()), "{name}");
        }
    }
}
