//! Webhooks. The receiver is one of our own; the libraries of Standard Webhooks verify what is sent in `tests/python`.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use courant_proto::v1::notification_service_client::NotificationServiceClient;
use courant_proto::v1::submit_job_request::Part;
use courant_proto::v1::webhook_service_client::WebhookServiceClient;
use courant_proto::v1::*;
use courant_server::Config;
use tokio::sync::mpsc;
use tonic::{Code, Status};

use crate::support::*;

/// A status, and a header with its value.
type Answer = (StatusCode, Option<(&'static str, &'static str)>);
/// Where a story hears what arrives, what is answered first, and what then.
type Inbox = (mpsc::UnboundedSender<Arrived>, VecDeque<Answer>, StatusCode);

#[derive(Debug)]
struct Arrived {
    id: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Arrived {
    fn event(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn kind(&self) -> String {
        self.event()["type"].as_str().unwrap().to_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

#[derive(Default)]
struct Receivers(Mutex<HashMap<String, Inbox>>);

/// One for all stories, on a thread of its own: it outlives each story's runtime.
fn receivers() -> &'static (SocketAddr, Arc<Receivers>) {
    static RECEIVERS: OnceLock<(SocketAddr, Arc<Receivers>)> = OnceLock::new();
    RECEIVERS.get_or_init(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (address, receivers) = (listener.local_addr().unwrap(), Arc::<Receivers>::default());
        let router = Router::new().route("/{to}", post(arrive)).with_state(receivers.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap();
            });
        });
        (address, receivers)
    })
}

async fn arrive(
    State(all): State<Arc<Receivers>>,
    Path(to): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut inboxes = all.0.lock().unwrap();
    let Some((arrived, answers, then)) = inboxes.get_mut(&to) else { return StatusCode::IM_A_TEAPOT.into_response() };
    let id = headers["webhook-id"].to_str().unwrap().to_owned();
    let _ = arrived.send(Arrived { id, headers, body });
    match answers.pop_front() {
        None => then.into_response(),
        Some((status, Some(header))) => (status, [header]).into_response(),
        Some((status, None)) => status.into_response(),
    }
}

struct Receiver {
    name: String,
    arrived: mpsc::UnboundedReceiver<Arrived>,
}

impl Receiver {
    /// Gives these answers first, and 204 from then on.
    fn with(name: &str, answers: &[Answer]) -> Self {
        let (sender, arrived) = mpsc::unbounded_channel();
        let inbox = (sender, answers.iter().copied().collect(), StatusCode::NO_CONTENT);
        receivers().1.0.lock().unwrap().insert(name.to_owned(), inbox);
        Self { name: name.to_owned(), arrived }
    }

    fn url(&self) -> String {
        format!("http://{}/{}", receivers().0, self.name)
    }

    /// Answers so from now on.
    fn answer(&self, status: StatusCode) {
        receivers().1.0.lock().unwrap().get_mut(&self.name).unwrap().2 = status;
    }

    async fn next(&mut self) -> Arrived {
        tokio::time::timeout(PATIENCE, self.arrived.recv()).await.expect("nothing came").unwrap()
    }

    /// Until one of this type; all before it too.
    async fn until(&mut self, kind: &str) -> Vec<Arrived> {
        let mut all = Vec::new();
        loop {
            all.push(self.next().await);
            if all.last().unwrap().kind() == kind {
                return all;
            }
        }
    }
}

/// Between looks at what has no signal: asking without a pause leaves the server, which is on the same thread, little time.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The least waits, so that stories are quick.
fn quick(config: &mut Config) {
    config.webhooks.webhook_allow = vec!["127.0.0.0/8".parse().unwrap()];
    config.webhooks.webhook_http = true;
    config.webhooks.webhook_retry_base = Duration::from_millis(1);
    config.webhooks.webhook_retry_max = Duration::from_millis(200);
    config.webhooks.webhook_timeout = Duration::from_millis(700);
}

fn client(world: &World, who: &str) -> WebhookServiceClient<Authed> {
    WebhookServiceClient::with_interceptor(world.channel.clone(), Bearer(world.token(who, &[])))
}

async fn create(world: &World, who: &str, url: &str, events: &[WebhookEvent]) -> (Webhook, String) {
    let events = events.iter().map(|event| (*event).into()).collect();
    let request = CreateWebhookRequest { url: url.into(), events, description: "a story".into() };
    let made = client(world, who).create_webhook(request).await.unwrap().into_inner();
    (made.webhook.unwrap(), made.secret)
}

