//! Stories of the limit of open files: each connection is one.

use crate::support::RealServer;
use crate::support::program::Program;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_low_soft_limit_of_open_files_is_raised() {
    let server = RealServer::start().await;
    let mut bridge = Program::start(&server, "ulimit -S -n 64", &["--header-timeout", "1h"]);
    let address = bridge.address().await;
    let mut open = Vec::new();
    for _ in 0..200 {
        let mut socket = TcpStream::connect(&address).await.unwrap();
        socket.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        open.push(socket);
    }
    for socket in &mut open {
        let mut first = [0; 12];
        tokio::time::timeout(crate::support::PATIENCE, socket.read_exact(&mut first))
            .await
            .expect("no answer")
            .unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
    }
}

#[tokio::test]
async fn a_limit_that_cannot_be_raised_far_enough_is_told_once_with_the_flags() {
    let server = RealServer::start().await;
    let told = "limit of open files is too low";
    let flags = ["--max-http-connections", "200", "--max-connections", "300"];
    let mut low = Program::start(&server, "ulimit -n 600", &flags);
    let line = low.says(told).await;
    assert!(line.contains(" WARN ") && line.contains("limit=600"), "{line}");
    assert!(line.contains("--max-http-connections 200 and --max-connections 300"), "{line}");
    let line = low.says_one_of(&[told, "server available"]).await;
    assert!(!line.contains(told), "{line}");
    // Enough is no news.
    let mut enough = Program::start(&server, "ulimit -n 1000", &flags);
    let line = enough.says_one_of(&[told, "server available"]).await;
    assert!(!line.contains(told), "{line}");
}
