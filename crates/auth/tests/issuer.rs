//! Stories of tokens that another issuer signs.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use courant_auth::keys::Keys;
use courant_auth::{Role, Secret, Signer, TokenError, Trust, TrustError, Verifier};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

const RSA: &[u8] = include_bytes!("keys/rsa.pem");
const RSA_PUBLIC: &str = include_str!("keys/rsa.pub.pem");
const EC: &[u8] = include_bytes!("keys/ec.pem");
const EC_PUBLIC: &str = include_str!("keys/ec.pub.pem");
const ED: &[u8] = include_bytes!("keys/ed.pem");
const ED_PUBLIC: &str = include_str!("keys/ed.pub.pem");

fn rsa() -> EncodingKey {
    EncodingKey::from_rsa_pem(RSA).unwrap()
}

fn ec() -> EncodingKey {
    EncodingKey::from_ec_pem(EC).unwrap()
}

fn ed() -> EncodingKey {
    EncodingKey::from_ed_pem(ED).unwrap()
}

fn secret() -> Secret {
    Secret::new([7u8; 32]).unwrap()
}

fn claims() -> Value {
    json!({"sub": "alice", "iss": "https://id.example", "aud": "documents", "exp": 4_000_000_000u64, "roles": ["admin"]})
}

fn token(algorithm: Algorithm, kid: Option<&str>, key: &EncodingKey, claims: &Value) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, claims, key).unwrap()
}

fn jwk(kid: &str, key: &EncodingKey, algorithm: Algorithm) -> Jwk {
    let mut jwk = Jwk::from_encoding_key(key, algorithm).unwrap();
    jwk.common.key_id = Some(kid.to_owned());
    jwk
}

fn trust(keys: &str) -> Trust {
    Trust {
        jwt_keys: Some(keys.to_owned()),
        jwt_issuer: Some("https://id.example".into()),
        jwt_audience: Some("documents".into()),
        jwt_roles: "roles".into(),
        jwt_refresh: Duration::from_secs(600),
    }
}

/// A verifier that trusts the keys in this text.
async fn verifier(keys: &str) -> Verifier {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), keys).unwrap();
    let issuer = trust(&file.path().display().to_string()).load().await.unwrap();
    Verifier::hs256(&secret()).trusting(issuer)
}

#[tokio::test]
async fn every_kind_of_key_opens_the_door_it_is_for() {
    for (public, key, algorithm) in [
        (RSA_PUBLIC, rsa(), Algorithm::RS256),
        (RSA_PUBLIC, rsa(), Algorithm::PS512),
        (EC_PUBLIC, ec(), Algorithm::ES256),
        (ED_PUBLIC, ed(), Algorithm::EdDSA),
    ] {
        let verifier = verifier(public).await;
        let identity = verifier.verify(&token(algorithm, None, &key, &claims())).unwrap();
        assert_eq!((identity.subject.as_str(), identity.has(Role::Admin)), ("alice", true), "{algorithm:?}");
        // A key id is of no matter where there is one key without one, and our own tokens are as good as before.
        verifier.verify(&token(algorithm, Some("any"), &key, &claims())).unwrap();
        verifier.verify(&Signer::hs256(&secret()).sign("bob", &[], Duration::from_secs(60)).unwrap()).unwrap();
    }
}

#[tokio::test]
async fn a_set_is_chosen_from_by_key_id_and_algorithm() {
    let keys = vec![jwk("one", &rsa(), Algorithm::RS256), jwk("two", &ec(), Algorithm::ES256)];
    let verifier = verifier(&serde_json::to_string(&JwkSet { keys }).unwrap()).await;
    verifier.verify(&token(Algorithm::RS256, Some("one"), &rsa(), &claims())).unwrap();
    verifier.verify(&token(Algorithm::ES256, Some("two"), &ec(), &claims())).unwrap();
    for (algorithm, kid, key) in [
        (Algorithm::RS256, None, rsa()),
        (Algorithm::RS256, Some("three"), rsa()),
        (Algorithm::RS256, Some("two"), rsa()),
        // The set says RS256 and nothing else.
        (Algorithm::RS384, Some("one"), rsa()),
        (Algorithm::EdDSA, Some("one"), ed()),
    ] {
        let refused = verifier.verify(&token(algorithm, kid, &key, &claims()));
        assert_eq!(refused, Err(TokenError::Invalid), "{algorithm:?} {kid:?}");
    }
}

