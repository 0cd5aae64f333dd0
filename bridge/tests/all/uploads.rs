//! Stories of uploads that are cut and go on, as tus 1.0.0 says, and of those who say it wrongly.

use std::time::{Duration, SystemTime};

use crate::support::{PATIENCE, RealServer, Stage, token, token_for};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use courant_auth::Role;
use courant_proto::v1::Lane;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const CONTENT: &str = "application/offset+octet-stream";

fn request(stage: &Stage, method: &str, path: &str) -> RequestBuilder {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let request = Client::new().request(method, stage.url(path));
    request.bearer_auth(token("alice")).header("tus-resumable", "1.0.0")
}

fn metadata(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name} {}", BASE64.encode(value))).collect::<Vec<_>>().join(",")
}

async fn begin(stage: &Stage, length: usize) -> String {
    let request = request(stage, "POST", "/v1/uploads").header("upload-length", length);
    let answer = request.header("upload-metadata", metadata(&[("requestId", "r")])).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    answer.headers()["location"].to_str().unwrap().to_owned()
}

async fn patch(stage: &Stage, path: &str, offset: usize, bytes: &[u8]) -> Response {
    let request = request(stage, "PATCH", path).header("content-type", CONTENT).header("upload-offset", offset);
    request.body(bytes.to_vec()).send().await.unwrap()
}

async fn head(stage: &Stage, path: &str) -> (StatusCode, HeaderMap) {
    let answer = request(stage, "HEAD", path).send().await.unwrap();
    (answer.status(), answer.headers().clone())
}

