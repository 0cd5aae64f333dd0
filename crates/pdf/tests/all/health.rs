//! The health port of a worker holds out against whoever opens connections and leaves them.

use std::net::SocketAddr;
use std::time::Duration;

use courant_monitoring::HealthBoard;
use courant_pdf::health;
use courant_worker::StatusBoard;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// More than one address may have.
const MANY: usize = 100;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS frame.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that has begun HTTP/2 and says no more. None when it was closed.
async fn begun(from: &str, to: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    let mut connection = socket.connect(to).await.unwrap();
    connection.write_all(&[PREFACE, SETTINGS].concat()).await.ok()?;
    let mut first = [0; 9];
    let read =
        tokio::time::timeout(PATIENCE, connection.read_exact(&mut first)).await.expect("neither taken nor closed");
    read.ok().map(|_| connection)
}

#[tokio::test]
async fn one_address_takes_not_all_of_its_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(health::serve(listener, StatusBoard::default(), HealthBoard::default(), stop.clone()));
    let mut held = Vec::new();
    for _ in 0..MANY {
        held.extend(begun("127.0.0.2", address).await);
    }
    assert_eq!(held.len(), 64, "the surplus ones are closed");
    let probe = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let answer = HealthClient::new(probe).check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(answer.status, 2, "another one is answered: there is no server");
    stop.cancel();
    serving.await.unwrap().unwrap();
}
