//! What is wrong with a file is said with its name.

use std::path::Path;

use crate::papers::Papers;
use courant_tls::{ClientFiles, ServerFiles, ServerTls};

fn refused(cert: &Path, key: &Path, client_ca: Option<&Path>) -> String {
    let files = ServerFiles { cert: cert.into(), key: key.into(), client_ca: client_ca.map(Into::into) };
    ServerTls::load(files).unwrap_err().to_string()
}

#[test]
fn what_is_wrong_is_said_with_its_file() {
    let papers = Papers::new();
    let (cert, key) = papers.signed("a");
    let (_, other) = papers.signed("b");
    let nothing = papers.path("nothing.pem");
    assert!(refused(&nothing, &key, None).contains("nothing.pem cannot be read"));
    assert!(refused(&key, &key, None).contains("a.key holds no certificate"));
    assert!(refused(&cert, &cert, None).contains("a.pem holds no private key"));
    let mismatch = refused(&cert, &other, None);
    assert!(mismatch.contains("b.key does not belong to the certificate") && mismatch.contains("a.pem"), "{mismatch}");
    assert!(refused(&cert, &key, Some(&key)).contains("a.key holds no certificate"));
    std::fs::write(&nothing, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(refused(&nothing, &key, None).contains("nothing.pem cannot be used"));
    assert!(refused(&cert, &key, Some(&nothing)).contains("nothing.pem cannot be used"));
}

#[test]
fn a_certificate_out_of_its_time_is_refused() {
    let papers = Papers::new();
    let (cert, key) = papers.signed_for("old", 1990, 2020);
    assert!(refused(&cert, &key, None).ends_with("old.pem was valid until 2020-01-01T00:00:00Z; renew it"));
    let (cert, key) = papers.signed_for("young", 2090, 2100);
    assert!(refused(&cert, &key, None).contains("young.pem is valid from 2090-01-01T00:00:00Z on"));
}

#[test]
fn certificates_and_plain_addresses_do_not_go_together() {
    let papers = Papers::new();
    let files = |ca| ClientFiles { ca, identity: None };
    assert!(files(None).load_for("http://core:1").unwrap().is_none());
    assert!(files(None).load_for("core:1").unwrap().is_none());
    let refused = files(Some(papers.ca())).load_for("http://core:1").unwrap_err().to_string();
    assert!(refused.contains("must begin with https://"), "{refused}");
    assert!(files(Some(papers.ca())).load_for("https://core:1").unwrap().is_some());
    let (cert, _) = papers.signed("a");
    let swapped = ClientFiles { ca: Some(papers.ca()), identity: Some((cert.clone(), cert)) };
    assert!(swapped.load_for("https://core:1").unwrap_err().to_string().contains("no private key"));
}
