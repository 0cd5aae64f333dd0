//! Stories of topics over an upstream that does what the story says.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use courant_proto::v1;
use courant_runtime::supervisor::Supervisor;
use futures::future::BoxFuture;
use futures::task::noop_waker;
use futures::{FutureExt as _, StreamExt as _};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::CancellationToken;

use super::registry::Registry;
use super::scope::{Scope, TopicKey};
use super::subscribe::{SubscribeError, Subscription, Topics};
use super::subscriber::Subscriber;
use super::upstream::{Content, Grant, JobAccess, Origin, Part, SubscribeRequest, Update, Updates, Upstream};
use crate::api_error::ApiError;
use crate::config::Times;
use crate::ledger::{Bounds, Ledger, Resource};
use crate::metrics::Metrics;
use crate::outbox::flusher::Flushers;
use crate::outbox::{Outbox, Taken};
use crate::wire::encode::{Kind, Push, Slot};
use crate::wire::message::QueueStatus;
use crate::wire::service::Queue;
use crate::wire::{ServerMessage, ThrottleTier, TopicName};

type Stream = mpsc::UnboundedSender<Result<Update, ApiError>>;

/// Hands out the streams of the story, and then is unavailable. Remembers from where it was asked.
#[derive(Default)]
struct Script {
    streams: Mutex<VecDeque<Updates>>,
    asked: Mutex<Vec<String>>,
    /// How long every call takes.
    delay: Mutex<Duration>,
}

impl Script {
    /// The next stream to be opened.
    fn stream(&self) -> Stream {
        let (stream, updates) = mpsc::unbounded_channel();
        self.streams.lock().push_back(UnboundedReceiverStream::new(updates).boxed());
        stream
    }

    async fn take_time(&self) {
        let delay = *self.delay.lock();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    fn open(&self, after: &str) -> Result<Updates, ApiError> {
        self.asked.lock().push(after.to_owned());
        self.streams.lock().pop_front().ok_or_else(ApiError::unreachable)
    }
}

impl Upstream for Script {
    fn follow<'a>(&'a self, _: &'a TopicKey, after: &'a str) -> BoxFuture<'a, Result<Updates, ApiError>> {
        async move {
            self.take_time().await;
            self.open(after)
        }
        .boxed()
    }

    fn replay<'a>(&'a self, _: &'a Scope, after: &'a str) -> BoxFuture<'a, Result<Updates, ApiError>> {
        async move {
            self.take_time().await;
            self.open(after)
        }
        .boxed()
    }

    fn authorize<'a>(&'a self, request: &'a SubscribeRequest) -> BoxFuture<'a, Result<Grant, ApiError>> {
        async move {
            self.take_time().await;
            Ok(Grant::new(Scope::new(request.topic.clone(), "alice")))
        }
        .boxed()
    }

    fn head<'a>(&'a self, _: &'a Scope, _: &'a SubscribeRequest) -> BoxFuture<'a, Result<String, ApiError>> {
        async move {
            self.take_time().await;
            Ok("now".to_owned())
        }
        .boxed()
    }
}

