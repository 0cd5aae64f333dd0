//! Receivers of webhooks, which answer badly until it is calm, and write down what arrives and what they said.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use courant_proto::v1::webhook_service_client::WebhookServiceClient;
use courant_proto::v1::{CreateWebhookRequest, GetWebhookRequest};
use fastrand::Rng;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::super::record::{Record, RecordWriter};
use super::grpc::{Grpc, timely};
use super::{User, World};
use crate::webhooks::{Answer, Arrived, Receiver};

/// How long nothing may arrive until it counts as done.
const QUIET: Duration = Duration::from_secs(3);
/// Longer than a server waits for an answer.
const HANG: Duration = Duration::from_secs(4);

/// A webhook of each user, all at one receiver.
pub struct Webhooks {
    world: Arc<World>,
    _receiver: Receiver,
    /// By user, the ids of the webhooks.
    made: HashMap<String, String>,
    arrived: Arc<AtomicU64>,
    writer: RecordWriter,
}

/// By user.
type Secrets = Arc<Mutex<HashMap<String, String>>>;

impl Webhooks {
    /// Makes them, before anything is submitted.
    pub async fn start(world: &Arc<World>) -> anyhow::Result<Self> {
        let (secrets, arrived) = (Secrets::default(), Arc::<AtomicU64>::default());
        let writer = world.folder.writer("webhooks")?;
        let receiver = receive(world, secrets.clone(), arrived.clone(), writer.clone()).await?;
        let mut made = HashMap::new();
        for user in &world.users {
            let (id, secret) = create(world, user, &receiver.url(&user.name)).await?;
            secrets.lock().insert(user.name.clone(), secret);
            made.insert(user.name.clone(), id);
        }
        Ok(Self { world: world.clone(), _receiver: receiver, made, arrived, writer })
    }

    /// Waits until everything has arrived, or no longer.
    pub async fn finish(&self, patience: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            let before = self.arrived.load(Ordering::Relaxed);
            sleep(QUIET).await;
            if before == self.arrived.load(Ordering::Relaxed) && self.nothing_waits().await {
                break;
            }
        }
        Ok(self.writer.flush()?)
    }

    async fn nothing_waits(&self) -> bool {
        for user in &self.world.users {
            let Ok(grpc) = Grpc::new(&self.world.grpc, user) else { return false };
            let webhook_id = self.made[&user.name].clone();
            let mut client = WebhookServiceClient::new(grpc.channel());
            let asked = timely(async { client.get_webhook(grpc.with(GetWebhookRequest { webhook_id })).await }).await;
            let waiting = asked.ok().and_then(|answer| answer.into_inner().webhook).map(|webhook| webhook.jobs_waiting);
            if waiting != Some(0) {
                return false;
            }
        }
        true
    }
}

async fn create(world: &World, user: &User, url: &str) -> anyhow::Result<(String, String)> {
    let grpc = Grpc::new(&world.grpc, user)?;
    let request = CreateWebhookRequest { url: url.to_owned(), ..CreateWebhookRequest::default() };
    let mut client = WebhookServiceClient::new(grpc.channel());
    let made = timely(async { client.create_webhook(grpc.with(request)).await }).await?.into_inner();
    Ok((made.webhook.unwrap_or_default().webhook_id, made.secret))
}

async fn receive(
    world: &Arc<World>,
    secrets: Secrets,
    arrived: Arc<AtomicU64>,
    writer: RecordWriter,
) -> anyhow::Result<Receiver> {
    let (calm, rng) = (world.calm.clone(), Mutex::new(super::super::plan::rng(world.seed, "webhooks")));
    Receiver::start(move |event| {
        let answer = if calm.is_cancelled() { Answer::Status(204) } else { bad_answer(&mut rng.lock()) };
        arrived.fetch_add(1, Ordering::Relaxed);
        writer.write(record(event, &secrets, answer));
        answer
    })
    .await
}

/// Two of three are received.
fn bad_answer(rng: &mut Rng) -> Answer {
    match rng.u32(0..24) {
        0..=14 => Answer::Status(200),
        15 => Answer::Die,
        16 | 17 => Answer::Status(500),
        18 => Answer::Later(503, 1),
        19 => Answer::Later(429, 0),
        20 => Answer::Redirect,
        21 => Answer::Status(404),
        22 => Answer::Later(503, 1_000_000),
        _ => Answer::Hang(HANG),
    }
}

fn record(event: &Arrived, secrets: &Secrets, answer: Answer) -> Record {
    let body = event.event().unwrap_or_default();
    let secret = secrets.lock().get(&event.to).cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Record::Hook {
        user: event.to.clone(),
        id: event.id.clone(),
        job: text(&body["subject"]),
        owner: text(&body["data"]["owner"]),
        rev: body["data"]["revision"].as_i64().unwrap_or_default(),
        signed: event.is_signed_by(&secret).unwrap_or(false),
        received: answer.is_received(),
    }
}
