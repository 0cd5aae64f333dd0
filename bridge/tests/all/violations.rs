//! Stories of clients that break RFC 6455, byte by byte: each is told, and closed, and holds nobody up.

use crate::support::{Client, PATIENCE, Stage};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;

/// A frame as a client must send it: masked, here with a mask that changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = match payload.len() {
        short @ 0..126 => vec![0x80 | short as u8],
        long => [&[0x80 | 126][..], &(long as u16).to_be_bytes()].concat(),
    };
    [&[first][..], &length, &[0; 4], payload].concat()
}

/// Sends bytes past all rules; gives back what is said until the end, and the close code.
async fn after(stage: &Stage, bytes: &[u8]) -> (Vec<serde_json::Value>, u16) {
    let mut client = stage.client("alice").await;
    client.socket.get_mut().write_all(bytes).await.unwrap();
    client.read_to_end().await
}

#[tokio::test]
async fn what_no_client_may_send_is_closed_with_the_codes_of_the_rfc() {
    let stage = Stage::new().await;
    let ping = br#"{"type":"ping"}"#;
    let control_of = |length| frame(FIN | 9, &vec![b'x'; length]);
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("unmasked", [&[FIN | TEXT, ping.len() as u8][..], ping].concat()),
        ("reserved bit 1, without an extension", frame(FIN | 0x40 | TEXT, ping)),
        ("reserved bit 2", frame(FIN | 0x20 | TEXT, ping)),
        ("reserved bit 3", frame(FIN | 0x10 | TEXT, ping)),
        ("reserved data opcode", frame(FIN | 3, b"")),
        ("reserved control opcode", frame(FIN | 0xb, b"")),
        ("fragmented ping", frame(9, b"")),
        ("fragmented close", frame(8, b"")),
        ("ping of more than 125 bytes", control_of(126)),
        ("continuation of nothing", frame(FIN | CONTINUATION, ping)),
        ("text within a fragmented message", [frame(TEXT, b"{"), frame(FIN | TEXT, ping)].concat()),
        ("text that is not UTF-8", frame(FIN | TEXT, &[0xc3, 0x28])),
        ("overlong UTF-8", frame(FIN | TEXT, &[0xc0, 0xaf])),
        ("half a surrogate", frame(FIN | TEXT, &[0xed, 0xa0, 0x80])),
        ("text that ends within a letter", frame(FIN | TEXT, &[b'x', 0xe2, 0x82])),
        ("bad UTF-8 over fragments", [frame(TEXT, &[0xc3]), frame(FIN | CONTINUATION, &[0x28])].concat()),
        ("close with half a code", frame(FIN | 8, &[3])),
    ];
    for (what, bytes) in bad {
        let (said, code) = after(&stage, &bytes).await;
        let expected = if what.contains("UTF-8") || what.contains("surrogate") || what.contains("a letter") {
            (Some(json!("INVALID_TEXT")), 1007)
        } else {
            (Some(json!("PROTOCOL_VIOLATION")), 1002)
        };
        assert_eq!((said.last().map(|last| last["reason"].clone()), code), expected, "{what}");
    }
    // Nobody else has noticed.
    assert_eq!(stage.client("bob").await.ask(json!({"id": 1, "type": "ping"})).await["type"], "pong");
    stage.metrics_show("connections 0").await;
}

#[tokio::test]
async fn what_is_too_long_is_closed_with_1009_before_it_is_taken() {
    let stage = Stage::new().await;
    let claims = |length: u64| [&[FIN | TEXT, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat();
    let (piece, next) = (vec![b' '; 40_000], frame(CONTINUATION, &[b' '; 40_000]));
    for (what, bytes) in [
        ("a claim of nearly everything", claims((1 << 63) - 1)),
        ("a claim of a little too much", claims((64 << 10) + 1)),
        ("fragments that are too long together", [frame(TEXT, &piece), next].concat()),
    ] {
        let (said, code) = after(&stage, &bytes).await;
        assert_eq!((said[0]["reason"].as_str(), code), (Some("MESSAGE_TOO_LARGE"), 1009), "{what}");
    }
}

#[tokio::test]
async fn what_is_unusual_but_right_is_understood() {
    let stage = Stage::new().await;
    let mut client = stage.client("alice").await;
    // A letter cut in two, with a ping between the halves, and an empty piece.
    let text = r#"{"id":7,"type":"ping","é":1}"#;
    let (first, second) = text.as_bytes().split_at(text.find('é').unwrap() + 1);
    let empty = frame(CONTINUATION, b"");
    let whole = [frame(TEXT, first), frame(FIN | 9, b"here?"), empty, frame(FIN | CONTINUATION, second)].concat();
    client.socket.get_mut().write_all(&whole).await.unwrap();
    let mut heard = Vec::new();
    while heard.len() < 2 {
        use futures::StreamExt as _;
        heard.push(tokio::time::timeout(PATIENCE, client.socket.next()).await.unwrap().unwrap().unwrap());
    }
    assert!(heard.contains(&Message::Pong("here?".into())), "{heard:?}");
    assert!(heard.contains(&Message::text(r#"{"type":"pong","id":7}"#)), "{heard:?}");
    // Pongs that nobody asked for say only that somebody is there.
    client.socket.get_mut().write_all(&frame(FIN | 10, b"well")).await.unwrap();
    assert_eq!(client.ask(json!({"id": 8, "type": "ping"})).await["id"], 8);
}

#[tokio::test]
async fn close_codes_are_answered_as_the_rfc_says() {
    let stage = Stage::new().await;
    let close = |code: u16| frame(FIN | 8, &code.to_be_bytes());
    for good in [1000, 1001, 3000, 4999] {
        assert_eq!(after(&stage, &close(good)).await, (vec![], good));
    }
    assert_eq!(after(&stage, &frame(FIN | 8, b"")).await, (vec![], 1005));
    // Codes that must not be sent: a violation of the protocol.
    for bad in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
        assert_eq!(after(&stage, &close(bad)).await, (vec![], 1002), "{bad}");
    }
}

#[tokio::test]
async fn who_stops_in_the_middle_of_a_frame_holds_nothing_for_long() {
    let stage = Stage::with(|config| config.times.ping = std::time::Duration::from_millis(50)).await;
    let mut client = Client::connect(stage.address).await;
    client.socket.get_mut().write_all(&[FIN | TEXT, 0x85, 0, 0]).await.unwrap();
    stage.metrics_show("connections 1").await;
    stage.metrics_show("connections 0").await;
}
