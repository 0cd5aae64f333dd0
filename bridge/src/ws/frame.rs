//! Frames of a server (RFC 6455, section 5.2): never masked, never in pieces. Written here and not by tungstenite, which has no
//! way to write what many connections share without copying it for each first.

use crate::outbox::close_reason::CloseReason;

/// What a frame holds; the value is its first byte, with the bit of a last piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    Text = 0x81,
    Binary = 0x82,
    Close = 0x88,
    Ping = 0x89,
}

/// Appends the header of a frame with so many bytes of payload, which follows.
pub fn append_header(into: &mut Vec<u8>, kind: FrameKind, payload: usize) {
    into.push(kind as u8);
    match payload {
        0..=125 => into.push(payload as u8),
        126..=0xFFFF => {
            into.push(126);
            into.extend_from_slice(&(payload as u16).to_be_bytes());
        }
        _ => {
            into.push(127);
            into.extend_from_slice(&(payload as u64).to_be_bytes());
        }
    }
}

/// Appends a whole frame, header and payload.
pub fn append(into: &mut Vec<u8>, kind: FrameKind, payload: &[u8]) {
    append_header(into, kind, payload.len());
    into.extend_from_slice(payload);
}

/// Appends the frame that closes a connection.
pub fn append_close(into: &mut Vec<u8>, reason: &CloseReason) {
    let name = reason.error.code.name().as_bytes();
    append_header(into, FrameKind::Close, 2 + name.len());
    into.extend_from_slice(&reason.code.to_be_bytes());
    into.extend_from_slice(name);
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};

    use super::*;
    use crate::api_error::ApiError;

    fn read(frames: Vec<u8>) -> Message {
        WebSocket::from_raw_socket(std::io::Cursor::new(frames), Role::Client, None).read().unwrap()
    }

    #[test]
    fn a_client_reads_what_was_written_whatever_its_length() {
        for length in [0, 1, 125, 126, 127, 0xFFFF, 0x1_0000, 100_000] {
            let payload = "x".repeat(length);
            let mut frames = Vec::new();
            append(&mut frames, FrameKind::Text, payload.as_bytes());
            assert_eq!(read(frames), Message::text(payload.clone()));
            let mut frames = Vec::new();
            append(&mut frames, FrameKind::Binary, payload.as_bytes());
            assert_eq!(read(frames), Message::binary(payload));
        }
    }

    #[test]
    fn a_closing_frame_has_the_code_and_its_name() {
        let mut frames = Vec::new();
        append_close(&mut frames, &CloseReason::on(ApiError::unreachable()));
        let Message::Close(Some(close)) = read(frames) else { panic!("not a Close") };
        assert_eq!((u16::from(close.code), close.reason.as_str()), (4504, "SERVER_UNAVAILABLE"));
    }
}