struct Stage {
    script: Arc<Script>,
    registry: Arc<Registry>,
    topics: Arc<Topics>,
    ledger: Arc<Ledger>,
    metrics: Metrics,
    stop: CancellationToken,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Stage {
    fn new() -> Self {
        let (script, metrics, stop) = (Arc::new(Script::default()), Metrics::default(), CancellationToken::new());
        let registry = Registry::new(metrics.clone());
        let supervisor = Supervisor::new(stop.clone());
        let flushers = Arc::new(Flushers::start(&supervisor));
        let topics =
            Topics::new(registry.clone(), script.clone(), flushers, Times::default(), metrics.clone(), supervisor);
        Self { script, registry, topics, ledger: Ledger::new(Bounds::default()), metrics, stop }
    }

    fn subscriber(&self) -> Arc<Subscriber> {
        self.subscriber_with(1 << 20)
    }

    /// One for whom so many bytes may wait.
    fn subscriber_with(&self, outbox_bytes: usize) -> Arc<Subscriber> {
        let outbox = Outbox::new(outbox_bytes, self.metrics.clone());
        outbox.assign_to(&self.ledger.user("alice"));
        Subscriber::new(Arc::new(outbox))
    }

    async fn subscribe(
        &self,
        topic: TopicName,
        after: Option<&str>,
        subscriber: &Arc<Subscriber>,
    ) -> Result<Subscription, SubscribeError> {
        let request = SubscribeRequest {
            id: Some(1),
            topic,
            after: after.map(str::to_owned),
            tier: ThrottleTier::Unthrottled,
            token: String::new(),
            user: self.ledger.user("alice"),
            access: JobAccess::Own,
        };
        self.topics.clone().subscribe(subscriber.clone(), request).await
    }

    /// Waits until nothing is left of any topic.
    async fn ended(&self) {
        while self.metrics.topics.get() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!((self.ledger.used(Resource::Streams), self.metrics.subscriptions.get()), (0, 0));
    }
}

/// What was sent, once something of this type is among it.
async fn until(subscriber: &Subscriber, kind: &str) -> Vec<Value> {
    let mut all = Vec::new();
    while all.iter().all(|message: &Value| message["type"] != kind) {
        let (waker, mut batch) = (noop_waker(), VecDeque::<Utf8Bytes>::new());
        if subscriber.outbox.take(&mut batch, &Context::from_waker(&waker)) != Taken::Some {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        all.extend(batch.into_iter().map(|text| serde_json::from_str::<Value>(&text).unwrap()));
    }
    all
}

fn types(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["type"].as_str().unwrap()).collect()
}

fn notification(id: &str, cursor: &str) -> Result<Update, ApiError> {
    let kind = Kind::Durable { job: id.into(), revision: 0 };
    let text = format!("{{\"type\":\"notification\",\"id\":\"{id}\"}}");
    let push = Push::plain(&"notifications".into(), kind, &[text.as_str()]);
    Ok(Update { cursor: cursor.into(), content: Content::Event(push) })
}

fn live(cursor: &str) -> Result<Update, ApiError> {
    Ok(Update { cursor: cursor.into(), content: Content::Live(0) })
}

fn queue(waiting: u64, origin: Origin) -> Result<Update, ApiError> {
    let message = move |topic, cursor| {
        let queue = Queue::from(&v1::Queue { workers_total: waiting as i32, ..v1::Queue::default() });
        ServerMessage::QueueStatus(Box::new(QueueStatus { topic, cursor, queue }))
    };
    let part = Part { slot: Slot::Queue, hash: waiting, origin, message: Box::new(message) };
    Ok(Update::new(Content::Part(part)))
}

#[tokio::test(start_paused = true)]
async fn a_private_topic_goes_on_where_it_was_and_says_when_it_stalls() {
    let stage = Stage::new();
    let (alice, first) = (stage.subscriber(), stage.script.stream());
    first.send(notification("A", "c1")).unwrap();
    first.send(live("c1")).unwrap();
    let subscription = stage.subscribe(TopicName::Notifications, Some("c0"), &alice).await.unwrap();
    let begin = until(&alice, "live").await;
    assert_eq!(types(&begin), ["subscribed", "notification", "live"]);
    assert_eq!((&begin[0]["mode"], &begin[0]["cursor"]), (&"resumed".into(), &"c0".into()));
    assert_eq!((stage.ledger.used(Resource::Streams), stage.metrics.topics.get()), (1, 1));
    assert!(stage.registry.subscribers().is_empty(), "private topics are nobody's business");

    // One loss is silent.
    let second = stage.script.stream();
    drop(first);
    second.send(live("c1")).unwrap();
    second.send(notification("B", "c2")).unwrap();
    assert_eq!(types(&until(&alice, "notification").await), ["notification"]);
    // The second in a row is not.
    drop(second);
    assert_eq!(types(&until(&alice, "stalled").await), ["stalled"]);
    let third = stage.script.stream();
    third.send(Ok(Update::new(Content::Gap(v1::GapReason::LogReplaced)))).unwrap();
    third.send(notification("A", "d1")).unwrap();
    third.send(live("d1")).unwrap();
    assert_eq!(types(&until(&alice, "live").await), ["gap", "notification", "live"]);
    let asked = stage.script.asked.lock().clone();
    assert_eq!((&asked[..3], asked.last().unwrap().as_str()), (&["c0", "c1", "c2"].map(str::to_owned)[..], "c2"));
    drop(subscription);
    stage.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_fails_before_its_answer_is_refused_and_leaves_nothing() {
    let stage = Stage::new();
    let alice = stage.subscriber();
    for topic in [TopicName::Notifications, TopicName::Mine, TopicName::Queue] {
        let refused = stage.subscribe(topic.clone(), None, &alice).await;
        assert!(matches!(refused, Err(SubscribeError::Refused(error)) if error == ApiError::unreachable()), "{topic}");
        stage.ended().await;
    }
    // Nobody waits for an answer for ever: one that went away while it was waited for leaves nothing either.
    let silent = stage.script.stream();
    let waits = stage.subscribe(TopicName::Notifications, None, &alice);
    assert!(tokio::time::timeout(Duration::from_secs(1), waits).await.is_err());
    stage.ended().await;
    drop(silent);
}

#[tokio::test(start_paused = true)]
async fn a_join_that_is_given_up_in_whichever_moment_gives_back_its_share() {
    let mut moments = std::collections::HashSet::new();
    for topic in [TopicName::Mine, TopicName::Notifications, TopicName::Queue] {
        // The second outbox is full after a few messages, and nobody reads.
        for (outbox_bytes, moment) in [1 << 20, 200].into_iter().flat_map(|bytes| (0..12).map(move |ms| (bytes, ms))) {
            let stage = Stage::new();
            *stage.script.delay.lock() = Duration::from_millis(2);
            let streams = [stage.script.stream(), stage.script.stream()];
            for stream in &streams {
                (0..100).for_each(|number| stream.send(notification(&number.to_string(), "c")).unwrap());
            }
            let subscriber = stage.subscriber_with(outbox_bytes);
            let mut join = Box::pin(stage.subscribe(topic.clone(), Some("c0"), &subscriber));
            let given_up = tokio::time::timeout(Duration::from_millis(moment), &mut join).await.is_err();
            moments.insert((topic.to_string(), given_up, stage.ledger.used(Resource::Streams)));
            drop(join);
            stage.ended().await;
            drop((streams, subscriber));
            assert_eq!(stage.ledger.users(), 0, "{topic} {outbox_bytes} {moment}");
        }
    }
    // Among the moments are those with a stream for the topic and with one for the replay as well.
    for (topic, held) in [("mine", 0), ("mine", 2), ("notifications", 1)] {
        assert!(moments.contains(&(topic.to_owned(), true, held)), "{topic} {held} {moments:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_is_followed_once_kept_for_whoever_comes_and_known_to_be_stalled() {
    let stage = Stage::new();
    let (alice, bob, stream) = (stage.subscriber(), stage.subscriber(), stage.script.stream());
    let (first, ()) = tokio::join!(stage.subscribe(TopicName::Queue, None, &alice), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stream.send(queue(1, Origin::Server)).unwrap();
    });
    let begin = until(&alice, "live").await;
    assert_eq!(types(&begin), ["subscribed", "queue-status", "live"]);
    let known = begin[2]["cursor"].as_str().unwrap();
    let second = stage.subscribe(TopicName::Queue, Some(known), &bob).await.unwrap();
    assert_eq!(types(&until(&bob, "live").await), ["subscribed", "live"]);
    assert_eq!(stage.registry.subscribers(), [("queue".to_owned(), 2)]);
    assert_eq!(stage.script.asked.lock().len(), 1);
    // What the bridge knows by itself does not hide that the server is gone.
    drop(stream);
    let local = stage.script.stream();
    local.send(queue(1, Origin::Bridge)).unwrap();
    drop(local);
    assert!(types(&until(&alice, "stalled").await).contains(&"stalled"));
    let late = stage.subscriber();
    let third = stage.subscribe(TopicName::Queue, None, &late).await.unwrap();
    assert_eq!(types(&until(&late, "stalled").await), ["subscribed", "queue-status", "live", "stalled"]);
    let back = stage.script.stream();
    back.send(queue(2, Origin::Server)).unwrap();
    for subscriber in [&alice, &bob, &late] {
        let messages = until(subscriber, "live").await;
        assert_eq!(types(&messages)[messages.len() - 2..], ["queue-status", "live"]);
    }
    drop((first, second, third));
    stage.ended().await;
}
