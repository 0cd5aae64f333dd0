//! Webhooks of several servers on one log: one of them sends, and another goes on when it is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use courant_natslog::testing::{Cluster, Sync};
use courant_proto::v1::{
    CreateWebhookRequest, ListWebhooksRequest, ReplayWebhookRequest, RotateWebhookSecretRequest, WebhookEvent,
};
use courant_tests::grpc::Webhooks;
use courant_tests::server::{Server, Shared};
use courant_tests::webhooks::{Answer, FLAGS, Receiver};
use courant_tests::within;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Webhooks of one user: so many that each server has some.
const WEBHOOKS: usize = 8;

/// What has arrived: by webhook and job the ids, and how often each.
#[derive(Default)]
struct Inbox {
    ids: Mutex<BTreeMap<(String, String), Vec<String>>>,
    changed: Notify,
}

impl Inbox {
    /// Waits until each webhook has had the event of so many jobs.
    async fn until(&self, jobs: usize) -> anyhow::Result<()> {
        within("events to arrive", async {
            loop {
                let changed = self.changed.notified();
                if self.ids.lock().len() >= WEBHOOKS * jobs {
                    return Ok(());
                }
                changed.await;
            }
        })
        .await
    }

    fn repeats(&self) -> usize {
        self.ids.lock().values().map(|ids| ids.len() - 1).sum()
    }

    /// All events of one webhook and job have one id, and no two of them have the same.
    fn check_ids(&self) -> anyhow::Result<()> {
        let ids = self.ids.lock();
        let different: BTreeSet<&String> = ids.values().flatten().collect();
        ensure!(ids.values().all(|ids| ids.iter().all(|id| *id == ids[0])), "{ids:?}");
        ensure!(different.len() == ids.len(), "two events have one id");
        Ok(())
    }
}

async fn receive(inbox: &Arc<Inbox>) -> anyhow::Result<Receiver> {
    let inbox = inbox.clone();
    Receiver::start(move |arrived| {
        let event = arrived.event().unwrap_or_default();
        let job = event["subject"].as_str().unwrap_or_default().to_owned();
        inbox.ids.lock().entry((arrived.to.clone(), job)).or_default().push(arrived.id.clone());
        inbox.changed.notify_waiters();
        Answer::Status(204)
    })
    .await
}

async fn delivered(webhooks: &mut Webhooks, events: i64) -> anyhow::Result<()> {
    within("both servers to know what was sent", async {
        loop {
            let listed = webhooks.list_webhooks(ListWebhooksRequest {}).await?.into_inner().webhooks;
            if listed.len() == WEBHOOKS && listed.iter().all(|webhook| webhook.events_delivered >= events) {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn of_two_servers_one_sends_each_event_and_the_other_goes_on_when_it_is_killed() -> anyhow::Result<()> {
    let (nats, shared, inbox) = (Cluster::single(Sync::Always), Shared::new()?, Arc::<Inbox>::default());
    let flags = |name: &'static str| [FLAGS.as_slice(), &["--lease", "600ms", "--server-name", name]].concat();
    let first = Server::start(&nats, &shared, "first", &flags("first")).await?;
    let second = Server::start(&nats, &shared, "second", &flags("second")).await?;
    let receiver = receive(&inbox).await?;
    let (mut at_first, mut at_second) = (first.webhooks("alice").await?, second.webhooks("alice").await?);
    for number in 0..WEBHOOKS {
        let (url, events) = (receiver.url(&number.to_string()), vec![WebhookEvent::JobQueued.into()]);
        at_first.create_webhook(CreateWebhookRequest { url, events, description: String::new() }).await?;
    }
    for number in 0..10 {
        let server = if number % 2 == 0 { &first } else { &second };
        server.jobs("alice").await?.submit_kind("test", "a document").await?;
    }
    inbox.until(10).await?;
    delivered(&mut at_first, 10).await?;
    delivered(&mut at_second, 10).await?;
    ensure!(inbox.repeats() == 0, "something was sent twice though nothing failed");

    first.kill().await?;
    let jobs = second.jobs("alice").await?;
    for _ in 0..10 {
        jobs.submit_kind("test", "a document").await?;
    }
    inbox.until(20).await?;
    inbox.check_ids()?;

    // What one server was told holds at the other: secrets and the place of each.
    let webhooks = at_second.list_webhooks(ListWebhooksRequest {}).await?.into_inner().webhooks;
    let webhook_id = webhooks.first().context("there are some")?.webhook_id.clone();
    let rotate = RotateWebhookSecretRequest { webhook_id: webhook_id.clone(), keep_old: None };
    ensure!(at_second.rotate_webhook_secret(rotate).await?.into_inner().secret.starts_with("whsec_"), "no secret");
    let before = inbox.repeats();
    at_second.replay_webhook(ReplayWebhookRequest { webhook_id, after_cursor: String::new() }).await?;
    within("a replay", async {
        loop {
            let changed = inbox.changed.notified();
            if inbox.repeats() >= before + 20 {
                return Ok(());
            }
            changed.await;
        }
    })
    .await?;
    inbox.check_ids()
}
