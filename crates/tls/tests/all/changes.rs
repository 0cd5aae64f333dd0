//! Certificates that are replaced while the programs run.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use courant_tls::{ServerFlags, ServerTls};

use crate::papers::Papers;
use crate::stage::{PATIENCE, ask, client, serve};

fn replace((cert, key): &(PathBuf, PathBuf), with: &(PathBuf, PathBuf)) {
    fs::copy(&with.1, key).unwrap();
    fs::copy(&with.0, cert).unwrap();
}

fn attentive((cert, key): (PathBuf, PathBuf)) -> ServerTls {
    let every = Duration::from_millis(100);
    let flags =
        ServerFlags { tls_cert: Some(cert), tls_key: Some(key), tls_handshake_timeout: PATIENCE, tls_reload: every };
    let tls = flags.load(None).unwrap().unwrap();
    tokio::spawn(tls.keep_fresh());
    tls
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() {
    let (papers, renewed) = (Papers::new(), Papers::new());
    let files = papers.signed("core");
    let tls = attentive(files.clone());
    let address = serve(tls.clone()).await;
    let (old, new) = (client(papers.ca(), None), client(renewed.ca(), None));
    // The key is there, its certificate not yet: the old ones go on.
    let next = renewed.signed_for("next", 1975, 4000);
    let before = tls.expiry().unwrap();
    fs::copy(&next.1, &files.1).unwrap();
    ask(address, &old).await.unwrap();
    replace(&files, &next);
    let seen = async {
        while ask(address, &new).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.unwrap();
    assert!(tls.expiry().unwrap() < before, "the one that is shown now ends sooner");
    assert!(ask(address, &old).await.is_err());
    ask(address, &tls.as_client()).await.unwrap();
    fs::remove_file(&files.0).unwrap();
    ask(address, &new).await.unwrap();
}

#[tokio::test]
async fn a_client_believes_and_shows_what_its_files_say_now() {
    let (papers, renewed) = (Papers::new(), Papers::new());
    let ca = papers.path("believed.pem");
    fs::copy(papers.ca(), &ca).unwrap();
    let asker = client(ca.clone(), None);
    let address = serve(attentive(renewed.signed("core"))).await;
    assert!(ask(address, &asker).await.is_err());
    fs::copy(renewed.ca(), &ca).unwrap();
    ask(address, &asker).await.unwrap();
    // Half a file is not believed; what was believed before is.
    fs::write(&ca, "-----BEGIN").unwrap();
    ask(address, &asker).await.unwrap();
}
