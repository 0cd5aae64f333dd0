//! What people are told, and what they have read of it.

use courant_auth::Role;
use courant_proto::v1::notification_service_client::NotificationServiceClient;
use courant_proto::v1::*;
use tonic::{Code, Streaming};

use crate::support::*;

type Client = NotificationServiceClient<Authed>;
type Watch = Streaming<WatchNotificationsResponse>;

fn client(world: &World, who: &str, roles: &[Role]) -> Client {
    NotificationServiceClient::with_interceptor(world.channel.clone(), Bearer(world.token(who, roles)))
}

async fn watch(world: &World, who: &str, after: &str) -> Watch {
    let request = WatchNotificationsRequest { after_cursor: after.into(), ..Default::default() };
    client(world, who, &[]).watch_notifications(request).await.unwrap().into_inner()
}

async fn next(watch: &mut Watch) -> WatchNotificationsResponse {
    tokio::time::timeout(PATIENCE, watch.message()).await.expect("nothing came").unwrap().expect("the watch ended")
}

/// The next message that has notices.
async fn fresh(watch: &mut Watch) -> WatchNotificationsResponse {
    loop {
        let message = next(watch).await;
        if !message.notifications.is_empty() {
            return message;
        }
    }
}

fn to(user: &str, title: &str) -> NotifyRequest {
    NotifyRequest { user: user.into(), title: title.into(), ..NotifyRequest::default() }
}

#[tokio::test]
async fn the_end_of_a_job_is_told_once_also_over_a_restart() {
    let world = World::new().await;
    let mut received = watch(&world, "alice", "").await;
    let first = next(&mut received).await;
    assert!(first.whole && first.live && first.notifications.is_empty());
    let job = world.submit("alice").await.job.unwrap();
    let mut worker = world.worker("w").await;
    let attempt = worker.take().await.attempt.unwrap();
    worker.work_off(&attempt, 1).await;
    let message = fresh(&mut received).await;
    let notice = &message.notifications[0];
    assert_eq!((notice.kind.as_str(), notice.job_id.as_str()), ("job-succeeded", job.job_id.as_str()));
    assert_eq!((message.unread, notice.read_time), (1, None));
    drop((worker, received));

    let world = world.restart().await;
    // From the cursor nothing was missed; from the start there is the one notice.
    let resumed = next(&mut watch(&world, "alice", &message.cursor).await).await;
    assert!(!resumed.whole && resumed.live && resumed.notifications.is_empty(), "{resumed:?}");
    let whole = next(&mut watch(&world, "alice", "").await).await;
    assert_eq!((whole.notifications.len(), whole.unread), (1, 1));
    assert!(next(&mut watch(&world, "alice", "n0000-7").await).await.whole);
}

#[tokio::test]
async fn what_one_device_reads_is_read_on_the_others_and_by_nobody_else() {
    let world = World::new().await;
    let (mut phone, mut bob) = (watch(&world, "alice", "").await, watch(&world, "bob", "").await);
    next(&mut phone).await;
    next(&mut bob).await;
    let mut admin = client(&world, "root", &[Role::Admin]);
    admin.notify(to("", "maintenance at noon")).await.unwrap();
    let received = fresh(&mut phone).await;
    let id = received.notifications[0].notification_id.clone();
    assert_eq!(fresh(&mut bob).await.notifications[0].title, "maintenance at noon");

    let mut laptop = client(&world, "alice", &[]);
    let request = MarkNotificationsReadRequest { notification_ids: vec![id.clone(), "unknown".into()] };
    assert_eq!(laptop.mark_notifications_read(request).await.unwrap().into_inner().unread, 0);
    let read = fresh(&mut phone).await;
    assert_eq!((read.notifications[0].notification_id.as_str(), read.unread), (id.as_str(), 0));
    assert!(read.notifications[0].read_time.is_some());
    let bobs = client(&world, "bob", &[]).list_notifications(ListNotificationsRequest::default()).await;
    assert_eq!(bobs.unwrap().into_inner().unread, 1);
    // Away meanwhile: both, in their newest shape.
    let missed = fresh(&mut watch(&world, "alice", &first_cursor(&received)).await).await;
    assert!(missed.notifications[0].read_time.is_some());
}

/// The cursor of the state before a message.
fn first_cursor(message: &WatchNotificationsResponse) -> String {
    let (store, change) = message.cursor.rsplit_once('-').unwrap();
    format!("{store}-{}", change.parse::<i64>().unwrap() - 1)
}

#[tokio::test]
async fn who_may_say_what_and_a_repeat_is_the_same_notice() {
    let world = World::new().await;
    for (roles, user) in [(&[][..], "bob"), (&[], "alice"), (&[Role::Service], ""), (&[Role::Bridge], "bob")] {
        let refused = client(&world, "alice", roles).notify(to(user, "hello")).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{roles:?} {user}");
    }
    let mut service = client(&world, "mailer", &[Role::Service]);
    for bad in [to("bob", " "), to("bob", &"x".repeat(201))] {
        assert_eq!(service.notify(bad).await.unwrap_err().code(), Code::InvalidArgument);
    }
    let request = NotifyRequest { request_id: "r-1".into(), ..to("bob", "your invoice") };
    for _ in 0..2 {
        let kept = service.notify(request.clone()).await.unwrap().into_inner().notification.unwrap();
        assert_eq!((kept.kind.as_str(), kept.severity()), ("message", NotificationSeverity::Info));
    }
    let bobs = client(&world, "bob", &[]).list_notifications(ListNotificationsRequest::default()).await;
    assert_eq!(bobs.unwrap().into_inner().notifications.len(), 1);
    let request = WatchNotificationsRequest { user: "bob".into(), ..Default::default() };
    let refused = client(&world, "alice", &[Role::Admin]).watch_notifications(request.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(client(&world, "edge", &[Role::Bridge]).watch_notifications(request).await.is_ok());
}
