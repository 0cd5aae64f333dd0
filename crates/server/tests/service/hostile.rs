//! One user does their worst, and another must not notice: each attack here stopped the service for everybody once.

use std::time::{Duration, Instant};

use courant_auth::Role;
use courant_proto::v1::job_service_client::JobServiceClient;
use courant_proto::v1::queue_service_client::QueueServiceClient;
use courant_proto::v1::submit_job_request::Part;
use courant_proto::v1::worker_service_client::WorkerServiceClient;
use courant_proto::v1::*;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::support::*;

/// A second user's requests take less, whatever the first one does. Generous: without an attack they take milliseconds.
const UNNOTICED: Duration = Duration::from_secs(1);

/// A second user, on a connection of their own.
struct Second(JobServiceClient<Authed>);

impl Second {
    async fn of(world: &World) -> Self {
        Self(JobServiceClient::with_interceptor(connection(world).await, Bearer(world.token("bob", &[]))))
    }

    /// Submits, reads, lists and cancels. Gives back what the slowest of these took.
    async fn slowest(&mut self) -> Duration {
        let mut slowest = Duration::ZERO;
        for _ in 0..5 {
            let mut begun = Instant::now();
            let mut lap = || {
                slowest = slowest.max(begun.elapsed());
                begun = Instant::now();
            };
            let parts = [Part::Header(SubmitJobHeader::default()), Part::Chunk(vec![b'x'].into())];
            let parts = parts.map(|part| SubmitJobRequest { part: Some(part) });
            let made = self.0.submit_job(tokio_stream::iter(parts)).await.unwrap();
            lap();
            let job_id = made.into_inner().job.unwrap().job_id;
            self.0.get_job(GetJobRequest { job_id: job_id.clone() }).await.unwrap();
            lap();
            self.0.list_jobs(ListJobsRequest::default()).await.unwrap();
            lap();
            self.0.cancel_job(CancelJobRequest { job_id }).await.unwrap();
            lap();
        }
        slowest
    }

    /// The times are printed: compare "quiet" with the attack.
    async fn notices_nothing(&mut self, when: &str) {
        let slowest = self.slowest().await;
        println!("the second user's slowest call, {when}: {slowest:?}");
        assert!(slowest < UNNOTICED, "the second user waits {slowest:?}, {when}");
    }
}

/// Another connection, as another machine has.
async fn connection(world: &World) -> Channel {
    Endpoint::from_shared(world.address.clone()).unwrap().connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_that_look_at_everything_hold_nobody_up_and_end_in_pages() {
    let world = World::new().await;
    let labels = (0..32).map(|n| (format!("l{n}"), "É".repeat(127))).collect::<std::collections::HashMap<_, _>>();
    let mut submits = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let (mut alice, labels) = (world.jobs("alice"), labels.clone());
        submits.spawn(async move {
            for _ in 0..50 {
                let header = SubmitJobHeader { labels: labels.clone(), ..SubmitJobHeader::default() };
                let parts = [Part::Header(header), Part::Chunk(vec![b'x'].into())];
                let parts = parts.map(|part| SubmitJobRequest { part: Some(part) });
                alice.submit_job(tokio_stream::iter(parts)).await.unwrap();
            }
        });
    }
    submits.join_all().await;
    let mut bob = Second::of(&world).await;
    bob.notices_nothing("quiet").await;
    // A word that is in no field: every field is searched for each word.
    let filter = format!("{}ü", "ü OR ".repeat(408));
    let request = ListJobsRequest { filter, page_size: 1000, ..ListJobsRequest::default() };
    let mut attack = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (mut alice, request) = (world.jobs("alice"), request.clone());
        attack.spawn(async move {
            let Ok(answer) = alice.list_jobs(request).await else { return };
            let page = answer.into_inner();
            assert!(page.jobs.is_empty() && !page.next_page_token.is_empty(), "a call has a budget");
        });
    }
    bob.notices_nothing("while filters are asked").await;
    attack.join_next().await.unwrap().unwrap();
    attack.abort_all();
    // A modest filter over the same jobs finds what it looks for, over as many pages as it takes.
    let mut request = ListJobsRequest { filter: "é AND state = QUEUED".into(), ..ListJobsRequest::default() };
    let mut found = 0;
    loop {
        let page = world.jobs("alice").list_jobs(request.clone()).await.unwrap().into_inner();
        found += page.jobs.len();
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(found, 600);
}

