//! Who may open a log, and which servers are believed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use courant_joblog::log::Log as _;
use courant_joblog::samples;
use courant_natslog::{Login, NatsLog, OpenError, Options, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::harness::{Cluster, Sync, open, passwords};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_said_to_be_wrong() {
    let cluster = Cluster::single(Sync::Lazy);
    let wrong = [
        Login::None,
        Login::Password { user: "courant".into(), password: "wrong".into() },
        Login::Token("wrong".into()),
    ];
    for login in wrong {
        let shown = format!("{login:?}");
        assert!(!shown.contains("wrong"), "{shown}");
        let refused = NatsLog::open(Options { login, ..cluster.lossy("log") }).await.unwrap_err();
        assert!(matches!(refused, OpenError::Login { .. }) && !refused.may_pass(), "{refused}");
        assert!(refused.to_string().contains("credentials"), "{refused}");
    }
    let login = Login::Credentials("/nowhere/courant.creds".into());
    let refused = NatsLog::open(Options { login, ..cluster.lossy("log") }).await.unwrap_err();
    assert!(matches!(&refused, OpenError::File { path, .. } if path.ends_with("courant.creds")), "{refused}");
}

/// A certificate authority, and files of a server and a client that it vouches for.
fn certificates(dir: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(dir.join("ca.pem"), ca.pem()).unwrap();
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        let certificate = params.signed_by(&key, &ca).unwrap();
        std::fs::write(dir.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_with_certificates_of_ones_own() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let file = |name: &str| dir.path().join(name);
    let block = format!(
        "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}\n",
        file("server.pem"),
        file("server.key"),
        file("ca.pem")
    );
    let cluster = Cluster::start(1, Sync::Always, &(passwords() + &block));
    let client = Some((file("client.pem"), file("client.key")));
    let tls = Tls { required: true, ca: Some(file("ca.pem")), client: client.clone() };
    let with = |tls: Tls| Options { tls, ..cluster.options("log") };
    let log = open(with(tls.clone())).await;
    log.append(samples::create("A", "alice")).await.unwrap();

    for refused in [Tls { client: None, ..tls.clone() }, Tls { ca: None, ..tls.clone() }] {
        let error = NatsLog::open(with(refused)).await.unwrap_err();
        assert!(matches!(error, OpenError::Connect { .. }), "{error}");
    }
    std::fs::write(file("empty.pem"), "nothing").unwrap();
    for wrong in ["missing.pem", "empty.pem"] {
        let error = NatsLog::open(with(Tls { ca: Some(file(wrong)), ..tls.clone() })).await.unwrap_err();
        assert!(matches!(&error, OpenError::File { path, .. } if path.ends_with(wrong)), "{error}");
    }
}

/// A signed statement about a key, as NATS wants it.
fn jwt(issuer: &nkeys::KeyPair, about: &nkeys::KeyPair, nats: serde_json::Value) -> String {
    let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
    let header = serde_json::json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let claims = serde_json::json!({
        "jti": about.public_key(), "iat": 1_700_000_000, "iss": issuer.public_key(), "sub": about.public_key(),
        "name": "test", "nats": nats,
    });
    let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", encode(&signature))
}

/// A `.creds` file of a new user of the account.
fn credentials(account: &nkeys::KeyPair) -> String {
    let user = nkeys::KeyPair::new_user();
    let nats = serde_json::json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
    format!(
        "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        jwt(account, &user, nats),
        user.seed().unwrap()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_files_open_a_log_and_its_system_account() {
    let [app, system] = [nkeys::KeyPair::new_account(), nkeys::KeyPair::new_account()];
    let operator = nkeys::KeyPair::new_operator();
    let of_operator = serde_json::json!({ "type": "operator", "version": 2, "system_account": system.public_key() });
    let of_account = |storage: i64| {
        let limits = serde_json::json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
            "leaf": -1, "mem_storage": storage, "disk_storage": storage, "streams": storage, "consumer": storage,
        });
        serde_json::json!({ "type": "account", "version": 2, "limits": limits })
    };
    let access = format!(
        "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {}, {}: {} }}\n",
        jwt(&operator, &operator, of_operator),
        system.public_key(),
        app.public_key(),
        jwt(&operator, &app, of_account(-1)),
        system.public_key(),
        jwt(&operator, &system, of_account(0)),
    );
    let cluster = Cluster::start(1, Sync::Always, &access);
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, account| {
        std::fs::write(dir.path().join(name), credentials(account)).unwrap();
        Login::Credentials(dir.path().join(name))
    };
    let (login, system_login) = (file("app.creds", &app), Some(file("system.creds", &system)));
    let options = Options { login, system_login, ..cluster.options("log") };
    let log = open(options.clone()).await;
    log.append(samples::create("A", "alice")).await.unwrap();
    let stranger = file("stranger.creds", &nkeys::KeyPair::new_account());
    let refused = NatsLog::open(Options { login: stranger, ..options }).await.unwrap_err();
    assert!(matches!(refused, OpenError::Login { .. }), "{refused}");
}

/// Says what a server says first, and nothing else.
fn pretend(info: &'static str) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        write!(client, "INFO {info}\r\n").unwrap();
        let lines = BufReader::new(client.try_clone().unwrap()).lines();
        for line in lines.map_while(Result::ok).filter(|line| line == "PING") {
            assert_eq!(line, "PING");
            let _ = client.write_all(b"PONG\r\n");
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_server_and_a_small_one_are_refused_with_the_reason() {
    let old = pretend(
        r#"{"server_id":"x","server_name":"old","version":"2.14.6","proto":1,"go":"","host":"h","port":1,"headers":true,"max_payload":1048576,"client_id":1}"#,
    );
    let error = NatsLog::open(Options::new([old])).await.unwrap_err();
    assert!(matches!(error, OpenError::Version { .. }), "{error}");
    for part in ["old", "2.14.6", "2.15", "atomic batches"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let small = pretend(
        r#"{"server_id":"x","server_name":"small","version":"2.15.1","proto":1,"go":"","host":"h","port":1,"headers":true,"max_payload":65536,"client_id":1}"#,
    );
    let error = NatsLog::open(Options::new([small])).await.unwrap_err();
    assert!(matches!(error, OpenError::Payload { found: 65_536, .. }), "{error}");
    assert!(error.to_string().contains("max_payload"), "{error}");
}
