//! A push consumer that delivers messages in order, or says that it cannot any more; then its user makes a new one.
//!
//! Its server sends a heartbeat each second in which it has nothing else to say, so that one which is gone is noticed soon.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, push};
use async_nats::{HeaderMap, Message, StatusCode, Subscriber, header};
use futures::{FutureExt as _, StreamExt as _};

use crate::server::{Server, Unavailable};

const HEARTBEAT: Duration = Duration::from_secs(1);
/// So long a silence means that the consumer is gone.
const SILENCE: Duration = Duration::from_millis(2_500);
/// Messages of a page, at most.
const PAGE: usize = 512;
/// Where a consumer waits for the client, it names what wakes it here.
const STALLED: &str = "Nats-Consumer-Stalled";

/// A consumer and the messages it delivers.
#[derive(Debug)]
pub(crate) struct Tail {
    server: Server,
    messages: Subscriber,
    /// How many messages matched when it was made.
    pub(crate) pending: u64,
    delivered: u64,
}

impl Tail {
    /// `headers_only`: without payloads.
    pub(crate) async fn open(
        server: &Server,
        filter_subjects: Vec<String>,
        deliver_policy: DeliverPolicy,
        headers_only: bool,
    ) -> Result<Self, Unavailable> {
        let inbox = server.client.new_inbox();
        // Before the consumer, so that nothing is delivered to nobody.
        let subscribed = server.client.subscribe(inbox.clone()).await;
        let messages = subscribed.map_err(|error| Unavailable(error.to_string()))?;
        let config = push::Config {
            deliver_subject: inbox,
            description: Some("follows the log".into()),
            deliver_policy,
            ack_policy: AckPolicy::None,
            max_deliver: 1,
            filter_subjects,
            headers_only,
            flow_control: true,
            idle_heartbeat: HEARTBEAT,
            num_replicas: 1,
            memory_storage: true,
            inactive_threshold: Duration::from_secs(30),
            ..push::Config::default()
        };
        let made = server.stream.create_consumer(config).await;
        let consumer = made.map_err(|error| Unavailable(format!("no consumer: {error}")))?;
        let info = consumer.cached_info();
        let pending = info.num_pending + info.delivered.consumer_sequence;
        Ok(Self { server: server.clone(), messages, pending, delivered: 0 })
    }

    /// What is there next, with revisions; empty when there has been nothing for a while. An error is the end of it.
    pub(crate) async fn next(&mut self) -> Result<Vec<(u64, Message)>, Unavailable> {
        let mut page = Vec::new();
        loop {
            let arrived = tokio::time::timeout(SILENCE, self.messages.next()).await;
            let Ok(Some(message)) = arrived else { return Err(Unavailable("the consumer is silent".into())) };
            let idle = message.status.is_some() && message.reply.is_none();
            page.extend(self.accept(message).await?);
            while page.len() < PAGE
                && let Some(ready) = self.messages.next().now_or_never()
            {
                let message = ready.ok_or_else(|| Unavailable("the connection was closed".into()))?;
                page.extend(self.accept(message).await?);
            }
            if !page.is_empty() || idle {
                return Ok(page);
            }
        }
    }

    /// The message, with its revision, unless it is one of the consumer itself.
    async fn accept(&mut self, message: Message) -> Result<Option<(u64, Message)>, Unavailable> {
        if message.status == Some(StatusCode::IDLE_HEARTBEAT) {
            self.control(&message).await?;
            return Ok(None);
        }
        if let Some(status) = message.status {
            return Err(Unavailable(format!("the consumer ended: {status}")));
        }
        let message = async_nats::jetstream::Message { message, context: self.server.context.clone() };
        let info = message.info().map_err(|error| Unavailable(error.to_string()))?;
        self.delivered += 1;
        if info.consumer_sequence != self.delivered {
            return Err(Unavailable("messages went astray".into()));
        }
        let revision = info.stream_sequence;
        Ok(Some((revision, message.message)))
    }

    /// A heartbeat, or a request to say that the client keeps up.
    async fn control(&self, message: &Message) -> Result<(), Unavailable> {
        let value = |name: &str| message.headers.as_ref().and_then(|headers: &HeaderMap| headers.get(name));
        let resume = message.reply.as_ref().map(ToString::to_string);
        if let Some(resume) = resume.or_else(|| value(STALLED).map(ToString::to_string)) {
            let sent = self.server.client.publish(resume, bytes::Bytes::new()).await;
            return sent.map_err(|error| Unavailable(error.to_string()));
        }
        let last = message.headers.as_ref().and_then(|headers| headers.get(header::NATS_LAST_CONSUMER));
        let last = last.and_then(|last| last.as_str().parse::<u64>().ok());
        if last.is_some_and(|last| last != self.delivered) {
            return Err(Unavailable("messages were lost".into()));
        }
        Ok(())
    }
}
