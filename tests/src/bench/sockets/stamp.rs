//! The time at which a message was sent, in the message.

use std::time::{SystemTime, UNIX_EPOCH};

/// What stands before the time: nanoseconds since 1970 in decimal digits. It needs no escapes in JSON.
pub const KEY: &[u8] = b"sent=";

/// Now, as in stamps. Sender and receiver have the same clock.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Key and time.
pub fn text(time: u64) -> String {
    format!("sent={time}")
}

/// Finds stamps without reading what is around them.
///
/// Messages of one sort have it nearly always at the same place, so that is looked at first.
#[derive(Debug, Default)]
pub struct Finder {
    /// Some servers put several messages into one frame. Looking for more than one costs, so it is done only for those.
    several: bool,
    /// Where the first stamp of a frame was the last time, and how far behind the digits' begin the next one was.
    first: usize,
    next: usize,
}

impl Finder {
    pub fn new(several: bool) -> Self {
        Self { several, ..Self::default() }
    }

    /// Calls `each` with the time of every stamp of a frame.
    pub fn each(&mut self, frame: &[u8], mut each: impl FnMut(u64)) {
        let mut found = after_key(frame, &mut self.first);
        while let Some(rest) = found {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
            each(digits.fold(0_u64, |time, digit| time.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))));
            found = if self.several { after_key(rest, &mut self.next) } else { None };
        }
    }
}

/// What follows the key: looked for where it was the last time, else anywhere.
fn after_key<'a>(bytes: &'a [u8], last: &mut usize) -> Option<&'a [u8]> {
    if let Some(rest) = bytes.get(*last..).and_then(|rest| rest.strip_prefix(KEY)) {
        return Some(rest);
    }
    *last = position(bytes, KEY)?;
    Some(&bytes[*last + KEY.len()..])
}

/// Where `wanted` begins first.
pub fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(finder: &mut Finder, frame: &str) -> Vec<u64> {
        let mut found = Vec::new();
        finder.each(frame.as_bytes(), |time| found.push(time));
        found
    }

    #[test]
    fn stamps_are_found_where_they_were_and_where_they_were_not() {
        let mut finder = Finder::new(false);
        let time = now();
        for before in ["", "{\"operation\":\"", "{\"operation\":\"", "{\"topic\":\"x\",\"operation\":\"", ""] {
            assert_eq!(all(&mut finder, &format!("{before}{}\",\"unitsDone\":7}}", text(time))), [time]);
        }
        assert!(all(&mut finder, "{\"type\":\"pong\"}").is_empty());
        assert!(all(&mut finder, "").is_empty());
        assert!(all(&mut finder, "sen").is_empty());
        assert_eq!(all(&mut finder, "sent=1 sent=2"), [1], "only the first one is looked for");
    }

    #[test]
    fn several_in_one_frame_are_all_found() {
        let mut finder = Finder::new(true);
        let frame = "MSG a 1 9\r\n{sent=123}\r\nMSG a 1 9\r\n{sent=456}\r\nMSG other 1 9\r\n{sent=7}\r\n";
        assert_eq!(all(&mut finder, frame), [123, 456, 7]);
        assert_eq!(all(&mut finder, frame), [123, 456, 7]);
        assert!(all(&mut finder, "PING\r\n").is_empty());
    }
}
