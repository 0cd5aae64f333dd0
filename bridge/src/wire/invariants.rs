//! What holds for everything a client could say: for the fuzzer, and for tests over what it has found.

use super::command::Command;
use super::packed::unframed;
use super::topic::TopicName;

/// Panics when one of the invariants is broken.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let read = Command::parse(&text);
    // A topic that is understood is written as it was read.
    if let Ok(topic) = text.parse::<TopicName>() {
        assert_eq!(topic.to_string(), text);
    }
    // The same in the other format means the same.
    if let Ok(value) = serde_json::from_str::<serde_json::Value>(&text)
        && let Ok(packed) = rmp_serde::to_vec_named(&value)
        && let (Ok(read), Ok(other)) = (read, Command::parse_packed(&packed))
    {
        assert_eq!(read, other);
    }
    if let Ok(packed) = unframed(bytes) {
        let _ = Command::parse_packed(packed);
    }
    let _ = Command::parse_packed(bytes);
}
