//! Notices for browsers in which no page is open. The push service is one of our own; the browser's side of the sealing is
//! another implementation's in `tests/python`.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use courant_auth::Role;
use courant_proto::v1::notification_service_client::NotificationServiceClient;
use courant_proto::v1::*;
use courant_server::Config;
use tokio::sync::{Notify, mpsc};
use tonic::{Code, Status};
use web_push_native::Auth;
use web_push_native::p256::SecretKey;
use web_push_native::p256::elliptic_curve::sec1::ToEncodedPoint as _;

use crate::support::*;

type Arrived = (HeaderMap, Bytes);
/// A status and how long to wait.
type Answer = (StatusCode, Option<&'static str>);

/// Where a browser hears what arrives, and what the service answers first.
type WatchQueue = (mpsc::UnboundedSender<Arrived>, VecDeque<Answer>);
type Spoil = fn(&mut AddPushSubscriptionRequest);

#[derive(Default)]
struct Service {
    mailboxes: Mutex<HashMap<String, WatchQueue>>,
    /// Whose first answer waits, and for what.
    gates: Mutex<HashMap<String, Arc<Notify>>>,
}

/// One for all stories, on a thread of its own: it outlives each story's runtime.
fn service() -> &'static (SocketAddr, Arc<Service>) {
    static SERVICE: OnceLock<(SocketAddr, Arc<Service>)> = OnceLock::new();
    SERVICE.get_or_init(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (address, service) = (listener.local_addr().unwrap(), Arc::<Service>::default());
        let router = Router::new().route("/send/{to}", post(arrive)).with_state(service.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap();
            });
        });
        (address, service)
    })
}

async fn arrive(
    State(service): State<Arc<Service>>,
    Path(to): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = {
        let mut mailboxes = service.mailboxes.lock().unwrap();
        let Some((arrived, answers)) = mailboxes.get_mut(&to) else { return StatusCode::GONE.into_response() };
        arrived.send((headers, body)).unwrap();
        answers.pop_front()
    };
    let gate = service.gates.lock().unwrap().remove(&to);
    if let Some(gate) = gate {
        gate.notified().await;
    }
    match answer {
        None => StatusCode::CREATED.into_response(),
        Some((status, Some(wait))) => (status, [("retry-after", wait)]).into_response(),
        Some((status, None)) => status.into_response(),
    }
}

struct Browser {
    endpoint: String,
    key: SecretKey,
    auth: [u8; 16],
    arrived: mpsc::UnboundedReceiver<Arrived>,
}

impl Browser {
    /// Whose push service gives these answers first.
    fn with(name: &str, answers: &[Answer]) -> Self {
        let (address, service) = service();
        let (sender, arrived) = mpsc::unbounded_channel();
        service.mailboxes.lock().unwrap().insert(name.to_owned(), (sender, answers.iter().copied().collect()));
        let key = SecretKey::from_slice(&[name.len() as u8; 32]).unwrap();
        Self { endpoint: format!("http://{address}/send/{name}"), key, auth: [9; 16], arrived }
    }

    fn wish(&self) -> AddPushSubscriptionRequest {
        let p256dh = self.key.public_key().to_encoded_point(false).as_bytes().to_vec();
        AddPushSubscriptionRequest {
            endpoint: self.endpoint.clone(),
            p256dh: p256dh.into(),
            auth: self.auth.to_vec().into(),
        }
    }

    /// Its push service answers the first letter only when told to.
    fn held(&self) -> Arc<Notify> {
        let gate = Arc::<Notify>::default();
        let name = self.endpoint.rsplit('/').next().unwrap_or_default().to_owned();
        service().1.gates.lock().unwrap().insert(name, gate.clone());
        gate
    }

    async fn subscribe(&self, world: &World, user: &str) {
        client(world, user, &[]).add_push_subscription(self.wish()).await.unwrap();
    }

    async fn next(&mut self) -> (HeaderMap, serde_json::Value) {
        let (headers, body) = tokio::time::timeout(PATIENCE, self.arrived.recv()).await.expect("nothing came").unwrap();
        let opened = web_push_native::decrypt(body.to_vec(), &self.key, &Auth::from(self.auth)).unwrap();
        (headers, serde_json::from_slice(&opened).unwrap())
    }

    /// The title of the next.
    async fn title(&mut self) -> String {
        self.next().await.1["title"].as_str().unwrap().to_owned()
    }