#[tokio::test]
async fn what_attackers_try_is_refused() {
    let verifier = verifier(RSA_PUBLIC).await;
    let good = claims();
    let changed = |field: &str, value: Value| {
        let mut claims = good.clone();
        claims[field] = value;
        token(Algorithm::RS256, None, &rsa(), &claims)
    };
    // The public key as if it were a shared secret.
    let confused = token(Algorithm::HS256, None, &EncodingKey::from_secret(RSA_PUBLIC.as_bytes()), &good);
    let unsigned = token(Algorithm::RS256, None, &rsa(), &good).rsplit_once('.').unwrap().0.to_owned() + ".";
    for (attack, token) in [
        ("algorithm confusion", confused),
        ("no signature", unsigned),
        ("another key", token(Algorithm::ES256, None, &ec(), &good)),
        ("our own issuer's name", changed("iss", "courant".into())),
        ("another issuer", changed("iss", "https://evil.example".into())),
        ("for somebody else", changed("aud", "mail".into())),
        ("not yet", changed("nbf", 3_999_999_999u64.into())),
        ("nobody", changed("sub", "".into())),
        ("never ends", changed("exp", Value::Null)),
        ("huge", changed("more", "x".repeat(10_000).into())),
    ] {
        assert_eq!(verifier.verify(&token), Err(TokenError::Invalid), "{attack}");
    }
    assert_eq!(verifier.verify(&changed("exp", 1000.into())), Err(TokenError::Expired));
    // Who trusts nobody else takes none of it.
    let alone = Verifier::hs256(&secret());
    assert_eq!(alone.verify(&token(Algorithm::RS256, None, &rsa(), &good)), Err(TokenError::Invalid));
}

#[tokio::test]
async fn roles_are_where_the_issuer_has_them() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), ED_PUBLIC).unwrap();
    for (path, claim) in [
        ("realm_access.roles", json!({"realm_access": {"roles": ["service", "astronaut", 7]}})),
        ("https://app.example/roles", json!({"https://app.example/roles": "service"})),
    ] {
        let mut claims = claims();
        claims["roles"] = json!(["admin"]);
        claims.as_object_mut().unwrap().extend(claim.as_object().unwrap().clone());
        let trust = Trust { jwt_roles: path.into(), ..trust(&file.path().display().to_string()) };
        let verifier = Verifier::hs256(&secret()).trusting(trust.load().await.unwrap());
        let identity = verifier.verify(&token(Algorithm::EdDSA, None, &ed(), &claims)).unwrap();
        assert_eq!(identity.roles.into_iter().collect::<Vec<_>>(), [Role::Service], "{path}");
    }
}

/// An issuer that publishes what it is told to, and counts how often it was asked.
async fn publisher(first: Vec<Jwk>) -> (String, watch::Sender<Vec<Jwk>>, Arc<AtomicUsize>) {
    let (publish, keys) = watch::channel(first);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let answer = move || {
        count.fetch_add(1, Ordering::SeqCst);
        let keys = keys.borrow().clone();
        async move { axum::Json(JwkSet { keys }) }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/keys", axum::routing::get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, publish, asked)
}

#[tokio::test]
async fn a_key_that_is_new_is_fetched_when_a_token_names_it_and_not_more_often() {
    let (url, publish, asked) = publisher(vec![jwk("old", &rsa(), Algorithm::RS256)]).await;
    let verifier = Verifier::hs256(&secret()).trusting(trust(&url).load().await.unwrap());
    verifier.verify(&token(Algorithm::RS256, Some("old"), &rsa(), &claims())).unwrap();
    publish.send_replace(vec![jwk("new", &ec(), Algorithm::ES256)]);
    let rotated = token(Algorithm::ES256, Some("new"), &ec(), &claims());
    assert_eq!(verifier.verify(&rotated), Err(TokenError::KeysStale));
    let known = async {
        while verifier.verify(&rotated).is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), known).await.expect("the new key never came");
    // The old key is withdrawn, and made-up names make nobody busy.
    assert_eq!(verifier.verify(&token(Algorithm::RS256, Some("old"), &rsa(), &claims())), Err(TokenError::Invalid));
    for number in 0..100 {
        let made_up = token(Algorithm::ES256, Some(&number.to_string()), &ec(), &claims());
        assert_eq!(verifier.verify(&made_up), Err(TokenError::Invalid));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_cannot_be_trusted_is_refused_at_start_with_the_reason() {
    let refused = |keys: &str| {
        let trust = trust(keys);
        async move { trust.load().await.unwrap_err().to_string() }
    };
    assert!(refused("/nowhere/keys.json").await.contains("/nowhere/keys.json"));
    assert!(refused("http://id.example/keys").await.contains("https only"));
    assert!(refused("ftp://id.example/keys").await.contains("https only"));
    let (empty, ..) = publisher(vec![]).await;
    assert!(refused(&empty).await.contains("no public key"));
    let incomplete = Trust { jwt_audience: None, ..trust(&empty) };
    assert!(matches!(incomplete.load().await, Err(TrustError::Incomplete)));
    assert!(matches!(Trust::default().load().await, Ok(None)));
}

#[test]
fn secrets_and_keys_for_other_uses_are_not_taken() {
    for set in [
        r#"{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"a"}]}"#,
        r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","use":"enc"}]}"#,
        r#"{"keys":[{"kty":"EC","crv":"P-256","x":"AQAB","y":"AQAB","alg":"HS256"}]}"#,
        r#"{"keys":[]}"#,
        "[]",
        "",
        "-----BEGIN NONSENSE-----",
    ] {
        assert!(Keys::parse(set).is_err(), "{set}");
    }
}
