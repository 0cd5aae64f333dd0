//! Stories of the HTTP side: documents in, results out, the console, and those who play foul.

use std::time::Duration;

use crate::support::{PATIENCE, Stage, token};
use courant_proto::v1::{JobState, ResultFormat};
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_document_streams_through_as_body_and_as_form() {
    let stage = Stage::new().await;
    let document: Vec<u8> = (0..3_000_000u32).map(|number| (number % 251) as u8).collect();
    let http = Client::new();
    let url = stage.url("/v1/jobs?name=r%C3%A9port.pdf&lane=premium&label=team:law");
    let answer = http.post(url).bearer_auth(token("alice")).body(document.clone()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(location, format!("/v1/jobs/{}", body["job"]["jobId"].as_str().unwrap()));
    assert_eq!(body["job"]["owner"], "alice");

    let mut form = b"--X\r\nContent-Disposition: form-data; name=\"batchId\"\r\n\r\nb-1\r\n\
        --X\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.pdf\"\r\nContent-Type: application/pdf\r\n\r\n".to_vec();
    form.extend_from_slice(&document);
    form.extend_from_slice(b"\r\n--X--\r\n");
    let request = http.post(stage.url("/v1/jobs")).bearer_auth(token("alice"));
    let answer = request.header("content-type", "multipart/form-data; boundary=X").body(form).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);

    let jobs = stage.server.jobs().await;
    for job in &jobs {
        assert!(stage.server.document(&job.job_id).await == document, "{}", job.filename);
    }
    assert_eq!((jobs[0].filename.as_str(), jobs[0].labels["team"].as_str()), ("réport.pdf", "law"));
    assert_eq!((jobs[1].filename.as_str(), jobs[1].batch_id.as_str()), ("a.pdf", "b-1"));
}

#[tokio::test]
async fn names_of_files_come_as_older_clients_write_them() {
    let stage = Stage::new().await;
    let form = |disposition: &str| {
        let form = format!("--X\r\nContent-Disposition: form-data; {disposition}\r\n\r\n%PDF\r\n--X--\r\n");
        let request = Client::new().post(stage.url("/v1/jobs")).bearer_auth(token("alice"));
        request.header("content-type", "multipart/form-data; boundary=X").body(form).send()
    };
    let answer = form("name=\"file\"; filename*=utf-8''r%C3%A9port.pdf").await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let bad = form("name=\"file\"; filename*=utf-8''%FF").await.unwrap();
    assert_eq!(
        (bad.status(), bad.json::<Value>().await.unwrap()["code"].as_str()),
        (StatusCode::BAD_REQUEST, Some("INVALID_FIELD"))
    );
    let jobs = stage.server.jobs().await;
    assert_eq!((jobs.len(), jobs[0].filename.as_str()), (1, "réport.pdf"));
}

#[tokio::test]
async fn half_a_document_is_never_submitted() {
    let stage = Stage::new().await;
    let mut socket = TcpStream::connect(stage.address).await.unwrap();
    let head = format!(
        "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 3000000\r\n\r\n%PDF-1.7",
        token("alice")
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&[b'x'; 2_000_000]).await.unwrap();
    // What has arrived is on its way to the server; now the browser is closed.
    stage.server.documents_arrive(true).await;
    drop(socket);
    stage.server.documents_arrive(false).await;
    assert!(stage.server.jobs().await.is_empty());
}

#[tokio::test]
async fn bad_submissions_are_refused_with_the_reason() {
    let stage = Stage::with(|config| config.limits.upload_bytes = 1000).await;
    let http = Client::new();
    let submit = |query: &str, body: Vec<u8>| {
        http.post(stage.url(&format!("/v1/jobs{query}"))).bearer_auth(token("alice")).body(body).send()
    };
    for (query, size, status, code) in [
        ("?lane=fast", 10, 400, "INVALID_FIELD"),
        ("?lain=large", 10, 400, "INVALID_FIELD"),
        ("", 0, 400, "DOCUMENT_EMPTY"),
        ("", 1001, 413, "DOCUMENT_TOO_LARGE"),
        ("", 1_000_000, 413, "DOCUMENT_TOO_LARGE"),
    ] {
        let answer = submit(query, vec![b'x'; size]).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{query} {size}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &status.into()));
    }
    let answer = http.post(stage.url("/v1/jobs")).body("x").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["www-authenticate"].to_str().unwrap()), (401, "Bearer"));
}

