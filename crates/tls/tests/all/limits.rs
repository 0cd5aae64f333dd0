//! Connections that take a place and do not use it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use courant_tls::{ConnectionLimits, Protocol};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::papers::Papers;
use crate::stage::{PATIENCE, ask, client, serve_over, serve_within, server};

/// What a client sends first: the preface and empty settings.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

async fn from(source: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(source.parse().unwrap(), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

async fn call(to: SocketAddr) -> Duration {
    let began = Instant::now();
    let channel = Endpoint::from_shared(format!("http://{to}")).unwrap().connect().await.unwrap();
    HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap();
    began.elapsed()
}

/// Whether the other side ends it before it says anything of worth.
async fn ended(socket: &mut TcpStream) -> bool {
    let read = async {
        let mut scratch = [0; 256];
        loop {
            match socket.read(&mut scratch).await {
                Ok(0) | Err(_) => return true,
                Ok(_) => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap_or(false)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_keep_nobody_out_not_even_from_their_own_address() {
    let papers = Papers::new();
    for tls in [None, Some(server(papers.signed("core"), None))] {
        let limits = ConnectionLimits { grpc_handshake_timeout: Duration::from_secs(600), ..Default::default() };
        let address = serve_within(tls.clone(), &limits).await;
        let mut silent = Vec::new();
        for number in 0..2000 {
            let mut socket = from(if number % 2 == 0 { "127.0.0.1" } else { "127.0.0.3" }, address).await;
            if number % 3 == 0 {
                // Half a preface, or the beginning of a handshake that does not go on.
                let _ = socket.write_all(if tls.is_some() { &[22, 3] } else { &HELLO[..12] }).await;
            }
            silent.push(socket);
        }
        let began = Instant::now();
        match &tls {
            None => drop(call(address).await),
            Some(_) => ask(address, &client(papers.ca(), None)).await.unwrap(),
        }
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        // All but the newest of each address were let go.
        for socket in &mut silent[..1800] {
            assert!(ended(socket).await);
        }
    }
}

#[tokio::test]
async fn who_does_not_begin_in_time_is_let_go() {
    let limits = ConnectionLimits { grpc_handshake_timeout: Duration::from_millis(300), ..Default::default() };
    let address = serve_within(None, &limits).await;
    let (mut silent, mut other) = (from("127.0.0.1", address).await, from("127.0.0.1", address).await);
    other.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(ended(&mut other).await);
    assert!(ended(&mut silent).await);
    call(address).await;
}

#[tokio::test]
async fn an_address_has_its_share_and_a_newcomer_over_it_is_refused_at_once() {
    let limits = ConnectionLimits { grpc_max_connections_per_address: 3, ..Default::default() };
    let address = serve_within(None, &limits).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut socket = from("127.0.0.3", address).await;
        socket.write_all(HELLO).await.unwrap();
        // The settings of the server: it has a place.
        socket.read_exact(&mut [0; 9]).await.unwrap();
        open.push(socket);
    }
    assert!(ended(&mut from("127.0.0.3", address).await).await);
    assert!(call(address).await < Duration::from_secs(1));
    drop(open.pop());
    let again = async {
        loop {
            let mut socket = from("127.0.0.3", address).await;
            let _ = socket.write_all(HELLO).await;
            if socket.read_exact(&mut [0; 9]).await.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("the place never came free");
}

#[tokio::test]
async fn a_connection_without_a_call_ends_and_one_with_a_call_stays() {
    let limits = ConnectionLimits { grpc_idle_timeout: Duration::from_secs(1), ..Default::default() };
    let address = serve_within(None, &limits).await;
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let watch = HealthClient::new(channel.clone()).watch(HealthCheckRequest::default()).await.unwrap();
    let mut watch = watch.into_inner();
    watch.message().await.unwrap().unwrap();
    let mut idle = from("127.0.0.1", address).await;
    idle.write_all(HELLO).await.unwrap();
    let began = Instant::now();
    assert!(ended(&mut idle).await);
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    // Several idle times of the other connection, which has its call.
    let next = tokio::time::timeout(Duration::from_secs(3), watch.message()).await;
    assert!(next.is_err(), "the watch ended: {next:?}");
}

/// What comes back, until the other side ends it.
async fn answer(socket: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut text)).await.unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn over_http1_the_first_head_has_the_time_of_a_handshake_and_connections_count() {
    let limits = ConnectionLimits {
        grpc_handshake_timeout: Duration::from_millis(500),
        grpc_max_connections_per_address: 2,
        grpc_idle_timeout: Duration::from_secs(1),
        ..Default::default()
    };
    let address = serve_over(Protocol::Http1OrHttp2, None, &limits).await;
    let head = b"POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n";
    // Its head does not end; the other's is too long.
    let mut slow = from("127.0.0.3", address).await;
    slow.write_all(head).await.unwrap();
    assert_eq!(answer(&mut slow).await, "");
    let mut long = from("127.0.0.3", address).await;
    let _ = long.write_all(&[head.as_slice(), &[b'x'; 32 << 10]].concat()).await;
    assert_eq!(answer(&mut long).await, "");
    // In pieces, and with a head that begins as the preface of HTTP/2 does.
    let mut whole = from("127.0.0.3", address).await;
    for piece in [b"P".as_slice(), &head[1..], b"\r", b"\n"] {
        whole.write_all(piece).await.unwrap();
        whole.flush().await.unwrap();
    }
    let _second = from("127.0.0.3", address).await;
    assert!(ended(&mut from("127.0.0.3", address).await).await, "a third connection was let in");
    // It is answered, and closed when it has had no call for long.
    let said = answer(&mut whole).await;
    assert!(said.starts_with("HTTP/1.1 "), "{said}");
    call(address).await;
}
