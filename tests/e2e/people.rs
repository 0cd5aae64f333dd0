//! What people see is the same at all servers of a log: who is connected, what they were notified of, what they have read.

use anyhow::{Context as _, ensure};
use courant_auth::Role;
use courant_natslog::testing::{Cluster, Sync};
use courant_proto::v1::JobState;
use courant_tests::bridge::Bridge;
use courant_tests::server::{Server, Shared};
use courant_tests::worker::Worker;
use courant_tests::ws::Socket;
use serde_json::{Value, json};

/// Two servers, each with a bridge in front of it.
struct World {
    nats: Cluster,
    shared: Shared,
    servers: Vec<Server>,
    bridges: Vec<Bridge>,
}

impl World {
    async fn start() -> anyhow::Result<Self> {
        let (nats, shared) = (Cluster::single(Sync::Always), Shared::new()?);
        let mut world = Self { nats, shared, servers: Vec::new(), bridges: Vec::new() };
        for name in ["first", "second"] {
            let flags = ["--server-name", name, "--lease", "1s"];
            world.servers.push(Server::start(&world.nats, &world.shared, name, &flags).await?);
            let server = &world.servers.last().context("just started")?.grpc;
            world.bridges.push(Bridge::start(&world.shared, server, &["--presence-grace", "100ms"]).await?);
        }
        Ok(world)
    }

    async fn socket(&self, at: usize, topic: &str, after: Option<&str>) -> anyhow::Result<(Socket, Value)> {
        let mut socket = self.bridges[at].socket("alice").await?;
        let subscribed = socket.subscribe(topic, after).await?;
        Ok((socket, subscribed))
    }
}

fn count(message: &Value) -> Option<usize> {
    (message["type"] == "devices" && message["complete"] == true)
        .then(|| message["devices"].as_array().map_or(0, Vec::len))
}

fn is_about(message: &Value, title: &str) -> bool {
    message["type"] == "notification" && message["notification"]["title"] == title
}

#[tokio::test]
async fn devices_at_the_bridges_of_all_servers_are_shown_until_their_server_is_gone() -> anyhow::Result<()> {
    let mut world = World::start().await?;
    let (mut laptop, _) = world.socket(0, "devices", None).await?;
    laptop.until(|message| count(message) == Some(1)).await?;
    let (mut phone, _) = world.socket(1, "devices", None).await?;
    laptop.until(|message| count(message) == Some(2)).await?;
    phone.until(|message| count(message) == Some(2)).await?;
    let (mut tablet, _) = world.socket(1, "devices", None).await?;
    laptop.until(|message| count(message) == Some(3)).await?;
    tablet.until(|message| count(message) == Some(3)).await?;
    drop(tablet);
    laptop.until(|message| count(message) == Some(2)).await?;
    // A server that begins later learns of those who are there.
    let third =
        Server::start(&world.nats, &world.shared, "third", &["--server-name", "third", "--lease", "1s"]).await?;
    let bridge = Bridge::start(&world.shared, &third.grpc, &[]).await?;
    let mut watch = bridge.socket("alice").await?;
    watch.subscribe("devices", None).await?;
    watch.until(|message| count(message) == Some(3)).await?;
    laptop.until(|message| count(message) == Some(3)).await?;
    // With their server its bridges are gone, for all others.
    world.servers.pop().context("there are two")?.kill().await?;
    laptop.until(|message| count(message) == Some(2)).await?;
    watch.until(|message| count(message) == Some(2)).await?;
    Ok(())
}

#[tokio::test]
async fn notifications_are_made_read_and_resumed_at_any_server() -> anyhow::Result<()> {
    let world = World::start().await?;
    let (mut laptop, _) = world.socket(0, "notifications", None).await?;
    let (mut phone, _) = world.socket(1, "notifications", None).await?;
    let root = world.bridges[1].web("root", &[Role::Admin])?;
    let message = json!({"title": "maintenance at noon", "severity": "warning", "requestId": "noon"});
    for _ in 0..2 {
        let sent = root.post_json("/v1/notifications", &message).await?;
        ensure!(sent.status == 200, "{sent:?}");
    }
    for device in [&mut laptop, &mut phone] {
        device.until(|message| is_about(message, "maintenance at noon")).await?;
    }
    let at_noon = laptop.cursor().context("notifications have cursors")?;

    // A job that ends at one server is told of at both, and read once.
    let mut working =
        Worker::connect(&world.servers[0].grpc, &|name| world.shared.token(name, &[Role::Worker]), "test", 1)?;
    let jobs = world.servers[1].jobs("alice").await?;
    let (job, _) = jobs.submit_kind("test", "report.pdf").await?;
    let work = working.next().await?;
    work.task.plan(1).await?;
    work.export("the text").await?;
    work.succeed();
    ensure!(jobs.ended(&job.job_id).await?.state() == JobState::Succeeded, "it failed");
    let told = laptop.until(|message| is_about(message, "report.pdf succeeded")).await?;
    phone.until(|message| is_about(message, "report.pdf succeeded")).await?;
    ensure!(told["unread"] == 2, "{told}");
    let read = phone.ask(json!({"type": "mark-read", "ids": []})).await?;
    ensure!(read["type"] == "ok", "{read}");
    laptop.until(|message| message["type"] == "notification" && message["unread"] == 0).await?;

    // A cursor of the first server is good at the second one, and at one that begins with nothing.
    let third =
        Server::start(&world.nats, &world.shared, "third", &["--server-name", "third", "--lease", "1s"]).await?;
    let fresh = Bridge::start(&world.shared, &third.grpc, &[]).await?;
    for bridge in [&world.bridges[1], &fresh] {
        let mut again = bridge.socket("alice").await?;
        ensure!(again.subscribe("notifications", Some(&at_noon)).await?["mode"] == "resumed", "not resumed");
        // A server that has just begun may tell of it once as it was, before it was read.
        let is_read = |message: &Value| message["unread"] == 0 && !message["notification"]["readTime"].is_null();
        again.until(|message| is_about(message, "report.pdf succeeded") && is_read(message)).await?;
    }
    let listed = fresh.web("alice", &[])?.get("/v1/notifications").await?.json()?;
    ensure!(listed["notifications"].as_array().map(Vec::len) == Some(2) && listed["unread"] == 0, "{listed}");
    Ok(())
}
