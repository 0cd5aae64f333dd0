//! A gRPC server that says it is well, and those who ask it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use courant_tls::{
    ClientFiles, ClientTls, ConnectionLimits, CountCalls, Protocol, ServerFiles, ServerTls, Servers, connector,
};
use tokio::net::TcpListener;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

pub const PATIENCE: Duration = Duration::from_secs(30);

/// Serves on a free port for as long as the test runs.
pub async fn serve(tls: ServerTls) -> SocketAddr {
    serve_within(Some(tls), &ConnectionLimits::default()).await
}

/// The same with limits, and without TLS.
pub async fn serve_within(tls: Option<ServerTls>, limits: &ConnectionLimits) -> SocketAddr {
    serve_over(Protocol::Http2, tls, limits).await
}

/// The same over what is named.
pub async fn serve_over(protocol: Protocol, tls: Option<ServerTls>, limits: &ConnectionLimits) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (reporter, service) = tonic_health::server::health_reporter();
    let server = tonic::transport::Server::builder().accept_http1(true).layer(CountCalls).add_service(service);
    let serving = server.serve_with_incoming(courant_tls::incoming(listener, tls, limits, protocol));
    tokio::spawn(async move {
        // Streams of health end with the reporter.
        let _reporter = reporter;
        serving.await
    });
    address
}

pub fn server((cert, key): (PathBuf, PathBuf), client_ca: Option<PathBuf>) -> ServerTls {
    ServerTls::load(ServerFiles { cert, key, client_ca }).unwrap()
}

pub fn client(ca: PathBuf, identity: Option<(PathBuf, PathBuf)>) -> ClientTls {
    ClientTls::load(ClientFiles { ca: Some(ca), identity }).unwrap()
}

/// Asks how it is, on a new connection. Errors come with all their causes.
pub async fn ask(address: SocketAddr, tls: &ClientTls) -> Result<(), String> {
    let servers = Servers::parse(&format!("https://localhost:{}", address.port())).unwrap();
    let endpoint = servers.endpoint();
    let call = async {
        let channel = connector::connect(&endpoint, &servers, Some(tls)).await.map_err(|error| causes(&error))?;
        let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
        answer.map(drop).map_err(|status| causes(&status))
    };
    tokio::time::timeout(PATIENCE, call).await.unwrap()
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    text
}
