//! WebSocket frames (RFC 6455), as far as a load client needs them: those of a server are read where they lie, without
//! copies and without a look at what is in them; those of a client are short.

use anyhow::{bail, ensure};

/// A text frame, or the first one of a text message.
pub const TEXT: u8 = 0x1;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

/// The largest frame taken, in bytes: far more than any server here sends, so that a wrong length is noticed.
const MAX_FRAME: usize = 64 << 20;

/// The part of a frame that has arrived, of one connection. Takes memory only while there is one.
#[derive(Debug, Default)]
pub struct Partial(Vec<u8>);

impl Partial {
    /// Calls `each` with the opcode and the payload of every frame that `bytes` completes.
    pub fn read(&mut self, bytes: &[u8], mut each: impl FnMut(u8, &[u8])) -> anyhow::Result<()> {
        if self.0.is_empty() {
            let used = split(bytes, &mut each)?;
            self.0.extend_from_slice(&bytes[used..]);
            return Ok(());
        }
        self.0.extend_from_slice(bytes);
        let used = split(&self.0, &mut each)?;
        if used == self.0.len() {
            self.0 = Vec::new();
        } else {
            self.0.drain(..used);
        }
        Ok(())
    }
}

/// Gives `each` all whole frames; returns how many bytes they had.
fn split(bytes: &[u8], each: &mut impl FnMut(u8, &[u8])) -> anyhow::Result<usize> {
    let mut at = 0;
    while let Some(head) = Head::read(&bytes[at..])? {
        let (begin, end) = (at + head.bytes, at + head.bytes + head.payload);
        let Some(payload) = bytes.get(begin..end) else { break };
        each(head.opcode, payload);
        at = end;
    }
    Ok(at)
}

struct Head {
    opcode: u8,
    /// Bytes of the head itself, and of the payload that follows it.
    bytes: usize,
    payload: usize,
}

impl Head {
    /// None while it has not all arrived.
    fn read(bytes: &[u8]) -> anyhow::Result<Option<Self>> {
        let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
        ensure!(first & 0x70 == 0, "a frame with reserved bits ({first:#04x}): was compression agreed on?");
        ensure!(second & 0x80 == 0, "a masked frame from a server");
        let opcode = first & 0x0F;
        let (bytes, payload) = match second {
            126 => match rest {
                [a, b, ..] => (4, usize::from(u16::from_be_bytes([*a, *b]))),
                _ => return Ok(None),
            },
            127 => match rest.first_chunk() {
                Some(length) => (10, usize::try_from(u64::from_be_bytes(*length))?),
                None => return Ok(None),
            },
            short => (2, usize::from(short)),
        };
        if payload > MAX_FRAME {
            bail!("a frame of {payload} bytes; at most {MAX_FRAME} are taken");
        }
        Ok(Some(Self { opcode, bytes, payload }))
    }
}

/// Adds a frame of a client. Its mask is zero, which is a mask like any other and costs nothing.
pub fn write(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    const MASKED: u8 = 0x80;
    out.push(0x80 | opcode);
    match payload.len() {
        short @ 0..=125 => out.push(MASKED | u8::try_from(short).unwrap_or_default()),
        length => match u16::try_from(length) {
            Ok(length) => {
                out.push(MASKED | 126);
                out.extend_from_slice(&length.to_be_bytes());
            }
            Err(_) => {
                out.push(MASKED | 127);
                out.extend_from_slice(&u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
            }
        },
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as a server sends it.
    fn of_server(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            length @ 0..=125 => frame.push(length as u8),
            length @ 126..=65_535 => {
                frame.push(126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                frame.push(127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        frame
    }

    type Frame = (u8, Vec<u8>);

    fn all(pieces: &[&[u8]]) -> anyhow::Result<(Vec<Frame>, Partial)> {
        let (mut partial, mut found) = (Partial::default(), Vec::new());
        for piece in pieces {
            partial.read(piece, |opcode, payload| found.push((opcode, payload.to_vec())))?;
        }
        Ok((found, partial))
    }

    #[test]
    fn frames_of_all_lengths_are_found_wherever_the_bytes_are_cut() {
        let lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000];
        let expected: Vec<_> = lengths.iter().map(|length| (TEXT, vec![b'x'; *length])).collect();
        let bytes: Vec<u8> = expected.iter().flat_map(|(opcode, payload)| of_server(*opcode, payload)).collect();
        assert_eq!(all(&[&bytes]).unwrap().0, expected);
        for cut in (0..300).chain((300..bytes.len()).step_by(997)) {
            let (found, partial) = all(&[&bytes[..cut], &bytes[cut..]]).unwrap();
            assert_eq!(found, expected, "cut at {cut}");
            assert!(partial.0.is_empty() && partial.0.capacity() == 0, "cut at {cut}: bytes are kept");
        }
        let pieces: Vec<&[u8]> = bytes.chunks(7).collect();
        assert_eq!(all(&pieces).unwrap().0, expected);
    }

    #[test]
    fn what_no_server_may_send_is_refused() {
        assert!(all(&[&[0xC1, 0]]).is_err(), "compressed");
        assert!(all(&[&[0x81, 0x80, 0, 0, 0, 0]]).is_err(), "masked");
        assert!(all(&[&[0x81, 127, 0xFF, 0, 0, 0, 0, 0, 0, 0]]).is_err(), "too large");
    }

    #[test]
    fn a_frame_of_a_client_has_a_mask_and_its_length() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let mut frame = Vec::new();
            write(TEXT, &vec![b'x'; length], &mut frame);
            // Without its mask it is a frame as servers send them.
            let mask = frame.len() - length - 4;
            assert_eq!(frame[mask..mask + 4], [0; 4]);
            frame.drain(mask..mask + 4);
            frame[1] &= 0x7F;
            assert_eq!(all(&[&frame]).unwrap().0, [(TEXT, vec![b'x'; length])]);
        }
    }
}
