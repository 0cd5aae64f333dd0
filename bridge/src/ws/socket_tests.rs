//! A socket of the bridge against a client of tungstenite, over TCP.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use courant_runtime::supervisor::Supervisor;
use courant_tls::Socket;
use futures::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;

use super::format::{Format, Framing};
use super::reader::Inbound;
use super::socket::FramedSocket;
use crate::api_error::ApiError;
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::outbox::close_reason::CloseReason;
use crate::outbox::flusher::Flushers;
use crate::wire::encode::{Kind, Push};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

struct Pair {
    outbox: Arc<Outbox>,
    socket: FramedSocket,
    client: WebSocketStream<TcpStream>,
    stop: CancellationToken,
}

/// With little room in the kernel, so that a client that does not read is noticed soon.
async fn pair() -> Pair {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpSocket::new_v4().unwrap();
    client.set_recv_buffer_size(4 << 10).unwrap();
    let client = client.connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let stop = CancellationToken::new();
    let flushers = Flushers::start(&Supervisor::new(stop.clone()));
    let outbox = Arc::new(Outbox::new(64 << 20, Metrics::default()));
    let framing = Framing::new(Format::Json, 1024, Metrics::default());
    let socket = FramedSocket::new(Socket::Plain(server), Bytes::new(), outbox.clone(), framing, 1 << 20, &flushers);
    let client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
    Pair { outbox, socket, client, stop }
}

/// Texts of all lengths that matter, each with its number.
fn texts() -> Vec<String> {
    let lengths = [0, 1, 120, 126, 4000, 70_000, 300_000];
    (0..300).map(|number| format!("{number}:{}", "x".repeat(lengths[number % lengths.len()]))).collect()
}

/// Gives a push to the outbox. Its user is not known, so it goes in as a replay does.
fn push(outbox: &Outbox, text: &str) {
    outbox.push_replayed(Arc::new(Push::plain(&"mine".into(), Kind::Mark, &[text])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_late_gets_everything_in_order() {
    let Pair { outbox, mut socket, mut client, stop } = pair().await;
    let session = tokio::spawn(async move { socket.next().await });
    for text in texts() {
        push(&outbox, &text);
        tokio::task::yield_now().await;
    }
    for text in texts() {
        let read = tokio::time::timeout(PATIENCE, client.next()).await.expect("a message");
        assert_eq!(read.unwrap().unwrap(), Message::text(text));
    }
    client.close(None).await.unwrap();
    assert_eq!(session.await.unwrap(), Inbound::Alive);
    stop.cancel();
}

#[tokio::test]
async fn a_ping_is_answered_though_nothing_else_is_to_be_sent() {
    let Pair { mut socket, mut client, stop, .. } = pair().await;
    let session = tokio::spawn(async move {
        let first = socket.next().await;
        (first, socket.next().await)
    });
    client.send(Message::Ping(Bytes::from_static(b"here"))).await.unwrap();
    let read = tokio::time::timeout(PATIENCE, client.next()).await.expect("a pong");
    assert_eq!(read.unwrap().unwrap(), Message::Pong(Bytes::from_static(b"here")));
    client.send(Message::text("hello")).await.unwrap();
    assert_eq!(session.await.unwrap(), (Inbound::Control, Inbound::Text("hello".into())));
    stop.cancel();
}

#[tokio::test]
async fn the_end_of_a_connection_is_a_close_in_both_directions() {
    let Pair { outbox, mut socket, mut client, stop } = pair().await;
    outbox.end(CloseReason::on(ApiError::unreachable()));
    let session = tokio::spawn(async move { [socket.next().await, socket.next().await] });
    let closing = client.next().await.unwrap().unwrap();
    assert!(closing.to_text().unwrap().contains("4504"), "{closing}");
    let Message::Close(Some(close)) = client.next().await.unwrap().unwrap() else { panic!("no Close") };
    assert_eq!(u16::from(close.code), 4504);
    assert!(client.next().await.is_none());
    assert_eq!(session.await.unwrap(), [Inbound::Alive, Inbound::Gone]);
    stop.cancel();
}

#[tokio::test]
async fn a_client_that_closes_is_answered() {
    let Pair { mut socket, mut client, stop, .. } = pair().await;
    let session = tokio::spawn(async move { [socket.next().await, socket.next().await] });
    client.close(None).await.unwrap();
    assert!(matches!(client.next().await, Some(Ok(Message::Close(None)))));
    assert!(client.next().await.is_none());
    assert_eq!(session.await.unwrap(), [Inbound::Alive, Inbound::Gone]);
    stop.cancel();
}
