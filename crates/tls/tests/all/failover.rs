//! A client of several servers goes on at another when its own is gone.

use std::net::SocketAddr;
use std::time::Duration;

use courant_tls::{Servers, connector};
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// A server that answers health checks until it is aborted.
async fn serve(at: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind(at).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_, health) = tonic_health::server::health_reporter();
    let serving = Server::builder().add_service(health).serve_with_incoming(TcpIncoming::from(listener));
    (address, tokio::spawn(async move { serving.await.unwrap() }))
}

async fn answers(channel: &Channel) -> bool {
    let asked = async { HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.is_ok() };
    tokio::time::timeout(Duration::from_secs(10), asked).await.unwrap_or(false)
}

#[tokio::test]
async fn a_client_goes_on_at_another_server_and_back() {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let ((first, one), (second, other)) = (serve(any).await, serve(any).await);
    let servers = Servers::parse(&format!("http://{first},http://{second}")).unwrap();
    let channel = connector::lazy(&servers.endpoint(), &servers, None);
    assert!(answers(&channel).await);
    for (gone, address) in [(one, first), (other, second)] {
        gone.abort();
        let _ = gone.await;
        // What is cut may fail once; what comes after it goes to the other.
        answers(&channel).await;
        assert!(answers(&channel).await, "nobody answers in place of {address}");
        serve(address).await;
    }
}

#[tokio::test]
async fn a_server_that_takes_no_connection_holds_nobody_up_for_long() {
    // Nobody accepts, and the one that waits takes the place: the next connection is not answered.
    let full = full_listener();
    let _waits = tokio::net::TcpStream::connect(full.local_addr().unwrap()).await.unwrap();
    let (there, _serving) = serve("127.0.0.1:0".parse().unwrap()).await;
    for _ in 0..4 {
        let servers = Servers::parse(&format!("http://{},http://{there}", full.local_addr().unwrap())).unwrap();
        assert!(answers(&connector::lazy(&servers.endpoint(), &servers, None)).await);
    }
}

#[tokio::test]
async fn when_none_is_there_the_error_names_one() {
    let servers = Servers::parse("http://127.0.0.1:1,http://127.0.0.1:2").unwrap();
    let error = connector::connect(&servers.endpoint(), &servers, None).await.unwrap_err();
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("http://127.0.0.1:"), "{error}: {cause}");
}

/// A listener with room for one connection that waits.
fn full_listener() -> std::net::TcpListener {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.listen(0).unwrap().into_std().unwrap()
}