async fn get(world: &World, who: &str, id: &str) -> Webhook {
    let request = GetWebhookRequest { webhook_id: id.into() };
    client(world, who).get_webhook(request).await.unwrap().into_inner().webhook.unwrap()
}

/// Waits for a webhook to be so.
async fn until(world: &World, who: &str, id: &str, is_so: impl Fn(&Webhook) -> bool) -> Webhook {
    let found = async {
        loop {
            let webhook = get(world, who, id).await;
            if is_so(&webhook) {
                return webhook;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("it never was so")
}

fn verify(secret: &str, arrived: &Arrived) -> bool {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
    let signed =
        [format!("{}.{}.", arrived.id, arrived.header("webhook-timestamp")).as_bytes(), &arrived.body].concat();
    let ours = format!("v1,{}", STANDARD.encode(aws_lc_rs::hmac::sign(&key, &signed)));
    arrived.header("webhook-signature").split(' ').any(|one| one == ours)
}

/// A job that succeeds while the worker stays.
async fn work_off(world: &World, worker: &mut crate::support::Worker) -> String {
    let job = world.submit("alice").await.job.unwrap();
    let attempt = worker.take().await.attempt.unwrap();
    worker.work_off(&attempt, 1).await;
    job.job_id
}

#[tokio::test]
async fn the_life_of_a_job_is_sent_in_order_and_signed() {
    let world = World::tuned(quick).await;
    let mut receiver = Receiver::with("life", &[]);
    let (webhook, secret) = create(&world, "alice", &receiver.url(), &[]).await;
    assert!(webhook.webhook_id.starts_with("wh_") && webhook.events.len() == 6, "{webhook:?}");
    world.submit("bob").await;
    let mut worker = world.worker("w").await;
    let bobs = worker.take().await.attempt.unwrap();
    worker.work_off(&bobs, 1).await;
    let job = work_off(&world, &mut worker).await;
    let arrived = receiver.until("courant.job.succeeded").await;
    let kinds: Vec<String> = arrived.iter().map(Arrived::kind).collect();
    assert_eq!(kinds, ["courant.job.queued", "courant.job.started", "courant.job.succeeded"]);
    for one in &arrived {
        let event = one.event();
        assert!(verify(&secret, one), "{one:?}");
        assert_eq!(one.header("content-type"), "application/cloudevents+json; charset=utf-8");
        assert_eq!((&event["id"], &event["subject"]), (&one.id.as_str().into(), &job.as_str().into()));
        assert_eq!((&event["specversion"], &event["data"]["owner"]), (&"1.0".into(), &"alice".into()));
    }
    assert_eq!(arrived[2].event()["data"]["state"], "succeeded");
    let shown = until(&world, "alice", &webhook.webhook_id, |webhook| webhook.events_delivered == 3).await;
    assert_eq!((shown.state(), shown.jobs_waiting), (WebhookState::Enabled, 0));
    let request = ListWebhookDeliveriesRequest { webhook_id: webhook.webhook_id };
    let deliveries = client(&world, "alice").list_webhook_deliveries(request).await.unwrap().into_inner().deliveries;
    assert_eq!(deliveries.iter().map(|one| one.http_status).collect::<Vec<_>>(), [204; 3]);
    assert_eq!(deliveries[0].message_id, arrived[2].id);
}

#[tokio::test]
async fn what_fails_is_sent_again_under_the_same_id_and_others_are_not_held_up() {
    let world = World::tuned(quick).await;
    let later = (StatusCode::SERVICE_UNAVAILABLE, Some(("retry-after", "0")));
    let redirect = (StatusCode::FOUND, Some(("location", "http://127.0.0.1:1/")));
    let mut receiver = Receiver::with("fails", &[later, redirect, (StatusCode::INTERNAL_SERVER_ERROR, None)]);
    let (webhook, _) = create(&world, "alice", &receiver.url(), &[WebhookEvent::JobSucceeded]).await;
    let mut worker = world.worker("w").await;
    work_off(&world, &mut worker).await;
    let first = receiver.next().await.id;
    for _ in 0..3 {
        assert_eq!(receiver.next().await.id, first, "the same event");
    }
    let shown = until(&world, "alice", &webhook.webhook_id, |webhook| webhook.events_delivered == 1).await;
    assert_eq!((shown.jobs_waiting, shown.failing_since), (0, None));
    let request = ListWebhookDeliveriesRequest { webhook_id: webhook.webhook_id };
    let deliveries = client(&world, "alice").list_webhook_deliveries(request).await.unwrap().into_inner().deliveries;
    let attempts: Vec<(i32, i32)> = deliveries.iter().map(|one| (one.attempt, one.http_status)).collect();
    assert_eq!(attempts, [(4, 204), (3, 500), (2, 302), (1, 503)]);
    assert!(deliveries[2].error.contains("redirects are not followed"), "{deliveries:?}");
}

#[tokio::test]
async fn a_restart_loses_nothing_and_repeats_only_under_the_same_id() {
    let world = World::tuned(quick).await;
    let mut receiver = Receiver::with("restart", &[]);
    let (webhook, secret) = create(&world, "alice", &receiver.url(), &[WebhookEvent::JobQueued]).await;
    receiver.answer(StatusCode::BAD_GATEWAY);
    let mut jobs = HashSet::new();
    for _ in 0..10 {
        jobs.insert(world.submit("alice").await.job.unwrap().job_id);
    }
    receiver.next().await;
    let world = world.restart().await;
    jobs.insert(world.submit("alice").await.job.unwrap().job_id);
    receiver.answer(StatusCode::OK);
    until(&world, "alice", &webhook.webhook_id, |webhook| webhook.events_delivered >= 11).await;
    let mut ids: BTreeMap<String, HashSet<String>> = BTreeMap::new();
    while let Ok(arrived) = receiver.arrived.try_recv() {
        assert!(verify(&secret, &arrived));
        ids.entry(arrived.event()["subject"].as_str().unwrap().into()).or_default().insert(arrived.id);
    }
    assert_eq!(ids.keys().cloned().collect::<HashSet<_>>(), jobs);
    assert!(ids.values().all(|ids| ids.len() == 1), "{ids:?}");
}

#[tokio::test]
async fn an_endpoint_that_keeps_failing_is_switched_off_its_owner_is_told_and_nothing_is_lost() {
    let world = World::tuned(|config| {
        quick(config);
        config.webhooks.webhook_disable_after = Duration::from_millis(300);
    })
    .await;
    let mut receiver = Receiver::with("broken", &[]);
    receiver.answer(StatusCode::INTERNAL_SERVER_ERROR);
    let (webhook, _) = create(&world, "alice", &receiver.url(), &[WebhookEvent::JobQueued]).await;
    let id = webhook.webhook_id;
    let job = world.submit("alice").await.job.unwrap().job_id;
    let off = until(&world, "alice", &id, |webhook| webhook.state() == WebhookState::SwitchedOff).await;
    assert!(off.disable_reason.contains("500") && off.events_given_up == 0, "{off:?}");
    let mut notifications =
        NotificationServiceClient::with_interceptor(world.channel.clone(), Bearer(world.token("alice", &[])));
    let told = async {
        loop {
            let listed = notifications.list_notifications(ListNotificationsRequest::default()).await.unwrap();
            if let Some(told) =
                listed.into_inner().notifications.into_iter().find(|one| one.title.starts_with("Webhook"))
            {
                return told;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await.unwrap();
    assert!(told.title == "Webhook to 127.0.0.1 switched off" && told.body.contains(&id), "{told:?}");
    while receiver.arrived.try_recv().is_ok() {}
    receiver.answer(StatusCode::OK);
    client(&world, "alice").enable_webhook(EnableWebhookRequest { webhook_id: id.clone() }).await.unwrap();
    assert_eq!(receiver.next().await.event()["subject"], job.as_str());
    assert_eq!(get(&world, "alice", &id).await.state(), WebhookState::Enabled);
    // Gone is gone at once.
    receiver.answer(StatusCode::GONE);
    world.submit("alice").await;
    let off = until(&world, "alice", &id, |webhook| webhook.state() == WebhookState::SwitchedOff).await;
    assert!(off.disable_reason.contains("410"), "{off:?}");
}

#[tokio::test]
async fn a_replay_sends_again_from_a_cursor_under_the_same_ids() {
    let world = World::tuned(quick).await;
    let mut receiver = Receiver::with("replay", &[]);
    let (webhook, _) = create(&world, "alice", &receiver.url(), &[WebhookEvent::JobQueued]).await;
    let mut first = Vec::new();
    for _ in 0..3 {
        world.submit("alice").await;
        first.push(receiver.next().await);
    }
    let after = first[0].event()["cursor"].as_str().unwrap().to_owned();
    let replay = |after_cursor: String| ReplayWebhookRequest { webhook_id: webhook.webhook_id.clone(), after_cursor };
    let begun = client(&world, "alice").replay_webhook(replay(after)).await.unwrap().into_inner();
    assert!(!begun.history_trimmed);
    let mut again: Vec<String> = vec![receiver.next().await.id, receiver.next().await.id];
    again.sort();
    let mut expected = vec![first[1].id.clone(), first[2].id.clone()];
    expected.sort();
    assert_eq!(again, expected);
    client(&world, "alice").replay_webhook(replay(String::new())).await.unwrap();
    let all: HashSet<String> = [receiver.next().await.id, receiver.next().await.id, receiver.next().await.id].into();
    assert_eq!(all, first.iter().map(|one| one.id.clone()).collect());
    let refused = client(&world, "alice").replay_webhook(replay("nonsense".into())).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "CURSOR_INVALID"));
}

#[tokio::test]
async fn a_secret_is_rotated_without_a_gap() {
    let world = World::tuned(quick).await;
    let mut receiver = Receiver::with("rotate", &[]);
    let (webhook, old) = create(&world, "alice", &receiver.url(), &[WebhookEvent::JobQueued]).await;
    let rotate = |keep_old: Option<Duration>| RotateWebhookSecretRequest {
        webhook_id: webhook.webhook_id.clone(),
        keep_old: keep_old.map(|keep| keep.try_into().unwrap()),
    };
    let rotated = client(&world, "alice").rotate_webhook_secret(rotate(None)).await.unwrap().into_inner();
    let new = rotated.secret;
    assert!(new != old && rotated.webhook.unwrap().old_secret_expire_time.is_some());
    world.submit("alice").await;
    let both = receiver.next().await;
    assert!(verify(&old, &both) && verify(&new, &both));
    let rotated =
        client(&world, "alice").rotate_webhook_secret(rotate(Some(Duration::ZERO))).await.unwrap().into_inner();
    world.submit("alice").await;
    let one = receiver.next().await;
    assert!(verify(&rotated.secret, &one) && !verify(&new, &one) && !verify(&old, &one));
    let long = Some(Duration::from_secs(8 * 24 * 3600));
    let refused = client(&world, "alice").rotate_webhook_secret(rotate(long)).await.unwrap_err();
    assert!(refused.message().contains("7 days"), "{refused}");
}

#[tokio::test]
async fn a_test_says_what_became_of_it() {
    let world = World::tuned(quick).await;
    let mut receiver = Receiver::with("test", &[(StatusCode::NOT_FOUND, None)]);
    let (webhook, secret) = create(&world, "alice", &receiver.url(), &[]).await;
    let test = || TestWebhookRequest { webhook_id: webhook.webhook_id.clone() };
    let first = client(&world, "alice").test_webhook(test()).await.unwrap().into_inner().delivery.unwrap();
    assert_eq!((first.http_status, first.error.as_str()), (404, "it answers 404 Not Found"));
    let second = client(&world, "alice").test_webhook(test()).await.unwrap().into_inner().delivery.unwrap();
    assert_eq!((second.http_status, second.error.as_str()), (204, ""));
    let arrived = [receiver.next().await, receiver.next().await];
    assert!(arrived[1].kind() == "courant.webhook.test" && verify(&secret, &arrived[1]));
}

#[tokio::test]
async fn the_end_of_a_job_goes_to_its_callback() {
    let world = World::tuned(quick).await;
    let mut receiver = Receiver::with("callback", &[(StatusCode::BAD_GATEWAY, None)]);
    let rotate = RotateWebhookSecretRequest { webhook_id: "callback".into(), keep_old: None };
    let secret = client(&world, "alice").rotate_webhook_secret(rotate).await.unwrap().into_inner().secret;
    let with_callback = |callback: &str| {
        let header =
            SubmitJobHeader { callback: callback.into(), request_id: "r".into(), ..SubmitJobHeader::default() };
        let parts = [Part::Header(header), Part::Chunk(b"%PDF-1.7 hello".to_vec().into())];
        parts.map(|part| SubmitJobRequest { part: Some(part) })
    };
    let submit =
        async |callback: &str| world.jobs("alice").submit_job(tokio_stream::iter(with_callback(callback))).await;
    let job = submit(&receiver.url()).await.unwrap().into_inner().job.unwrap().job_id;
    // The same request promises the same callback.
    assert_eq!(submit(&receiver.url()).await.unwrap().into_inner().job.unwrap().job_id, job);
    let other = submit("http://127.0.0.1:9/other").await.unwrap_err();
    assert_eq!(reason(&other), "REQUEST_ID_MISMATCH");
    let private = submit("http://10.0.0.1/").await.unwrap_err();
    assert!(private.message().contains("callback leads to 10.0.0.1, a private address"), "{private}");
    let mut worker = world.worker("w").await;
    let attempt = worker.take().await.attempt.unwrap();
    worker.work_off(&attempt, 1).await;
    let (first, second) = (receiver.next().await, receiver.next().await);
    assert_eq!((first.id, second.kind().as_str()), (second.id.clone(), "courant.job.succeeded"));
    assert!(verify(&secret, &second) && second.event()["subject"] == job.as_str());
    let shown = until(&world, "alice", "callback", |webhook| webhook.events_delivered == 1).await;
    assert_eq!((shown.url.as_str(), shown.events.len()), ("", 3));
}

#[tokio::test]
async fn bad_urls_are_refused_with_the_reason_and_webhooks_are_ones_own() {
    let world = World::tuned(|config| {
        quick(config);
        config.webhooks.webhook_allow = Vec::new();
        config.webhooks.webhooks_per_user = 2;
    })
    .await;
    let mut alice = client(&world, "alice");
    for (url, says) in [
        ("nonsense", "url is no URL"),
        ("ftp://example.org/", "url must begin with https:// or http://"),
        ("http://127.0.0.1:8080/", "url leads to 127.0.0.1, this machine itself"),
        ("http://[::ffff:127.0.0.1]/", "this machine itself"),
        ("http://169.254.169.254/latest", "a link-local address"),
        ("http://2130706433/", "this machine itself"),
        ("https://user:secret@example.org/", "user name"),
    ] {
        let request = CreateWebhookRequest { url: url.into(), ..CreateWebhookRequest::default() };
        let refused: Status = alice.create_webhook(request).await.unwrap_err();
        assert!(refused.code() == Code::InvalidArgument && refused.message().contains(says), "{url}: {refused}");
    }
    // A name that leads here is taken, as it may lead elsewhere by then, and refused when it is sent to.
    let (webhook, _) = create(&world, "alice", "http://localhost:9/", &[]).await;
    let test = TestWebhookRequest { webhook_id: webhook.webhook_id.clone() };
    let tested = alice.test_webhook(test).await.unwrap().into_inner().delivery.unwrap();
    assert!(tested.http_status == 0 && tested.error.contains("this machine itself"), "{tested:?}");
    create(&world, "alice", "https://example.org/", &[]).await;
    let third = CreateWebhookRequest { url: "https://example.org/".into(), ..CreateWebhookRequest::default() };
    let refused = alice.create_webhook(third).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "TOO_MANY"));
    let mut bob = client(&world, "bob");
    let other = DeleteWebhookRequest { webhook_id: webhook.webhook_id.clone() };
    let refused = bob.delete_webhook(other.clone()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "WEBHOOK_NOT_FOUND"));
    assert!(bob.list_webhooks(ListWebhooksRequest {}).await.unwrap().into_inner().webhooks.is_empty());
    alice.delete_webhook(other).await.unwrap();
    assert_eq!(alice.list_webhooks(ListWebhooksRequest {}).await.unwrap().into_inner().webhooks.len(), 1);
}

/// Takes connections and never answers.
fn hanging() -> SocketAddr {
    static HANGING: OnceLock<SocketAddr> = OnceLock::new();
    *HANGING.get_or_init(|| {
        let listener = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut held = Vec::new();
            while let Ok(socket) = listener.accept() {
                held.push(socket);
            }
        });
        address
    })
}

#[tokio::test]
async fn a_receiver_that_hangs_delays_nobody_else() {
    let world = World::tuned(|config| {
        quick(config);
        config.webhooks.webhook_timeout = Duration::from_secs(30);
    })
    .await;
    for number in 0..6 {
        create(&world, "mallory", &format!("http://{}/{number}", hanging()), &[]).await;
    }
    let mut receiver = Receiver::with("not-hanging", &[]);
    create(&world, "alice", &receiver.url(), &[WebhookEvent::JobQueued]).await;
    for _ in 0..20 {
        world.submit("mallory").await;
    }
    let began = std::time::Instant::now();
    for _ in 0..5 {
        let job = world.submit("alice").await.job.unwrap().job_id;
        assert_eq!(receiver.next().await.event()["subject"], job.as_str());
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