    fn heard_more(&mut self) -> bool {
        self.arrived.try_recv().is_ok()
    }
}

fn client(world: &World, who: &str, roles: &[Role]) -> NotificationServiceClient<Authed> {
    NotificationServiceClient::with_interceptor(world.channel.clone(), Bearer(world.token(who, roles)))
}

async fn tell(world: &World, user: &str, title: &str) {
    let wish = NotifyRequest { user: user.into(), title: title.into(), ..NotifyRequest::default() };
    client(world, "root", &[Role::Admin]).notify(wish).await.unwrap();
}

fn on(config: &mut Config) {
    config.push.push_contact = Some("mailto:ops@example.org".into());
    config.push.push_services = vec![format!("http://{}", service().0).parse().unwrap()];
    config.push.push_per_user = 2;
}

#[tokio::test]
async fn the_end_of_a_job_reaches_a_browser_that_is_away_also_over_a_restart() {
    let world = World::tuned(on).await;
    let mut phone = Browser::with("away", &[]);
    tell(&world, "alice", "before the subscription").await;
    phone.subscribe(&world, "alice").await;
    let job = world.submit("alice").await.job.unwrap();
    let mut worker = world.worker("w").await;
    let attempt = worker.take().await.attempt.unwrap();
    worker.work_off(&attempt, 1).await;

    let (headers, letter) = phone.next().await;
    assert_eq!((&letter["kind"], &letter["jobId"]), (&"job-succeeded".into(), &job.job_id.into()), "{letter}");
    let header = |name: &str| headers[name].to_str().unwrap();
    assert_eq!((header("content-encoding"), header("ttl")), ("aes128gcm", "86400"));
    let key = client(&world, "alice", &[]).get_push_key(GetPushKeyRequest {}).await.unwrap().into_inner().public_key;
    assert_eq!((key.len(), header("authorization").starts_with("vapid t=")), (65, true));

    // Only the one under way while the process ends may come again; its id says so.
    tell(&world, "alice", "before the restart").await;
    let last = phone.next().await.1;
    drop(worker);
    let world = world.restart().await;
    let same = client(&world, "alice", &[]).get_push_key(GetPushKeyRequest {}).await.unwrap().into_inner();
    assert_eq!(same.public_key, key, "the key outlives the process");
    tell(&world, "alice", "after the restart").await;
    tell(&world, "bob", "not for alice").await;
    tell(&world, "", "for everybody").await;
    let mut after = phone.next().await.1;
    if after["notificationId"] == last["notificationId"] {
        after = phone.next().await.1;
    }
    assert_eq!(after["title"], "after the restart");
    assert_eq!(phone.title().await, "for everybody");
    assert!(!phone.heard_more());
}

#[tokio::test]
async fn a_push_service_that_fails_is_tried_again_and_a_browser_that_is_gone_is_forgotten() {
    let world = World::tuned(on).await;
    let late = (StatusCode::TOO_MANY_REQUESTS, Some("0"));
    let mut busy = Browser::with("busy", &[(StatusCode::BAD_GATEWAY, Some("0")), late, late]);
    let mut gone = Browser::with("gone-away", &[(StatusCode::GONE, None)]);
    busy.subscribe(&world, "alice").await;
    gone.subscribe(&world, "alice").await;
    tell(&world, "alice", "one").await;
    for _ in 0..4 {
        assert_eq!(busy.title().await, "one");
    }
    assert_eq!(gone.title().await, "one");
    // What is refused is not sent again, and does not hold up the next.
    let mut strict = Browser::with("strict", &[(StatusCode::PAYLOAD_TOO_LARGE, None)]);
    strict.subscribe(&world, "carol").await;
    tell(&world, "carol", "refused").await;
    assert_eq!(strict.title().await, "refused");
    tell(&world, "carol", "taken").await;
    assert_eq!(strict.title().await, "taken");
    tell(&world, "alice", "two").await;
    assert_eq!(busy.title().await, "two");
    assert!(!gone.heard_more() && !busy.heard_more() && !strict.heard_more());
}

/// A push service that takes connections and never answers, and how many it has taken.
fn hanging() -> &'static (SocketAddr, Arc<AtomicUsize>) {
    static HANGING: OnceLock<(SocketAddr, Arc<AtomicUsize>)> = OnceLock::new();
    HANGING.get_or_init(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, taken) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let count = taken.clone();
        std::thread::spawn(move || {
            let mut held = Vec::new();
            while let Ok(socket) = listener.accept() {
                held.push(socket);
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        (address, taken)
    })
}

