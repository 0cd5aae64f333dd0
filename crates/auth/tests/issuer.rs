//! Stories of tokens that another issuer signs.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD as BASE64, Engine as _};
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
        jwt_min_interval: INTERVAL,
        jwt_max_stale: Duration::from_secs(24 * 3600),
    }
}

/// The shortest time between two fetches here.
const INTERVAL: Duration = Duration::from_millis(200);

/// A verifier that trusts the keys in this text.
async fn verifier(keys: &str) -> Verifier {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), keys).unwrap();
    let issuer = trust(&file.path().display().to_string()).load().await.unwrap();
    Verifier::hs256(&secret()).trusting(issuer)
}

/// What is said of a token once the keys are there.
async fn settled(verifier: &Verifier, token: &str) -> Result<std::sync::Arc<courant_auth::Identity>, TokenError> {
    let asking = async {
        loop {
            match verifier.verify(token) {
                Err(TokenError::KeysStale) => tokio::time::sleep(Duration::from_millis(5)).await,
                said => return said,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asking).await.expect("the keys never came")
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
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), serde_json::to_string(&JwkSet { keys }).unwrap()).unwrap();
    let issuer = trust(&file.path().display().to_string()).load().await.unwrap();
    let verifier = Verifier::hs256(&secret()).trusting(issuer);
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
        let refused = settled(&verifier, &token(algorithm, kid, &key, &claims())).await;
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
        assert_eq!(identity.roles.iter().copied().collect::<Vec<_>>(), [Role::Service], "{path}");
    }
}

/// The id of a key that makes the issuer fail.
const BROKEN: &str = "broken";

