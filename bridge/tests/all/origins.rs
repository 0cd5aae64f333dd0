//! Stories of pages: ours with a session cookie, those of the list, and those of attackers who let a browser send the
//! cookie for them.

use std::time::Duration;

use crate::support::client::types;
use crate::support::{Client, Stage, token, token_for};
use courant_auth::Role;
use http::{Method, StatusCode};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

const FRIEND: &str = "https://friend.example";
const EVIL: &str = "https://evil.example";

async fn stage() -> Stage {
    Stage::with(|config| config.allow_origins = vec![FRIEND.into()]).await
}

/// Sends a request with these headers; gives back status, headers and body.
async fn ask(stage: &Stage, method: Method, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Value) {
    let mut request = reqwest::Client::new().request(method, stage.url(path));
    if path.starts_with("/v1/jobs?") {
        request = request.body("%PDF-1.7");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    (status, headers, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
}

/// Begins a session; gives back the header that a browser sends from then on, and what it was told of the cookie.
async fn session(stage: &Stage, user: &str) -> (String, String) {
    let bearer = format!("Bearer {}", token(user));
    let (status, headers, body) = ask(stage, Method::POST, "/v1/session", &[("authorization", &bearer)]).await;
    assert_eq!(
        (status, &body["user"], &headers["cache-control"]),
        (StatusCode::OK, &user.into(), &"no-store".parse().unwrap())
    );
    let (pair, attributes) = headers["set-cookie"].to_str().unwrap().split_once("; ").unwrap();
    (pair.to_owned(), attributes.to_owned())
}

fn own(stage: &Stage) -> String {
    format!("http://{}", stage.address)
}

fn words(headers: &HeaderMap, name: &str) -> Vec<String> {
    let all = headers.get_all(name).into_iter().flat_map(|value| value.to_str().unwrap().split(','));
    all.map(|word| word.trim().to_lowercase()).collect()
}

#[tokio::test]
async fn a_page_of_the_list_asks_first_and_is_shown_the_answer() {
    let stage = stage().await;
    let asks = [
        ("origin", FRIEND),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization, content-type"),
    ];
    let (status, headers, _) = ask(&stage, Method::OPTIONS, "/v1/jobs", &asks).await;
    assert_eq!((status, &headers["access-control-allow-origin"]), (StatusCode::OK, &FRIEND.parse().unwrap()));
    assert_eq!(headers["access-control-allow-credentials"], "true");
    for (name, word) in [
        ("vary", "origin"),
        ("access-control-allow-methods", "post"),
        ("access-control-allow-methods", "delete"),
        ("access-control-allow-headers", "authorization"),
        ("access-control-allow-headers", "range"),
    ] {
        assert!(words(&headers, name).contains(&word.to_owned()), "{name}: {word}");
    }
    // Errors, too, can be read by the page.
    let (status, headers, _) = ask(&stage, Method::GET, "/v1/queue", &[("origin", FRIEND)]).await;
    assert_eq!((status, &headers["access-control-allow-origin"]), (StatusCode::UNAUTHORIZED, &FRIEND.parse().unwrap()));
    let exposed = words(&headers, "access-control-expose-headers");
    for name in ["etag", "content-range", "retry-after", "location", "content-disposition"] {
        assert!(exposed.contains(&name.to_owned()), "{name}");
    }
}

#[tokio::test]
async fn no_other_page_is_shown_anything_and_never_all_of_them() {
    let stage = stage().await;
    let bearer = format!("Bearer {}", token("alice"));
    let asks = [("origin", EVIL), ("access-control-request-method", "POST")];
    let (_, preflight, _) = ask(&stage, Method::OPTIONS, "/v1/jobs", &asks).await;
    let (_, answer, _) = ask(&stage, Method::GET, "/v1/queue", &[("origin", EVIL), ("authorization", &bearer)]).await;
    for headers in [preflight, answer] {
        assert!(headers.get("access-control-allow-origin").is_none(), "{headers:?}");
        assert!(words(&headers, "vary").contains(&"origin".to_owned()));
    }
    // Without a list there is no CORS at all.
    let closed = Stage::new().await;
    let (status, headers, _) = ask(&closed, Method::OPTIONS, "/v1/queue", &[("origin", FRIEND)]).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(headers.keys().all(|name| !name.as_str().starts_with("access-control-")), "{headers:?}");
}

#[tokio::test]
async fn a_session_cookie_reads_submits_and_follows_until_it_is_ended() {
    let stage = stage().await;
    let (cookie, attributes) = session(&stage, "alice").await;
    assert!(cookie.starts_with("courant="), "{cookie}");
    for attribute in ["Path=/", "HttpOnly", "SameSite=Strict", "Max-Age=3"] {
        assert!(attributes.contains(attribute), "{attributes}");
    }
    assert!(!attributes.contains("Secure") && !attributes.contains("Domain"));
    let (status, _, body) = ask(&stage, Method::GET, "/v1/session", &[("cookie", &cookie)]).await;
    assert_eq!((status, &body["user"]), (StatusCode::OK, &"alice".into()));
    let own = own(&stage);
    let (status, ..) = ask(&stage, Method::POST, "/v1/jobs?name=a.pdf", &[("cookie", &cookie), ("origin", &own)]).await;
    assert_eq!(status, StatusCode::CREATED);
    let (status, headers, _) =
        ask(&stage, Method::DELETE, "/v1/session", &[("cookie", &cookie), ("origin", &own)]).await;
    let ended = headers["set-cookie"].to_str().unwrap();
    assert!(
        status == StatusCode::NO_CONTENT && ended.starts_with("courant=;") && ended.contains("Max-Age=0"),
        "{ended}"
    );
}

#[tokio::test]
async fn where_browsers_speak_https_the_cookie_is_bound_to_this_host() {
    let stage = Stage::with(|config| config.public_url = Some("https://courant.example".into())).await;
    let (cookie, attributes) = session(&stage, "alice").await;
    assert!(cookie.starts_with("__Host-courant=") && attributes.ends_with("; Secure"), "{cookie} {attributes}");
    let read = async |cookie: &str| ask(&stage, Method::GET, "/v1/session", &[("cookie", cookie)]).await.0;
    assert_eq!(read(&cookie).await, StatusCode::OK);
    // A neighbour's host can set the plain name, and the name twice: neither counts.
    assert_eq!(read(&cookie.replace("__Host-", "")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(read(&format!("{cookie}; {cookie}")).await, StatusCode::UNAUTHORIZED);
    let delete = async |origin| ask(&stage, Method::DELETE, "/v1/session", &[("origin", origin)]).await.0;
    assert_eq!(delete("https://courant.example").await, StatusCode::NO_CONTENT);
    assert_eq!(delete("http://courant.example").await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_attackers_page_changes_nothing_with_the_cookie() {
    let stage = stage().await;
    let (cookie, _) = session(&stage, "alice").await;
    let own = own(&stage);
    let site = |site| ("sec-fetch-site", site);
    let attacks: [&[(&str, &str)]; 7] = [
        &[("origin", EVIL), site("cross-site")],
        &[("origin", "null")],
        &[site("cross-site")],
        &[site("same-site")],
        &[site("none")],
        &[],
        &[("origin", EVIL), site("same-origin")],
    ];
    for attack in attacks {
        for (method, path) in [
            (Method::POST, "/v1/jobs?name=a.pdf"),
            (Method::POST, "/v1/jobs/X:cancel"),
            (Method::DELETE, "/v1/jobs/X"),
            (Method::POST, "/v1/notifications:read"),
            (Method::DELETE, "/v1/session"),
        ] {
            let headers = [attack, &[("cookie", &cookie)]].concat();
            let (status, headers, body) = ask(&stage, method.clone(), path, &headers).await;
            assert_eq!(
                (status, &body["code"]),
                (StatusCode::FORBIDDEN, &"ORIGIN_FORBIDDEN".into()),
                "{method} {path} {attack:?}"
            );
            assert!(headers.get("set-cookie").is_none());
        }
    }
    assert!(stage.server.jobs().await.is_empty());
    // The same with proof is done; and with a header that no browser sends by itself no proof is needed.
    for proof in [&[("origin", own.as_str())][..], &[("origin", FRIEND)], &[site("same-origin")]] {
        let headers = [proof, &[("cookie", &cookie)]].concat();
        assert_eq!(
            ask(&stage, Method::POST, "/v1/jobs?name=a.pdf", &headers).await.0,
            StatusCode::CREATED,
            "{proof:?}"
        );
    }
    let bearer = format!("Bearer {}", token("alice"));
    let (status, ..) =
        ask(&stage, Method::POST, "/v1/jobs?name=a.pdf", &[("authorization", &bearer), ("cookie", &cookie)]).await;
    assert_eq!(status, StatusCode::CREATED);
}

#[tokio::test]
async fn an_attackers_page_reads_nothing_with_the_cookie() {
    let stage = stage().await;
    let (cookie, _) = session(&stage, "alice").await;
    for attack in [("origin", EVIL), ("sec-fetch-site", "cross-site")] {
        for path in ["/v1/jobs", "/v1/session", "/v1/events?topic=mine"] {
            let (status, ..) = ask(&stage, Method::GET, path, &[attack, ("cookie", &cookie)]).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{path} {attack:?}");
        }
    }
    // A typed address, and a download that a page of ours links to.
    for site in ["none", "same-origin"] {
        let (status, ..) =
            ask(&stage, Method::GET, "/v1/session", &[("sec-fetch-site", site), ("cookie", &cookie)]).await;
        assert_eq!(status, StatusCode::OK, "{site}");
    }
}

#[tokio::test]
async fn a_cookie_cannot_make_or_prolong_itself() {
    let stage = stage().await;
    let (cookie, _) = session(&stage, "alice").await;
    let (status, headers, body) =
        ask(&stage, Method::POST, "/v1/session", &[("cookie", &cookie), ("origin", &own(&stage))]).await;
    assert_eq!((status, &body["code"]), (StatusCode::UNAUTHORIZED, &"TOKEN_MISSING".into()));
    assert!(headers.get("set-cookie").is_none());
    for bad in ["courant=nonsense", "courant=", "other=x"] {
        let (status, ..) = ask(&stage, Method::GET, "/v1/session", &[("cookie", bad)]).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{bad}");
    }
    // A wrong header is not made good by a cookie.
    let (status, ..) =
        ask(&stage, Method::GET, "/v1/session", &[("cookie", &cookie), ("authorization", "Bearer x")]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let long = format!("Bearer {}", token_for(&"x".repeat(200), &[Role::Admin], Duration::from_secs(60)));
    assert_eq!(ask(&stage, Method::POST, "/v1/session", &[("authorization", &long)]).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_websocket_takes_the_cookie_when_it_is_told_to() {
    let stage = stage().await;
    let (cookie, _) = session(&stage, "alice").await;
    let own = own(&stage);
    let mut client = Client::connect_with(stage.address, &[("cookie", &cookie), ("origin", &own)]).await.unwrap();
    let connected = client.ask(json!({"id": 1, "type": "auth"})).await;
    assert_eq!((&connected["type"], &connected["user"]), (&"connected".into(), &"alice".into()));
    assert_eq!(client.follow("mine", None).await.last().unwrap()["type"], "live");
    // A token that is sent counts more than the cookie, whoever's that is.
    let mut client = Client::connect_with(stage.address, &[("cookie", &cookie), ("origin", &own)]).await.unwrap();
    let connected = client.ask(json!({"id": 1, "type": "auth", "token": token("bob")})).await;
    assert_eq!(connected["user"], "bob");
}

#[tokio::test]
async fn an_attackers_websocket_gets_nothing_by_the_cookie() {
    let stage = stage().await;
    let (cookie, _) = session(&stage, "alice").await;
    for origin in [EVIL, "null"] {
        let refused = Client::connect_with(stage.address, &[("cookie", &cookie), ("origin", origin)]).await;
        match refused.err().unwrap() {
            tokio_tungstenite::tungstenite::Error::Http(answer) => assert_eq!(answer.status(), 403),
            other => panic!("{other}"),
        }
    }
    // Without an Origin nobody knows whose request it was.
    for headers in [&[("cookie", cookie.as_str())][..], &[("origin", &own(&stage))]] {
        let mut client = Client::connect_with(stage.address, headers).await.unwrap();
        client.send(json!({"id": 1, "type": "auth"})).await;
        let (said, code) = client.read_to_end().await;
        assert_eq!((types(&said), code), (vec!["auth-error", "closing"], 4401));
        assert_eq!(said[0]["code"], "TOKEN_MISSING");
    }
}

#[tokio::test]
async fn two_headers_that_decide_are_refused_before_one_of_them_is_believed() {
    let stage = stage().await;
    let (own, bearer) = (own(&stage), format!("Bearer {}", token("alice")));
    let (cookie, _) = session(&stage, "alice").await;
    let other = format!("Bearer {}", token("mallory"));
    for twice in [
        [("origin", own.as_str()), ("origin", EVIL)],
        [("origin", EVIL), ("origin", own.as_str())],
        [("authorization", bearer.as_str()), ("authorization", other.as_str())],
        [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
    ] {
        let all = [&twice[..], &[("cookie", cookie.as_str())]].concat();
        let (status, headers, problem) = ask(&stage, Method::GET, "/v1/jobs", &all).await;
        assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("BAD_MESSAGE")), "{twice:?}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert!(headers.get("access-control-allow-origin").is_none());
    }
    let twice = [("origin", own.as_str()), ("origin", EVIL)];
    assert!(Client::connect_with(stage.address, &twice).await.is_err());
}

#[tokio::test]
async fn browsers_are_told_to_come_by_https_only_where_they_do() {
    let told = |public: Option<&'static str>, age| async move {
        let stage = Stage::with(|config| {
            config.public_url = public.map(str::to_owned);
            config.hsts_max_age = age;
        })
        .await;
        let (_, headers, _) = ask(&stage, Method::GET, "/", &[]).await;
        headers.get("strict-transport-security").map(|value| value.to_str().unwrap().to_owned())
    };
    let (year, secure) = (Some(Duration::from_secs(31_536_000)), Some("https://courant.example"));
    assert_eq!(told(secure, year).await.as_deref(), Some("max-age=31536000"));
    assert_eq!((told(None, year).await, told(secure, None).await), (None, None));
}
