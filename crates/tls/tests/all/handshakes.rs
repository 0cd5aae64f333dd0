//! Who gets in and who does not.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args as _, FromArgMatches as _};
use courant_tls::{Protocol, ServerFlags, ServerTls, Socket};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};

use crate::papers::Papers;
use crate::stage::{PATIENCE, ask, client, serve, server};

fn flags(papers: &Papers, more: &[&str]) -> ServerFlags {
    let (cert, key) = papers.signed("flags");
    let mut given = vec!["test", "--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    given.extend(more);
    let command = ServerFlags::augment_args(clap::Command::new("test"));
    ServerFlags::from_arg_matches(&command.get_matches_from(given)).unwrap()
}

/// One end of a connection, accepted with TLS on the other.
async fn accepting(
    tls: ServerTls,
    protocol: Protocol,
) -> (TcpStream, tokio::task::JoinHandle<std::io::Result<Socket>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    (socket, tokio::spawn(async move { tls.accept(accepted, protocol).await }))
}

#[tokio::test]
async fn the_server_is_believed_by_its_authority_alone() {
    let (papers, stranger) = (Papers::new(), Papers::new());
    let address = serve(server(papers.signed("core"), None)).await;
    ask(address, &client(papers.ca(), None)).await.unwrap();
    let refused = ask(address, &client(stranger.ca(), None)).await.unwrap_err();
    assert!(refused.contains("invalid peer certificate"), "{refused}");
}

#[tokio::test]
async fn with_mutual_tls_only_those_with_a_certificate_get_in() {
    let (papers, stranger) = (Papers::new(), Papers::new());
    let tls = server(papers.signed("core"), Some(papers.ca()));
    let address = serve(tls.clone()).await;
    ask(address, &client(papers.ca(), Some(papers.signed("mine")))).await.unwrap();
    let without = ask(address, &client(papers.ca(), None)).await.unwrap_err();
    assert!(without.contains("CertificateRequired"), "{without}");
    let foreign = ask(address, &client(papers.ca(), Some(stranger.signed("theirs")))).await.unwrap_err();
    assert!(foreign.contains("received fatal alert"), "{foreign}");
}

#[tokio::test]
async fn parts_of_one_house_know_each_other_without_an_authority_and_nobody_else() {
    let (papers, elsewhere) = (Papers::new(), Papers::new());
    // Clients need a certificate of an authority that signed nothing here: the house gets in all the same.
    let tls = server(papers.signed("core"), Some(elsewhere.ca()));
    let address = serve(tls.clone()).await;
    ask(address, &tls.as_client()).await.unwrap();
    let other = server(papers.signed("other"), None);
    let refused = ask(address, &other.as_client()).await.unwrap_err();
    assert!(refused.contains("ApplicationVerificationFailure"), "{refused}");
    // Having a copy of the certificate is not enough.
    let neighbour = ask(address, &client(papers.ca(), Some(papers.signed("neighbour")))).await.unwrap_err();
    assert!(neighbour.contains("received fatal alert"), "{neighbour}");
}

#[tokio::test]
async fn both_versions_are_spoken_and_the_protocol_is_named() {
    let papers = Papers::new();
    let tls = server(papers.signed("core"), None);
    let spoken = async |version: &'static SupportedProtocolVersion, protocol| {
        let (socket, accepted) = accepting(tls.clone(), protocol).await;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(papers.ca()).unwrap()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
        let socket =
            TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), socket).await.unwrap();
        accepted.await.unwrap().unwrap();
        let (_, session) = socket.get_ref();
        (session.protocol_version().unwrap(), session.alpn_protocol().unwrap().to_vec())
    };
    assert_eq!(spoken(&TLS12, Protocol::Http2).await, (ProtocolVersion::TLSv1_2, b"h2".to_vec()));
    assert_eq!(spoken(&TLS13, Protocol::Http1).await, (ProtocolVersion::TLSv1_3, b"http/1.1".to_vec()));
}

#[tokio::test]
async fn who_says_nothing_is_let_go() {
    let papers = Papers::new();
    let tls = flags(&papers, &["--tls-handshake-timeout", "100ms"]).load(None).unwrap().unwrap();
    let (mut socket, accepted) = accepting(tls.clone(), Protocol::Http2).await;
    assert_eq!(accepted.await.unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(tokio::time::timeout(PATIENCE, socket.read(&mut [0; 8])).await.unwrap().unwrap(), 0);
    // Beginning and then stopping does not help.
    let (mut socket, accepted) = accepting(tls, Protocol::Http2).await;
    socket.write_all(&[22, 3, 1, 2]).await.unwrap();
    assert_eq!(accepted.await.unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn slow_handshakes_hold_nobody_up() {
    let papers = Papers::new();
    let address = serve(server(papers.signed("core"), None)).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    ask(address, &client(papers.ca(), None)).await.unwrap();
    drop(silent);
}

#[tokio::test]
async fn plain_http_is_told_to_begin_with_https() {
    let papers = Papers::new();
    let tls = server(papers.signed("core"), None);
    let said = async |protocol, request: &[u8]| {
        let (mut socket, accepted) = accepting(tls.clone(), protocol).await;
        socket.write_all(request).await.unwrap();
        let mut heard = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut heard)).await.unwrap();
        drop(socket);
        assert!(accepted.await.unwrap().is_err());
        String::from_utf8(heard).unwrap()
    };
    let answer = said(Protocol::Http1, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 400 ") && body.contains("https://"), "{answer}");
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{answer}");
    assert_eq!(said(Protocol::Http2, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await, "");
}

#[test]
fn times_that_cannot_work_are_refused() {
    let papers = Papers::new();
    for flag in ["--tls-handshake-timeout", "--tls-reload"] {
        let refused = flags(&papers, &[flag, "1ms"]).load(None).unwrap_err().to_string();
        assert!(refused.starts_with(flag), "{refused}");
    }
    assert_eq!(flags(&papers, &[]).tls_handshake_timeout, Duration::from_secs(10));
}