#[tokio::test]
async fn a_page_of_large_jobs_fits_into_a_message_of_any_client() {
    let world = World::new().await;
    let labels: std::collections::HashMap<_, _> = (0..32).map(|n| (format!("{n:063}"), "v".repeat(255))).collect();
    for _ in 0..400 {
        let header = SubmitJobHeader { labels: labels.clone(), ..SubmitJobHeader::default() };
        world.submit_with("alice", header, b"x").await.unwrap();
    }
    let mut request = ListJobsRequest { page_size: 1000, ..ListJobsRequest::default() };
    let (mut found, mut pages) = (0, 0);
    loop {
        // The default limit of a client is 4 MiB.
        let page = world.jobs("alice").list_jobs(request.clone()).await.unwrap().into_inner();
        (found, pages) = (found + page.jobs.len(), pages + 1);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(found, 400);
    assert!(pages > 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_stop_arriving_are_ended() {
    let world = World::tuned(|config| {
        config.upload_idle = Duration::from_secs(3);
        (config.upload_memory, config.upload_memory_per_user) = (256 << 20, 64 << 20);
    })
    .await;
    let mut bob = Second::of(&world).await;
    bob.notices_nothing("quiet").await;
    let (mut open, mut calls) = (Vec::new(), tokio::task::JoinSet::new());
    for _ in 0..200 {
        let (sender, parts) = mpsc::channel(8);
        let mut alice = world.jobs("alice");
        calls.spawn(async move { alice.submit_job(ReceiverStream::new(parts)).await.unwrap_err() });
        let header = Part::Header(SubmitJobHeader::default());
        sender.send(SubmitJobRequest { part: Some(header) }).await.unwrap();
        for _ in 0..5 {
            let chunk = Part::Chunk(vec![b'x'; 1 << 20].into());
            let _ = sender.try_send(SubmitJobRequest { part: Some(chunk) });
        }
        open.push(sender);
    }
    bob.notices_nothing("while documents stop").await;
    let mut reasons = std::collections::BTreeMap::<String, u32>::new();
    while let Some(ended) = tokio::time::timeout(PATIENCE, calls.join_next()).await.expect("they are ended") {
        *reasons.entry(reason(&ended.unwrap())).or_default() += 1;
    }
    assert!(reasons.keys().all(|reason| reason == "UPLOAD_STALLED" || reason == "TOO_MANY"), "{reasons:?}");
    assert!(reasons.contains_key("UPLOAD_STALLED"), "{reasons:?}");
    let _ = open;
}

/// A bridge sends the uploads of all its users over one connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_wait_for_memory_hold_up_nothing_else_on_their_connection() {
    let world = World::tuned(|config| {
        config.upload_idle = Duration::from_secs(3600);
        config.upload_memory_per_user = 64 << 20;
    })
    .await;
    let shared = connection(&world).await;
    let (mut open, mut calls) = (Vec::new(), tokio::task::JoinSet::new());
    // Each takes 1.25 MiB, so the last 29 wait.
    for _ in 0..80 {
        let (sender, parts) = mpsc::channel(8);
        let mut alice = JobServiceClient::with_interceptor(shared.clone(), Bearer(world.token("alice", &[])));
        calls.spawn(async move { alice.submit_job(ReceiverStream::new(parts)).await });
        let chunk = Part::Chunk(vec![b'x'; 256 << 10].into());
        for part in [Part::Header(SubmitJobHeader::default()), chunk] {
            sender.send(SubmitJobRequest { part: Some(part) }).await.unwrap();
        }
        open.push(sender);
    }
    let mut bob = Second(JobServiceClient::with_interceptor(shared, Bearer(world.token("bob", &[]))));
    tokio::time::timeout(PATIENCE, bob.notices_nothing("while documents wait on the same connection")).await.unwrap();
    assert!(calls.try_join_next().is_none(), "one was taken or refused");
}

#[tokio::test]
async fn a_document_that_trickles_is_ended() {
    let world = World::tuned(|config| config.upload_idle = Duration::from_millis(300)).await;
    let (sender, parts) = mpsc::channel(8);
    let mut alice = world.jobs("alice");
    let call = tokio::spawn(async move { alice.submit_job(ReceiverStream::new(parts)).await.unwrap_err() });
    let header = Part::Header(SubmitJobHeader::default());
    sender.send(SubmitJobRequest { part: Some(header) }).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, call).await.expect("it is ended").unwrap();
    assert_eq!((ended.code(), reason(&ended).as_str()), (Code::DeadlineExceeded, "UPLOAD_STALLED"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_watches_of_the_queue_delay_nobody() {
    let world = World::new().await;
    for kind in 0..300 {
        let header = SubmitJobHeader { kind: format!("kind-{kind}"), ..SubmitJobHeader::default() };
        world.submit_with("carol", header, b"x").await.unwrap();
    }
    let mut bob = Second::of(&world).await;
    bob.notices_nothing("quiet").await;
    let token = Bearer(world.token("alice", &[]));
    let mut queue = QueueServiceClient::with_interceptor(connection(&world).await, token);
    let (mut streams, mut refused) = (Vec::new(), 0);
    for _ in 0..2_000 {
        let min_interval = Some(prost_types::Duration { seconds: 0, nanos: 100_000_000 });
        match queue.watch_queue(WatchQueueRequest { min_interval }).await {
            Ok(stream) => streams.push(stream),
            Err(status) => {
                assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "TOO_MANY"));
                refused += 1;
            }
        }
    }
    assert_eq!((streams.len(), refused), (64, 1_936));
    bob.notices_nothing("while the queue is watched").await;
    drop(streams);
    // What is given back can be had again.
    let back = async {
        while queue.watch_queue(WatchQueueRequest::default()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, back).await.expect("streams that ended are not counted any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_workers_of_many_kinds_delay_nobody_and_leave_nothing_behind() {
    let world = World::new().await;
    let mut bob = Second::of(&world).await;
    bob.notices_nothing("quiet").await;
    let token = Bearer(world.token("mallory", &[Role::Worker]));
    let mut client = WorkerServiceClient::with_interceptor(connection(&world).await, token);
    let mut streams = Vec::new();
    for worker in 0..300 {
        let (out, inbox) = mpsc::channel(4);
        let kinds = (0..64).map(|kind| format!("k-{worker}-{kind}")).collect();
        let hello = Hello { worker_id: format!("m{worker}"), kinds, slots: 1, ..Hello::default() };
        out.send(WorkRequest { message: Some(work_request::Message::Hello(hello)) }).await.unwrap();
        streams.push((client.work(ReceiverStream::new(inbox)).await.unwrap(), out));
    }
    bob.notices_nothing("while workers come").await;
    let refused = match streams.last_mut() {
        Some((last, _)) => last.get_mut().message().await.unwrap_err(),
        None => unreachable!(),
    };
    assert_eq!(reason(&refused), "TOO_MANY", "16,384 kinds are the share of one user");
    drop(streams);
    let mut honest = world.worker("honest").await;
    let id = world.submit("bob").await.job.unwrap().job_id;
    assert_eq!(honest.take_while_alive().await.attempt.unwrap().job_id, id);
    let begun = Instant::now();
    drop(honest);
    world.restart().await;
    assert!(begun.elapsed() < Duration::from_secs(10), "it stops as ever: {:?}", begun.elapsed());
}

#[tokio::test]
async fn only_the_worker_that_holds_an_attempt_reaches_its_document_and_artifacts() {
    let world = World::new().await;
    world.submit_with("alice", markdown_only(), b"secret").await.unwrap();
    let mut holder = world.worker("holder").await;
    let at = holder.take().await.attempt.unwrap();
    let mut thief = world.worker("thief").await;
    let stolen = AttemptRef { credential: String::new(), ..at.clone() };
    let guessed = AttemptRef { credential: "A".repeat(43), ..at.clone() };
    for (attempt, code, why) in
        [(stolen, Code::InvalidArgument, "INVALID_FIELD"), (guessed, Code::Aborted, "LEASE_LOST")]
    {
        let attempt = Some(attempt);
        let read = thief.client.read_document(ReadDocumentRequest { attempt: attempt.clone() }).await.unwrap_err();
        let artifact = ReadArtifactRequest { attempt: attempt.clone(), written_by: 1, name: "result.md".into() };
        let artifact = thief.client.read_artifact(artifact).await.unwrap_err();
        let password = ReadPasswordRequest { attempt: attempt.clone() };
        let password = thief.client.read_password(password).await.unwrap_err();
        let written = thief.write(attempt.as_ref().unwrap(), "result.md", b"forged").await.unwrap_err();
        for status in [read, artifact, password, written] {
            assert_eq!((status.code(), reason(&status).as_str()), (code, why));
        }
    }
    assert!(world.files().iter().all(|file| !file.ends_with("result.md")), "{:?}", world.files());
    holder.write(&at, "result.md", b"true").await.unwrap();
    holder.client.read_document(ReadDocumentRequest { attempt: Some(at) }).await.unwrap();
}

#[tokio::test]
async fn a_worker_of_another_user_does_not_take_over_a_workers_id() {
    let world = World::new().await;
    world.submit("alice").await;
    let mut holder = world.worker("w").await;
    let at = holder.take().await.attempt.unwrap();
    let token = Bearer(world.token("mallory", &[Role::Worker]));
    let mut client = WorkerServiceClient::with_interceptor(world.channel.clone(), token);
    let (out, inbox) = mpsc::channel(4);
    out.send(WorkRequest { message: Some(hello("w", 1, vec![at.clone()])) }).await.unwrap();
    let mut orders = client.work(ReceiverStream::new(inbox)).await.unwrap().into_inner();
    let status = orders.message().await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "WORKER_ID_TAKEN"));
    holder.succeed(&at).await;
    holder.sync().await;
    // Its own process, begun again, goes on with what it shows the credential of, and with nothing else.
    world.submit("alice").await;
    let at = holder.take_while_alive().await.attempt.unwrap();
    let forged = AttemptRef { credential: "A".repeat(43), ..at.clone() };
    assert!(world.worker_with("w", 1, vec![forged]).await.welcome.in_flight.is_empty());
}
