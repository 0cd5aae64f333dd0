//! Mistral's OCR over its documented wire format, against a server of our own.

// Helpers of tests count as code of their own to the lint.
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Bench, Finished, config, fixture};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use courant_pdf::artifact::{Kind, Status};
use courant_pdf::ocr::mistral::MistralConfig;
use courant_pdf::{OcrChoice, PdfConfig, SecretText};
use serde_json::{Value, json};

const KEY: &str = "a-key-that-no-log-may-show";

/// What the service does, one after the other; the last for ever.
#[derive(Clone)]
enum Act {
    Reads,
    Says(StatusCode, &'static str),
    Wait,
    Floods,
}

#[derive(Clone)]
struct Service {
    acts: Arc<Mutex<Vec<Act>>>,
    heard: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
}

async fn ocr(State(service): State<Service>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    service.heard.lock().unwrap().push((headers, body));
    let act = {
        let mut acts = service.acts.lock().unwrap();
        if acts.len() > 1 { acts.remove(0) } else { acts[0].clone() }
    };
    match act {
        Act::Reads => Json(answer()).into_response(),
        Act::Says(status, text) => (status, [("retry-after", "0")], text).into_response(),
        Act::Wait => std::future::pending().await,
        Act::Floods => "x".repeat(1 << 20).into_response(),
    }
}

fn answer() -> Value {
    let block = |kind: &str, content: &str, y: u32| {
        json!({"type": kind, "content": content, "top_left_x": 170, "top_left_y": y, "bottom_right_x": 1530,
            "bottom_right_y": y + 200})
    };
    json!({
        "model": "mistral-ocr-2512",
        "usage_info": {"pages_processed": 1, "doc_size_bytes": 12345},
        "document_annotation": null,
        "pages": [{
            "index": 0,
            "markdown": "# The LinnSequencer\n\nIt is easy.\n\n| a | b |\n| --- | --- |\n| 1 | 2 |",
            "images": [{"id": "img-0.jpeg", "top_left_x": 1, "top_left_y": 2, "bottom_right_x": 3, "bottom_right_y": 4,
                "image_base64": null}],
            "dimensions": {"dpi": 200, "height": 2200, "width": 1700},
            "tables": [], "hyperlinks": [], "header": null, "footer": null,
            "confidence_scores": {"average_page_confidence_score": 0.91, "minimum_page_confidence_score": 0.4,
                "word_confidence_scores": [{"text": "easy", "confidence": 0.5, "start_index": 27}]},
            "blocks": [
                block("title", "# The LinnSequencer", 100),
                block("text", "It is easy.", 400),
                block("table", "| a | b |\n| --- | --- |\n| 1 | 2 |", 700),
                block("a-kind-of-tomorrow", "More.", 1000),
            ],
        }],
    })
}

async fn service(acts: &[Act]) -> (Service, PdfConfig) {
    let service = Service { acts: Arc::new(Mutex::new(acts.to_vec())), heard: Arc::default() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/v1/ocr", post(ocr)).with_state(service.clone());
    let routes = routes.layer(axum::extract::DefaultBodyLimit::max(64 << 20));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let mut mistral = MistralConfig::new(SecretText::new(KEY), &url).unwrap();
    mistral.backoff = Duration::from_millis(1);
    mistral.retries = 2;
    mistral.timeout = Duration::from_secs(20);
    mistral.answer_bytes = 1 << 19;
    (service, PdfConfig { ocr: OcrChoice::Mistral(mistral), ..config() })
}

async fn run(config: PdfConfig) -> Finished {
    let mut bench = Bench::start(config).await;
    let job = bench.job(&fixture("gfdl-or-cc-by-sa-3.0/scan.pdf"));
    bench.run(job).await
}

#[tokio::test]
async fn a_scan_is_sent_as_the_service_wants_it_and_read_as_it_answers() {
    let (service, config) = service(&[Act::Reads]).await;
    let finished = run(config).await;
    assert!(finished.warnings().is_empty());
    let zones = finished.zones();
    let kinds: Vec<Kind> = zones.iter().map(|zone| zone.kind).collect();
    assert_eq!(kinds, [Kind::Scan, Kind::Heading, Kind::Paragraph, Kind::Table, Kind::Paragraph]);
    assert!(zones.iter().all(|zone| zone.tool == "ocr:mistral" && zone.status == Status::Completed));
    assert_eq!((zones[0].confidence, zones[2].confidence), (0.91, 0.5));
    assert_eq!((zones[2].bbox.x0.round(), zones[2].bbox.y0.round()), (61.0, 144.0), "pixels become points");
    assert_eq!(zones[3].rows[1][1].text, "2");
    assert!(finished.text("result.md").contains("# The LinnSequencer\n\nIt is easy."));

    let heard = service.heard.lock().unwrap();
    let [(headers, body)] = &heard[..] else { panic!("one request, not {}", heard.len()) };
    assert_eq!(headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(body["model"], "mistral-ocr-latest");
    assert_eq!((&body["include_blocks"], &body["confidence_scores_granularity"]), (&json!(true), &json!("word")));
    assert_eq!(body["document"]["type"], "image_url");
    let url = body["document"]["image_url"].as_str().unwrap();
    let png = base64::engine::general_purpose::STANDARD.decode(url.strip_prefix("data:image/png;base64,").unwrap());
    assert!(png.unwrap().starts_with(b"\x89PNG"));
}

#[tokio::test]
async fn a_busy_service_is_asked_again_and_not_for_ever() {
    let busy = Act::Says(StatusCode::TOO_MANY_REQUESTS, "rate limit");
    let broken = Act::Says(StatusCode::BAD_GATEWAY, "");
    let (all, config) = service(&[busy.clone(), broken, Act::Reads]).await;
    assert!(run(config).await.warnings().is_empty());
    assert_eq!(all.heard.lock().unwrap().len(), 3);

    let (all, config) = service(&[busy]).await;
    unread(config, "the OCR engine cannot be used; this region was not read").await;
    assert_eq!(all.heard.lock().unwrap().len(), 3, "once and two times again");
}

#[tokio::test]
async fn what_will_not_change_is_not_asked_again() {
    for (status, text) in [(StatusCode::UNAUTHORIZED, "Unauthorized"), (StatusCode::UNPROCESSABLE_ENTITY, "{}")] {
        let (all, config) = service(&[Act::Says(status, text)]).await;
        unread(config, "the OCR engine refused this page; this region was not read").await;
        assert_eq!(all.heard.lock().unwrap().len(), 1);
    }
    for nonsense in [Act::Says(StatusCode::OK, "<html>"), Act::Says(StatusCode::OK, "{\"pages\":[]}"), Act::Floods] {
        let (all, config) = service(&[nonsense]).await;
        unread(config, "the OCR engine failed on this page; this region was not read").await;
        assert_eq!(all.heard.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_silent_service_costs_its_time_and_no_more() {
    let (_, mut config) = service(&[Act::Wait]).await;
    if let OcrChoice::Mistral(mistral) = &mut config.ocr {
        (mistral.timeout, mistral.retries) = (Duration::from_millis(300), 1);
    }
    unread(config, "the OCR engine took too long; this region was not read").await;
}

async fn unread(config: PdfConfig, note: &str) {
    let finished = run(config).await;
    assert_eq!(finished.zones()[0].note, note);
    assert_eq!(finished.warnings(), [format!("Page 1: scanned; {note}.")]);
    assert!(!finished.text("result.json").contains(KEY));
}