/// A job of alice with a result; returns the URL of that.
async fn finished(stage: &Stage, format: ResultFormat, ending: &str, content: &[u8]) -> String {
    let submit = Client::new().post(stage.url("/v1/jobs?name=rep%C3%B6rt.pdf")).bearer_auth(token("alice"));
    let body: Value = submit.body("%PDF-1.7").send().await.unwrap().json().await.unwrap();
    let job = stage.url(&format!("/v1/jobs/{}", body["job"]["jobId"].as_str().unwrap()));
    let mut worker = stage.server.worker().await;
    worker.plan(1).await;
    worker.page(1).await;
    worker.export(format, ending, content).await;
    worker.succeed().await;
    let done = async { while stage.server.jobs().await[0].state() != JobState::Succeeded {} };
    tokio::time::timeout(PATIENCE, done).await.expect("the job does not end");
    format!("{job}/results/{ending}")
}

#[tokio::test]
async fn results_are_downloaded_whole_in_part_and_not_again() {
    let stage = Stage::new().await;
    let result: Vec<u8> = (0..2_000_000u32).map(|number| (number % 253) as u8).collect();
    let url = finished(&stage, ResultFormat::Markdown, "md", &result).await;
    let http = Client::new();
    let get = |name: &'static str, value: &str| {
        let request = http.get(&url).bearer_auth(token("alice"));
        request.header(name, value).send()
    };
    let whole = get("accept", "*/*").await.unwrap();
    assert_eq!(whole.headers()["content-type"], "text/markdown; charset=utf-8");
    let saved_as = "attachment; filename=\"rep_rt.md\"; filename*=UTF-8''rep%C3%B6rt.md";
    assert_eq!(whole.headers()["content-disposition"], saved_as);
    let tag = whole.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(whole.bytes().await.unwrap(), result);

    assert_eq!(get("if-none-match", &tag).await.unwrap().status(), StatusCode::NOT_MODIFIED);
    let part = get("range", "bytes=1000000-").await.unwrap();
    assert_eq!(
        (part.status().as_u16(), part.headers()["content-range"].to_str().unwrap()),
        (206, "bytes 1000000-1999999/2000000")
    );
    assert_eq!(part.bytes().await.unwrap(), result[1_000_000..]);
    let beyond = get("range", "bytes=2000000-").await.unwrap();
    assert_eq!(
        (beyond.status().as_u16(), beyond.headers()["content-range"].to_str().unwrap()),
        (416, "bytes */2000000")
    );
}