/// Waits until so many bytes at least are stored.
async fn comes_to(stage: &Stage, path: &str, bytes: usize) {
    let stored =
        async { while header(&head(stage, path).await.1, "upload-offset").parse::<usize>().unwrap() < bytes {} };
    tokio::time::timeout(PATIENCE, stored).await.expect("the bytes do not come");
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn an_upload_begun_on_one_bridge_and_cut_goes_on_at_another() {
    const LENGTH: usize = 300_000;
    let server = RealServer::with(|config| config.upload_piece_bytes = 64 << 10).await;
    let first = Stage::before(server, |_| {}).await;
    let second = first.beside().await;
    let said = metadata(&[("filename", "réport.pdf"), ("lane", "premium"), ("requestId", "r"), ("password", "pw")]);
    let create = request(&first, "POST", "/v1/uploads").header("upload-length", LENGTH).header("upload-metadata", said);
    let created = create.send().await.unwrap();
    assert_eq!((created.status(), header(created.headers(), "upload-offset")), (StatusCode::CREATED, "0"));
    let expires = httpdate::parse_http_date(header(created.headers(), "upload-expires")).unwrap();
    let left = expires.duration_since(SystemTime::now()).unwrap();
    assert!(left > Duration::from_secs(23 * 3600) && left <= Duration::from_secs(24 * 3600), "{left:?}");
    let path = header(created.headers(), "location").to_owned();
    let id = path.strip_prefix("/v1/uploads/").unwrap();
    let mut socket = TcpStream::connect(first.address).await.unwrap();
    let bearer = token("alice");
    let cut = format!(
        "PATCH {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\nTus-Resumable: 1.0.0\r\n\
         Content-Type: {CONTENT}\r\nUpload-Offset: 0\r\nContent-Length: {LENGTH}\r\n\r\n"
    );
    socket.write_all(cut.as_bytes()).await.unwrap();
    socket.write_all(&[b'x'; 200_000]).await.unwrap();
    comes_to(&second, &path, 128 << 10).await;
    // The bridge is killed, not stopped: what it had passed on is all that counts.
    first.bridge.abort();
    drop(socket);
    // What was in its memory and on its way is stored when the server has noticed.
    comes_to(&second, &path, 200_000).await;
    let (status, headers) = head(&second, &path).await;
    assert_eq!((status, header(&headers, "upload-offset")), (StatusCode::OK, "200000"));
    assert_eq!((header(&headers, "upload-length"), header(&headers, "cache-control")), ("300000", "no-store"));
    assert_eq!(header(&headers, "courant-job"), "");
    let more = patch(&second, &path, 200_000, &[b'y'; 500]).await;
    assert_eq!((more.status(), header(more.headers(), "upload-offset")), (StatusCode::NO_CONTENT, "200500"));
    let last = patch(&second, &path, 200_500, &[b'z'; LENGTH - 200_500]).await;
    assert_eq!((last.status(), header(last.headers(), "upload-offset")), (StatusCode::NO_CONTENT, "300000"));
    assert_eq!(header(last.headers(), "courant-job"), id);
    assert_ne!(header(last.headers(), "courant-cursor"), "");
    assert_eq!(header(&head(&second, &path).await.1, "courant-job"), id);
    let jobs = second.server.jobs().await;
    assert_eq!((jobs.len(), jobs[0].filename.as_str(), jobs[0].lane()), (1, "réport.pdf", Lane::Premium));
    let whole = [vec![b'x'; 200_000], vec![b'y'; 500], vec![b'z'; LENGTH - 200_500]].concat();
    assert!(second.server.document(id).await == whole);
    assert_eq!(second.server.worker().await.password().await, "pw");
}

#[tokio::test]
async fn a_client_that_goes_silent_keeps_what_it_sent() {
    let stage = Stage::with(|config| config.times.body = Duration::from_millis(200)).await;
    let path = begin(&stage, 10).await;
    let mut socket = TcpStream::connect(stage.address).await.unwrap();
    let bearer = token("alice");
    let slow = format!(
        "PATCH {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\nTus-Resumable: 1.0.0\r\n\
         Content-Type: {CONTENT}\r\nUpload-Offset: 0\r\nContent-Length: 10\r\n\r\n01234"
    );
    socket.write_all(slow.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut socket, &mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    comes_to(&stage, &path, 5).await;
    assert_eq!(header(&head(&stage, &path).await.1, "upload-offset"), "5");
}

#[tokio::test]
async fn bytes_may_come_with_the_creation_and_an_upload_may_be_given_up() {
    let stage = Stage::new().await;
    let create = |id: &str| {
        let request = request(&stage, "POST", "/v1/uploads").header("upload-length", 10);
        request.header("content-type", CONTENT).header("upload-metadata", metadata(&[("requestId", id)]))
    };
    let answer = create("r").body("0123").send().await.unwrap();
    assert_eq!((answer.status(), header(answer.headers(), "upload-offset")), (StatusCode::CREATED, "4"));
    let path = header(answer.headers(), "location").to_owned();
    // Once more, because the answer got lost: what is there stays, and what is sent along is not taken twice.
    let again = create("r").body("0123").send().await.unwrap();
    assert_eq!((header(again.headers(), "location"), header(again.headers(), "upload-offset")), (path.as_str(), "4"));
    let gone = request(&stage, "DELETE", &path).send().await.unwrap();
    assert_eq!((gone.status(), header(gone.headers(), "tus-resumable")), (StatusCode::NO_CONTENT, "1.0.0"));
    assert_eq!(head(&stage, &path).await.0, StatusCode::NOT_FOUND);
    assert_eq!(patch(&stage, &path, 4, b"456789").await.status(), StatusCode::NOT_FOUND);
    let whole = create("w").body("0123456789").send().await.unwrap();
    let job = header(whole.headers(), "courant-job");
    assert_eq!(header(whole.headers(), "location"), format!("/v1/uploads/{job}"));
    assert_eq!(stage.server.document(job).await, b"0123456789");
}

#[tokio::test]
async fn what_is_possible_is_told_to_whoever_asks() {
    let stage = Stage::with(|config| config.allow_origins = vec!["https://app.example".into()]).await;
    let options = || Client::new().request(Method::OPTIONS, stage.url("/v1/uploads"));
    let answer = options().send().await.unwrap();
    assert_eq!((answer.status(), header(answer.headers(), "tus-version")), (StatusCode::NO_CONTENT, "1.0.0"));
    assert_eq!(header(answer.headers(), "tus-extension"), "creation,creation-with-upload,expiration,termination");
    assert_eq!(header(answer.headers(), "tus-max-size"), (512u64 << 20).to_string());
    let asks = options().header("origin", "https://app.example").header("access-control-request-method", "PATCH");
    let answer = asks.header("access-control-request-headers", "upload-offset").send().await.unwrap();
    assert!(header(answer.headers(), "access-control-allow-methods").contains("PATCH"));
    assert!(header(answer.headers(), "access-control-allow-headers").contains("upload-offset"));
    let path = begin(&stage, 5).await;
    let answer = request(&stage, "HEAD", &path).header("origin", "https://app.example").send().await.unwrap();
    let exposed = header(answer.headers(), "access-control-expose-headers");
    assert!(["upload-offset", "location", "courant-job"].iter().all(|name| exposed.contains(name)), "{exposed}");
}

#[tokio::test]
async fn what_is_said_wrongly_is_refused_with_the_reason() {
    let stage = Stage::with(|config| config.limits.upload_bytes = 1000).await;
    let path = begin(&stage, 10).await;
    let plain = |method: &str, path: &str| {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Client::new().request(method, stage.url(path)).bearer_auth(token("alice"))
    };
    let tus = |method: &str, path: &str| request(&stage, method, path);
    let write = || tus("PATCH", &path).header("content-type", CONTENT);
    let long = metadata(&[("lain", "x")]);
    for (request, status, code) in [
        (plain("POST", "/v1/uploads").header("upload-length", 1), 412, "TUS_VERSION_UNKNOWN"),
        (plain("PATCH", &path).header("tus-resumable", "0.2.2"), 412, "TUS_VERSION_UNKNOWN"),
        (tus("POST", "/v1/uploads"), 400, "INVALID_FIELD"),
        (tus("POST", "/v1/uploads").header("upload-length", "many"), 400, "INVALID_FIELD"),
        (tus("POST", "/v1/uploads").header("upload-defer-length", 1), 400, "INVALID_FIELD"),
        (tus("POST", "/v1/uploads").header("upload-length", 1001), 413, "DOCUMENT_TOO_LARGE"),
        (tus("POST", "/v1/uploads").header("upload-length", 1).header("upload-metadata", long), 400, "INVALID_FIELD"),
        (tus("POST", "/v1/uploads").header("upload-length", 1).body("x"), 415, "CONTENT_TYPE_WRONG"),
        (tus("PATCH", &path).header("upload-offset", 0).body("x"), 415, "CONTENT_TYPE_WRONG"),
        (write().body("x"), 400, "INVALID_FIELD"),
        (write().header("upload-offset", -1).body("x"), 400, "INVALID_FIELD"),
        (write().header("upload-offset", 3).body("x"), 409, "UPLOAD_OFFSET"),
        (write().header("upload-offset", 0).body("0123456789x"), 400, "DOCUMENT_CUT"),
        (
            tus("PATCH", "/v1/uploads/none").header("content-type", CONTENT).header("upload-offset", 0),
            404,
            "UPLOAD_NOT_FOUND",
        ),
        (tus("DELETE", "/v1/uploads/none"), 404, "UPLOAD_NOT_FOUND"),
        (tus("DELETE", &format!("{path}?woner=x")), 400, "INVALID_FIELD"),
        (tus("GET", &path), 405, "METHOD_NOT_ALLOWED"),
        (tus("PUT", "/v1/uploads"), 405, "METHOD_NOT_ALLOWED"),
        (tus("POST", &path), 405, "METHOD_NOT_ALLOWED"),
        (tus("GET", &path).header("x-http-method-override", "DELETE"), 405, "METHOD_NOT_ALLOWED"),
        (Client::new().delete(stage.url(&path)).header("tus-resumable", "1.0.0"), 401, "TOKEN_MISSING"),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!((answer.status().as_u16(), header(answer.headers(), "tus-resumable")), (status, "1.0.0"), "{code}");
        assert_eq!(answer.headers().contains_key("tus-version"), status == 412);
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["code"], code, "{problem}");
    }
    assert!(header(&head(&stage, &path).await.1, "upload-offset").parse::<usize>().unwrap() <= 10);
}

#[tokio::test]
async fn a_strangers_upload_and_one_that_is_gone_look_like_none() {
    let stage = Stage::new().await;
    let path = begin(&stage, 10).await;
    let asked = |user: &str, path: &str| {
        let request = Client::new().patch(stage.url(path)).bearer_auth(token(user)).header("tus-resumable", "1.0.0");
        request.header("content-type", CONTENT).header("upload-offset", 0).body("x").send()
    };
    // All but the id, which is as it was asked for.
    let refused = async |user: &str, path: &str| {
        let answer = asked(user, path).await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        answer.text().await.unwrap().replace(path.rsplit('/').next().unwrap(), "ID")
    };
    let none = refused("mallory", "/v1/uploads/never").await;
    assert_eq!(refused("mallory", &path).await, none);
    assert_eq!(request(&stage, "DELETE", &path).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(refused("alice", &path).await, none);
}

#[tokio::test]
async fn who_can_send_nothing_but_post_says_what_is_meant() {
    let stage = Stage::new().await;
    let path = begin(&stage, 5).await;
    let post = |method: &str| request(&stage, "POST", &path).header("x-http-method-override", method);
    let write = post("PATCH").header("content-type", CONTENT).header("upload-offset", 0).body("012");
    assert_eq!(header(write.send().await.unwrap().headers(), "upload-offset"), "3");
    assert_eq!(header(post("HEAD").send().await.unwrap().headers(), "upload-offset"), "3");
    assert_eq!(post("DELETE").send().await.unwrap().status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_service_goes_on_with_its_users_upload_by_the_address_it_was_given() {
    let stage = Stage::new().await;
    let service = token_for("intake", &[Role::Service], Duration::from_secs(60));
    let said = metadata(&[("owner", "bob & co"), ("requestId", "b")]);
    let as_service = |method: Method, path: &str| {
        let request = Client::new().request(method, stage.url(path)).bearer_auth(&service);
        request.header("tus-resumable", "1.0.0").header("content-type", CONTENT)
    };
    let create = as_service(Method::POST, "/v1/uploads").header("upload-length", 3).header("upload-metadata", said);
    let path = header(create.send().await.unwrap().headers(), "location").to_owned();
    let id = path.strip_prefix("/v1/uploads/").and_then(|rest| rest.strip_suffix("?owner=bob+%26+co")).unwrap();
    let last = as_service(Method::PATCH, &path).header("upload-offset", 0).body("abc").send().await.unwrap();
    assert_eq!(header(last.headers(), "courant-job"), id);
    assert_eq!(stage.server.jobs().await[0].owner, "bob & co");
}

#[tokio::test]
async fn with_the_cookie_a_change_must_come_from_a_page_of_ours() {
    let stage = Stage::new().await;
    let with = |origin: &str| {
        let request =
            Client::new().post(stage.url("/v1/uploads")).header("cookie", format!("courant={}", token("alice")));
        request.header("origin", origin).header("tus-resumable", "1.0.0").header("upload-length", 5).send()
    };
    assert_eq!(with("https://evil.example").await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(with(&stage.url("")).await.unwrap().status(), StatusCode::CREATED);
}

#[tokio::test]
async fn while_the_server_is_away_an_upload_is_locked_and_not_lost() {
    let stage = Stage::with(|config| config.times.server_wait = std::time::Duration::ZERO).await;
    stage.server.go_away();
    stage.ready(503).await;
    let (status, headers) = head(&stage, "/v1/uploads/U?fbclid=x").await;
    assert_eq!((status, header(&headers, "tus-resumable")), (StatusCode::LOCKED, "1.0.0"));
    let by_post = request(&stage, "POST", "/v1/uploads/U").header("x-http-method-override", "HEAD").send().await;
    assert_eq!(by_post.unwrap().status(), StatusCode::LOCKED);
    // Others are told as everywhere: what they sent is not stored.
    assert_eq!(request(&stage, "DELETE", "/v1/uploads/U").send().await.unwrap().status(), 503);
}