#[tokio::test]
async fn a_user_whose_push_service_hangs_delays_nobody_else() {
    let (address, taken) = hanging();
    let world = World::tuned(|config| {
        on(config);
        config.push.push_per_user = 20;
        config.push.push_services.push(format!("http://{}", hanging().0).parse().unwrap());
    })
    .await;
    let template = Browser::with("hanging", &[]);
    for number in 0..20 {
        let wish = AddPushSubscriptionRequest { endpoint: format!("http://{address}/{number}"), ..template.wish() };
        client(&world, "mallory", &[]).add_push_subscription(wish).await.unwrap();
    }
    let mut phone = Browser::with("not-hanging", &[]);
    phone.subscribe(&world, "alice").await;
    tell(&world, "mallory", "hello").await;
    while taken.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let began = std::time::Instant::now();
    for number in 0..3 {
        tell(&world, "alice", &format!("hello {number}")).await;
        assert_eq!(phone.title().await, format!("hello {number}"));
    }
    // One answer that is waited for takes ten.
    assert!(began.elapsed() < std::time::Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(taken.load(Ordering::SeqCst) <= 4, "one user takes more than its share");
}

#[tokio::test]
async fn what_piled_up_is_told_in_one() {
    let world = World::tuned(on).await;
    // While the service does not answer, notices pile up.
    let mut phone = Browser::with("sleepy-phone", &[(StatusCode::SERVICE_UNAVAILABLE, Some("1"))]);
    let gate = phone.held();
    phone.subscribe(&world, "alice").await;
    tell(&world, "alice", "first").await;
    assert_eq!(phone.title().await, "first");
    for number in 0..4 {
        tell(&world, "alice", &format!("number {number}")).await;
    }
    gate.notify_one();
    let (_, letter) = phone.next().await;
    assert_eq!((&letter["kind"], &letter["title"]), (&"summary".into(), &"5 new notifications".into()));
    assert_eq!(letter["body"], "number 3, number 2, number 1 and 2 more");
    assert!(!phone.heard_more());
}

#[tokio::test]
async fn who_subscribes_and_to_what() {
    let world = World::tuned(on).await;
    let mut alice = client(&world, "alice", &[]);
    let browser = Browser::with("mine", &[]);
    let field = |status: Status| (status.code(), status.message().to_owned());
    let spoilt: [(Spoil, &str); 6] = [
        (|wish| wish.endpoint = "nonsense".into(), "endpoint is no URL"),
        (|wish| wish.endpoint = "http://169.254.169.254/latest".into(), "endpoint is not of a push service"),
        (|wish| wish.endpoint = format!("{}{}", wish.endpoint, "x".repeat(2048)), "endpoint has at most 2048 bytes"),
        (|wish| wish.p256dh = vec![4; 65].into(), "p256dh must be"),
        (|wish| wish.p256dh = wish.p256dh.slice(1..), "p256dh must be"),
        (|wish| wish.auth = vec![0; 17].into(), "auth must have 16 bytes"),
    ];
    for (spoil, says) in spoilt {
        let mut wish = browser.wish();
        spoil(&mut wish);
        let (code, message) = field(alice.add_push_subscription(wish).await.unwrap_err());
        assert!(code == Code::InvalidArgument && message.starts_with(says), "{code} {message}");
    }
    // Two at most: the third ends the first. What is another's stays.
    let mut browsers = [Browser::with("a", &[]), Browser::with("bb", &[]), Browser::with("ccc", &[])];
    for browser in &browsers {
        browser.subscribe(&world, "alice").await;
    }
    let mut bob = client(&world, "bob", &[]);
    let other = RemovePushSubscriptionRequest { endpoint: browsers[1].endpoint.clone() };
    bob.remove_push_subscription(other).await.unwrap();
    let own = RemovePushSubscriptionRequest { endpoint: browsers[2].endpoint.clone() };
    alice.remove_push_subscription(own).await.unwrap();
    tell(&world, "alice", "hello").await;
    assert_eq!(browsers[1].title().await, "hello");
    assert!(!browsers[0].heard_more() && !browsers[2].heard_more());

    let off = World::new().await;
    let mut alice = client(&off, "alice", &[]);
    assert!(alice.get_push_key(GetPushKeyRequest {}).await.unwrap().into_inner().public_key.is_empty());
    let refused = alice.add_push_subscription(browser.wish()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "PUSH_DISABLED"));
}