#[tokio::test]
async fn a_page_is_read_once_it_is_done_and_not_again() {
    let stage = Stage::new().await;
    stage.server.submit("A", "alice", "doc").await;
    let http = Client::new();
    let get = async |page: &str, who: &str, tag: &str| {
        let request = http.get(stage.url(&format!("/v1/jobs/A/pages/{page}"))).bearer_auth(token(who));
        request.header("if-none-match", tag).send().await.unwrap()
    };
    let early = get("1", "alice", "").await;
    assert_eq!(early.status(), StatusCode::CONFLICT);
    assert_eq!(early.json::<Value>().await.unwrap()["code"], "RESULT_NOT_READY");
    let mut worker = stage.server.worker().await;
    worker.plan(2).await;
    worker.page(1).await;
    let done = async {
        loop {
            let page = get("1", "alice", "").await;
            if page.status() != StatusCode::CONFLICT {
                return page;
            }
        }
    };
    let page = tokio::time::timeout(PATIENCE, done).await.expect("the page is never done");
    assert_eq!(
        (page.status(), &page.headers()["content-type"]),
        (StatusCode::OK, &"application/json".parse().unwrap())
    );
    assert_eq!(
        (page.headers()["cache-control"].to_str().unwrap(), page.content_length()),
        ("private, no-cache", Some(12))
    );
    let tag = page.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(page.text().await.unwrap(), "{\"number\":1}");
    assert_eq!(get("1", "alice", &tag).await.status(), StatusCode::NOT_MODIFIED);
    for none in ["one", "99999999999", "1.5", "%20"] {
        assert_eq!(get(none, "alice", "").await.json::<Value>().await.unwrap()["code"], "INVALID_FIELD", "{none}");
    }
    assert_eq!(get("1", "bob", "").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_shown_html_result_runs_nothing() {
    let stage = Stage::new().await;
    let url = finished(&stage, ResultFormat::Html, "html", b"<p>Text</p>").await;
    let answer = Client::new().get(url).bearer_auth(token("alice")).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    assert!(answer.headers()["content-security-policy"].to_str().unwrap().starts_with("sandbox;"));
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn the_console_is_served_with_its_policy_and_paths_of_its_own() {
    let stage = Stage::new().await;
    for path in ["/", "/jobs/A"] {
        let page = reqwest::get(stage.url(path)).await.unwrap();
        assert_eq!(
            (page.status().as_u16(), page.headers()["content-type"].to_str().unwrap()),
            (200, "text/html; charset=utf-8")
        );
        assert_eq!(page.headers()["cache-control"], "no-cache");
        assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    }
    for path in ["/assets/missing.js", "/v1/nothing", "/../../Cargo.toml", "/%2e%2e/Cargo.toml"] {
        let answer = reqwest::get(stage.url(path)).await.unwrap();
        assert!(answer.status() == 404 || !answer.text().await.unwrap().contains("[package]"), "{path}");
    }
    let wrong = Client::new().delete(stage.url("/v1/jobs")).send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let stage = Stage::new().await;
    for (method, path, right) in [
        ("DELETE", "/v1/jobs", "GET,HEAD,POST"),
        ("PATCH", "/v1/jobs/J", "GET,HEAD,POST,DELETE"),
        ("DELETE", "/v1/queue", "GET,HEAD"),
        ("GET", "/v1/uploads", "POST"),
        ("PUT", "/v1/uploads/U", "HEAD,PATCH,DELETE,POST"),
        ("POST", "/v1/uploads/U", "HEAD,PATCH,DELETE,POST"),
        ("PUT", "/v1/session", "GET,HEAD,POST,DELETE"),
        ("POST", "/livez", "GET,HEAD"),
    ] {
        let request = Client::new().request(method.parse().unwrap(), stage.url(path)).bearer_auth(token("alice"));
        let answer = request.send().await.unwrap();
        let allow = answer.headers().get("allow").map(|allow| allow.to_str().unwrap().to_owned()).unwrap_or_default();
        let sorted = |list: &str| {
            let mut words: Vec<String> = list.split(',').map(|word| word.trim().to_owned()).collect();
            words.sort();
            words
        };
        assert_eq!((answer.status().as_u16(), sorted(&allow)), (405, sorted(right)), "{method} {path}");
    }
}

#[tokio::test]
async fn who_dawdles_over_a_request_is_cut_off() {
    let stage = Stage::with(|config| {
        config.times.header = Duration::from_millis(50);
        config.times.body = Duration::from_millis(50);
    })
    .await;
    let body = format!(
        "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 10\r\n\r\nx",
        token("alice")
    );
    for begin in ["", "GET / HTTP/1.1\r\nHost: x\r\n", &body] {
        let mut socket = TcpStream::connect(stage.address).await.unwrap();
        socket.write_all(begin.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        tokio::time::timeout(PATIENCE, socket.read_to_end(&mut rest)).await.expect("still open").unwrap();
    }
    assert!(stage.server.jobs().await.is_empty());
}

#[tokio::test]
async fn probes_follow_the_server_and_the_numbers_are_for_admins() {
    let stage = Stage::new().await;
    assert_eq!(reqwest::get(stage.url("/livez")).await.unwrap().status(), 200);
    let refused = Client::new().get(stage.url("/metrics")).bearer_auth(token("alice")).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let text = stage.metrics().await;
    assert!(text.contains("courant_bridge_connections 0"), "{text}");
    stage.server.go_away();
    stage.ready(503).await;
    assert_eq!(reqwest::get(stage.url("/livez")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn who_asks_too_often_is_told_counted_and_written_down_and_probes_are_let_through() {
    let stage = Stage::with(|config| config.limits.requests_per_second = 2).await;
    let http = Client::new();
    let refused = loop {
        let answer = http.get(stage.url("/v1/queue")).bearer_auth(token("alice")).send().await.unwrap();
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            break answer;
        }
    };
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "RATE_LIMITED");
    for _ in 0..20 {
        assert_eq!(http.get(stage.url("/livez")).send().await.unwrap().status(), StatusCode::OK);
    }
    let counted = async {
        while !stage.metrics().await.contains("courant_bridge_refused_total{limit=\"RequestsPerSecond\"}") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, counted).await.expect("not counted");
}