/// An issuer that publishes what it is told to, and counts how often it was asked.
async fn publisher(first: Vec<Jwk>) -> (String, watch::Sender<Vec<Jwk>>, Arc<AtomicUsize>) {
    let (publish, keys) = watch::channel(first);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let answer = move || {
        count.fetch_add(1, Ordering::SeqCst);
        let keys = keys.borrow().clone();
        let broken = keys.iter().any(|key| key.common.key_id.as_deref() == Some(BROKEN));
        async move { if broken { Err(axum::http::StatusCode::BAD_GATEWAY) } else { Ok(axum::Json(JwkSet { keys })) } }
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
    let old = token(Algorithm::RS256, Some("old"), &rsa(), &claims());
    settled(&verifier, &old).await.unwrap();
    publish.send_replace(vec![jwk("new", &ec(), Algorithm::ES256)]);
    let rotated = token(Algorithm::ES256, Some("new"), &ec(), &claims());
    // However short ago the last fetch was, the key may be newer.
    assert_eq!(verifier.verify(&rotated), Err(TokenError::KeysStale));
    settled(&verifier, &rotated).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    // The old key is withdrawn: the fetch that decides on it begins after its token came.
    assert_eq!(settled(&verifier, &old).await, Err(TokenError::Invalid));
    assert_eq!(verifier.verify(&old), Err(TokenError::Invalid));
    let (before, began) = (asked.load(Ordering::SeqCst), std::time::Instant::now());
    let (_, rest) = rotated.split_once('.').unwrap();
    for number in 0..3000 {
        let header = BASE64.encode(format!(r#"{{"alg":"ES256","kid":"{number}"}}"#));
        assert!(verifier.verify(&format!("{header}.{rest}")).is_err());
        if number % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let most = 1 + began.elapsed().as_millis() / INTERVAL.as_millis();
    assert!(((asked.load(Ordering::SeqCst) - before) as u128) <= most, "made-up names make the issuer busy");
}

#[tokio::test]
async fn a_made_up_key_neither_closes_the_door_to_a_new_one_nor_stays_retryable() {
    let (url, publish, _) = publisher(vec![jwk("old", &rsa(), Algorithm::RS256)]).await;
    let verifier = Verifier::hs256(&secret()).trusting(trust(&url).load().await.unwrap());
    let made_up = token(Algorithm::ES256, Some("junk"), &ec(), &claims());
    assert_eq!(settled(&verifier, &made_up).await, Err(TokenError::Invalid));
    // Right after a fetch that a stranger's token made necessary.
    publish.send_replace(vec![jwk("new", &ec(), Algorithm::ES256)]);
    let rotated = token(Algorithm::ES256, Some("new"), &ec(), &claims());
    assert_eq!(verifier.verify(&rotated), Err(TokenError::KeysStale));
    settled(&verifier, &rotated).await.unwrap();
    assert_eq!(verifier.verify(&made_up), Err(TokenError::Invalid));
}

#[tokio::test]
async fn an_issuer_that_withdraws_all_keys_is_trusted_no_more_and_one_that_fails_keeps_its_keys() {
    let (url, publish, asked) = publisher(vec![jwk("a", &rsa(), Algorithm::RS256)]).await;
    let verifier = Verifier::hs256(&secret()).trusting(trust(&url).load().await.unwrap());
    let good = token(Algorithm::RS256, Some("a"), &rsa(), &claims());
    settled(&verifier, &good).await.unwrap();
    // An answer that is no set, then none at all from a key that is unknown: nothing changes.
    publish.send_replace(vec![jwk(BROKEN, &rsa(), Algorithm::RS256)]);
    let before = asked.load(Ordering::SeqCst);
    assert_eq!(verifier.verify(&token(Algorithm::RS256, Some("b"), &rsa(), &claims())), Err(TokenError::KeysStale));
    while asked.load(Ordering::SeqCst) < before + 2 {
        // Failed fetches are repeated long before --jwt-refresh.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    verifier.verify(&good).unwrap();
    publish.send_replace(vec![]);
    while verifier.verify(&good) != Err(TokenError::KeysStale) {
        assert_ne!(verifier.verify(&good), Err(TokenError::Invalid), "it is asked for once more");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(settled(&verifier, &good).await, Err(TokenError::Invalid));
}

#[tokio::test]
async fn a_file_that_changes_is_read_again() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |keys| std::fs::write(file.path(), serde_json::to_string(&JwkSet { keys }).unwrap()).unwrap();
    write(vec![jwk("one", &rsa(), Algorithm::RS256)]);
    let issuer = trust(&file.path().display().to_string()).load().await.unwrap();
    let verifier = Verifier::hs256(&secret()).trusting(issuer);
    verifier.verify(&token(Algorithm::RS256, Some("one"), &rsa(), &claims())).unwrap();
    write(vec![jwk("two", &ec(), Algorithm::ES256)]);
    settled(&verifier, &token(Algorithm::ES256, Some("two"), &ec(), &claims())).await.unwrap();
    let gone = token(Algorithm::RS256, Some("one"), &rsa(), &claims());
    assert_eq!(settled(&verifier, &gone).await, Err(TokenError::Invalid));
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_for_too_long_are_trusted_no_more() {
    let (url, publish, _) = publisher(vec![jwk("a", &rsa(), Algorithm::RS256)]).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}/keys", listener.local_addr().unwrap());
    drop(listener);
    let good = token(Algorithm::RS256, Some("a"), &rsa(), &claims());
    // A start does not wait for the issuer.
    let verifier = Verifier::hs256(&secret()).trusting(trust(&nobody).load().await.unwrap());
    assert_eq!(verifier.verify(&good), Err(TokenError::KeysStale));
    assert!(verifier.verify(&Signer::hs256(&secret()).sign("alice", &[], Duration::from_secs(60)).unwrap()).is_ok());
    let times = Trust { jwt_max_stale: Duration::from_secs(10), jwt_refresh: Duration::from_secs(10), ..trust(&url) };
    let verifier = Verifier::hs256(&secret()).trusting(times.load().await.unwrap());
    settled(&verifier, &good).await.unwrap();
    publish.send_replace(vec![jwk(BROKEN, &rsa(), Algorithm::RS256)]);
    let end = async {
        while verifier.verify(&good).is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), end).await.expect("old keys are trusted for ever");
    assert_eq!(verifier.verify(&good), Err(TokenError::KeysStale));
    publish.send_replace(vec![jwk("a", &rsa(), Algorithm::RS256)]);
    settled(&verifier, &good).await.unwrap();
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
    assert!(refused("https://u:secret@/").await.contains("not a URL"));
    assert!(!refused("http://u:secret@id.example/keys?k=secret").await.contains("secret"));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"{"keys":[]}"#).unwrap();
    let empty = file.path().display().to_string();
    assert!(refused(&empty).await.contains("no public key"));
    std::fs::write(file.path(), include_str!("keys/short.pub.pem")).unwrap();
    assert!(refused(&empty).await.contains("has 1024 bits; use one with 2048"));
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

#[test]
fn a_key_that_cannot_be_used_takes_none_of_the_others_with_it() {
    let good = serde_json::to_value(jwk("good", &rsa(), Algorithm::RS256)).unwrap();
    let short =
        json!({"kty": "RSA", "n": BASE64.encode([0xC5; 1024 / 8]), "e": "AQAB", "kid": "short", "alg": "RS256"});
    let signs = json!({"kty": "RSA", "n": good["n"], "e": "AQAB", "kid": "signs", "key_ops": ["sign"]});
    let set = json!({"keys": [{"kty": "RSA"}, 7, {"kty": "new"}, short, signs, good]}).to_string();
    let keys = Keys::parse(&set).unwrap();
    assert_eq!(format!("{keys:?}"), r#"[(Some("good"), [RS256])]"#);
    for (only, why) in [(&short, "1024 bits"), (&signs, "it may not verify")] {
        assert!(Keys::parse(&json!({"keys": [only]}).to_string()).is_err(), "{why}");
    }
    assert!(Keys::parse_set(r#"{"keys":[]}"#).unwrap().is_empty());
    assert!(Keys::parse_set("{}").is_err());
}

/// A token as bytes say, signed by our own secret.
fn forged(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    let key = EncodingKey::from_secret(secret().bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

#[test]
fn times_are_numbers_with_or_without_a_fraction_and_clocks_may_differ_at_both_ends() {
    let verifier = Verifier::hs256(&secret());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let verify = |times: &str| {
        let claims = format!(r#"{{"sub":"alice","iss":"courant","aud":["mail","courant"],{times}}}"#);
        verifier.verify(&forged(r#"{"alg":"HS256"}"#, &claims))
    };
    let at = |name: &str, after: f64| format!(r#""{name}":{:.3}"#, now + after);
    let whole = |name: &str, after: f64| format!(r#""{name}":{}"#, (now + after) as i64);
    for good in [
        at("exp", 60.25),
        whole("exp", 60.0),
        at("exp", -3.5),
        format!("{},{}", at("exp", 60.5), at("nbf", 3.5)),
        format!("{},{}", at("exp", 60.5), at("iat", -10.5)),
        r#""exp":4e9"#.into(),
        r#""exp":18446744073709551615"#.into(),
        r#""exp":1e300"#.into(),
        r#""exp":4000000000,"nbf":-1"#.into(),
        r#""exp":4000000000,"nbf":-1.5e300,"iat":0"#.into(),
    ] {
        let identity = verify(&good).unwrap_or_else(|error| panic!("{good}: {error}"));
        // Whoever counts until then must be able to.
        assert!(identity.expires <= std::time::UNIX_EPOCH + Duration::from_secs(253_402_300_799), "{good}");
    }
    for old in
        [at("exp", -5.5), whole("exp", -7.0), r#""exp":0"#.into(), r#""exp":-1"#.into(), r#""exp":-1e300"#.into()]
    {
        assert_eq!(verify(&old), Err(TokenError::Expired), "{old}");
    }
    for bad in [
        format!("{},{}", at("exp", 60.5), at("nbf", 7.5)),
        r#""exp":"4000000000""#.into(),
        r#""exp":null"#.into(),
        r#""exp":1e999"#.into(),
        r#""exp":[4000000000]"#.into(),
        r#""exp":4000000000,"nbf":"x""#.into(),
        r#""exp":4000000000,"iat":true"#.into(),
        r#""exp":4000000000,"exp":4000000000"#.into(),
        r#""exp":4000000000,"more":1,"more":2"#.into(),
    ] {
        assert_eq!(verify(&bad), Err(TokenError::Invalid), "{bad}");
    }
}

#[test]
fn what_a_header_demands_and_is_not_known_is_refused() {
    let verifier = Verifier::hs256(&secret());
    let claims = r#"{"sub":"alice","iss":"courant","aud":"courant","exp":4000000000}"#;
    for good in
        ["", r#","typ":"JWT""#, r#","typ":"application/at+JWT""#, r#","typ":"jwt""#, r#","b64":true"#, r#","kid":"x""#]
    {
        verifier.verify(&forged(&format!(r#"{{"alg":"HS256"{good}}}"#), claims)).unwrap();
    }
    for bad in [
        r#","crit":["exp"]"#,
        r#","crit":["b64"],"b64":true"#,
        r#","crit":[]"#,
        r#","crit":"exp""#,
        r#","b64":false"#,
        r#","typ":"logout+jwt""#,
        r#","alg":"HS256""#,
    ] {
        let token = forged(&format!(r#"{{"alg":"HS256"{bad}}}"#), claims);
        assert_eq!(verifier.verify(&token), Err(TokenError::Invalid), "{bad}");
    }
    for (claims, why) in [
        (r#"{"sub":"alice","iss":["courant"],"aud":"courant","exp":4000000000}"#, "iss is one name"),
        (r#"{"sub":"alice","iss":"courant","aud":[],"exp":4000000000}"#, "aud names nobody"),
        (r#"{"sub":"alice","iss":"courant","exp":4000000000}"#, "no aud"),
        (r#"{"sub":7,"iss":"courant","aud":"courant","exp":4000000000}"#, "sub is a text"),
        (r#"["sub"]"#, "no object"),
    ] {
        assert_eq!(verifier.verify(&forged(r#"{"alg":"HS256"}"#, claims)), Err(TokenError::Invalid), "{why}");
    }
}
