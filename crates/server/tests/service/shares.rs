//! What users share: the operator says how much, and one user at the limit leaves the rest to the others.

use courant_auth::Role;
use courant_proto::v1::notification_service_client::NotificationServiceClient;
use courant_proto::v1::presence_service_client::PresenceServiceClient;
use courant_proto::v1::queue_service_client::QueueServiceClient;
use courant_proto::v1::*;
use tonic::{Code, Status, Streaming};

use crate::support::*;

async fn queue(world: &World, who: &str) -> Result<Streaming<WatchQueueResponse>, Status> {
    let token = Bearer(world.token(who, &[]));
    let mut client = QueueServiceClient::with_interceptor(world.channel.clone(), token);
    Ok(client.watch_queue(WatchQueueRequest::default()).await?.into_inner())
}

fn too_many<T: std::fmt::Debug>(refused: Result<T, Status>) {
    let refused = refused.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "TOO_MANY"), "{refused}");
}

#[tokio::test]
async fn the_operator_says_how_many_watches_of_states_there_may_be() {
    let world = World::tuned(|config| {
        config.shares.state_watches_per_user = 1;
        config.shares.max_state_watches = 2;
    })
    .await;
    let first = queue(&world, "alice").await.unwrap();
    too_many(queue(&world, "alice").await);
    let _bob = queue(&world, "bob").await.unwrap();
    too_many(queue(&world, "carol").await);
    drop(first);
    let again = async {
        while queue(&world, "carol").await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("what was given back can be had");
}

#[tokio::test]
async fn the_operator_says_how_many_kinds_workers_may_name() {
    let world = World::tuned(|config| config.shares.worker_kinds_per_user = 64).await;
    let kinds = |most: usize| (0..most).map(|n| format!("kind-{n}")).collect::<Vec<_>>();
    let greet = |id: &str, kinds| {
        let hello = Hello { worker_id: id.into(), kinds, slots: 1, ..Hello::default() };
        work_request::Message::Hello(hello)
    };
    let mut first = world.stream().await;
    first.send(greet("a", kinds(64))).await;
    first.order().await;
    let mut second = world.stream().await;
    second.send(greet("b", kinds(1))).await;
    too_many::<()>(Err(second.end().await));
}

#[tokio::test]
async fn watches_of_notices_are_counted_as_streams() {
    let world = World::tuned(|config| config.streams_per_user = 2).await;
    let watch = |who: &'static str, user: &str, roles: &[Role]| {
        let token = Bearer(world.token(who, roles));
        let mut client = NotificationServiceClient::with_interceptor(world.channel.clone(), token);
        let request = WatchNotificationsRequest { user: user.into(), ..Default::default() };
        async move { client.watch_notifications(request).await.map(tonic::Response::into_inner) }
    };
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(watch("alice", "", &[]).await.unwrap());
    }
    too_many(watch("alice", "", &[]).await);
    open.push(watch("bob", "", &[]).await.unwrap());
    for _ in 0..3 {
        open.push(watch("bridge", "alice", &[Role::Bridge]).await.unwrap());
    }
}

#[tokio::test]
async fn watches_of_bridges_are_counted_as_those_of_other_states() {
    let world = World::tuned(|config| config.shares.state_watches_per_user = 1).await;
    let watch = |who: &'static str, role| {
        let token = Bearer(world.token(who, &[role]));
        let mut client = PresenceServiceClient::with_interceptor(world.channel.clone(), token);
        async move { client.watch_bridges(WatchBridgesRequest::default()).await.map(tonic::Response::into_inner) }
    };
    let mut open = vec![watch("root", Role::Admin).await.unwrap()];
    too_many(watch("root", Role::Admin).await);
    open.push(watch("other", Role::Admin).await.unwrap());
    for _ in 0..2 {
        open.push(watch("bridge", Role::Bridge).await.unwrap());
    }
}
