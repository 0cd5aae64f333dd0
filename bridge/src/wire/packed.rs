//! Messages as MessagePack, behind one byte that says whether they are compressed.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::DeflateEncoder;

/// What follows is MessagePack.
pub const PLAIN: u8 = 0;
/// What follows is MessagePack, compressed as raw DEFLATE (RFC 1951).
pub const DEFLATED: u8 = 1;

/// The same message as MessagePack in its frame. Made of the JSON, so that the two cannot say different things.
pub fn binary(json: &str, above: usize) -> Bytes {
    match packed(json) {
        Ok(packed) if packed.len() > above => deflated(&packed).unwrap_or_else(|| framed(PLAIN, &packed)).into(),
        Ok(packed) => framed(PLAIN, &packed).into(),
        Err(error) => {
            tracing::error!(%error, "a message could not be packed");
            Bytes::from_static(&[PLAIN, 0x80])
        }
    }
}

fn packed(json: &str) -> anyhow::Result<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_str(json)?;
    Ok(rmp_serde::to_vec_named(&value)?)
}

fn framed(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind], content].concat()
}

/// None when it does not become smaller.
fn deflated(packed: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(vec![DEFLATED], Compression::default());
    encoder.write_all(packed).ok()?;
    encoder.finish().ok().filter(|small| small.len() <= packed.len())
}

/// What a client's binary frame holds. Clients do not compress: what they say is short, and what they could make it
/// grow to is not.
pub fn unframed(frame: &[u8]) -> Result<&[u8], &'static str> {
    match frame.split_first() {
        Some((&PLAIN, packed)) => Ok(packed),
        Some((&DEFLATED, _)) => Err("compressed messages are not taken; begin with a byte 0"),
        Some(_) | None => Err("a binary message begins with a byte 0, MessagePack follows"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn unpacked(frame: &[u8]) -> serde_json::Value {
        let mut plain = Vec::new();
        let packed = match frame[0] {
            DEFLATED => {
                flate2::read::DeflateDecoder::new(&frame[1..]).read_to_end(&mut plain).unwrap();
                plain.as_slice()
            }
            _ => &frame[1..],
        };
        rmp_serde::from_slice(packed).unwrap()
    }

    #[test]
    fn what_is_packed_says_the_same() {
        for json in [
            r#"{"type":"pong","id":9007199254740991}"#,
            r#"{"a":null,"b":[true,-1,0.5,100.0],"c":{"é":"\u0000\ud83d\ude00"}}"#,
        ] {
            let frame = binary(json, 1024);
            assert_eq!(frame[0], PLAIN);
            assert_eq!(unpacked(&frame), serde_json::from_str::<serde_json::Value>(json).unwrap());
        }
        // Whole percents stay numbers with a point where they were such.
        assert_eq!(unpacked(&binary("[100.0]", 9)).to_string(), "[100.0]");
    }

    #[test]
    fn only_long_messages_are_compressed_and_only_if_it_helps() {
        let words = format!("[\"{}\"]", "courant ".repeat(1000));
        let frame = binary(&words, 1024);
        assert!(frame[0] == DEFLATED && frame.len() < 200, "{}", frame.len());
        assert_eq!(unpacked(&frame), serde_json::from_str::<serde_json::Value>(&words).unwrap());
        assert_eq!(binary(&words, 100_000)[0], PLAIN);
        let noise: String = (0..3000).map(|_| printable()).collect();
        let frame = binary(&format!("[\"{noise}\"]"), 1024);
        assert_eq!(unpacked(&frame), serde_json::json!([noise]));
    }

    fn printable() -> char {
        let mut byte = [0];
        getrandom::fill(&mut byte).unwrap();
        char::from(b'!' + byte[0] % 94).to_string().replace(['"', '\\'], "x").remove(0)
    }

    #[test]
    fn clients_say_plainly_what_they_say() {
        assert_eq!(unframed(&[PLAIN, 0x80]), Ok(&[0x80][..]));
        for bad in [&[][..], &[DEFLATED, 3, 0], &[2], &[0x80]] {
            assert!(unframed(bad).is_err(), "{bad:?}");
        }
    }
}
