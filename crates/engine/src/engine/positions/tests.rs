//! Rounds of positions: what they cost, and that nobody is left with an old one.

use std::time::Duration;

use courant_joblog::event::{Change, Submission};
use courant_joblog::ids::WorkerId;
use courant_joblog::job::{Document, JobError, Page};
use courant_joblog::memory::MemoryLog;
use futures::FutureExt as _;

use super::*;
use crate::hub::watch_queue::{Message, Received, WatchQueue};
use crate::hub::{Scope, Topic, WatcherId};
use crate::projection::Projections;
use crate::testing;

struct World {
    engine: Arc<Engine>,
    sent: SentPositions,
    limit: usize,
}

impl World {
    async fn new() -> Self {
        let log = Arc::new(MemoryLog::new());
        let engine = testing::follow(testing::config(), log, Projections::default()).await.unwrap();
        Self { engine, sent: SentPositions::default(), limit: 1000 }
    }

    async fn submit(&self, id: &str, owner: &str, kind: &str) {
        let submission = testing::submission(id, owner);
        // A document and a batch of its own, named like the job; the batch of two jobs is that of the first.
        let document = Document { id: DocumentId::new(id), ..submission.document.clone() };
        let batch = Some(BatchId::new(id.trim_end_matches('b')));
        let submission = Submission { document, batch, kind: kind.into(), ..submission };
        self.engine.create(Change::Submitted(Box::new(submission)), JobId::new(id), Vec::new(), None).await.unwrap();
    }

    fn watch(&self, scope: Scope) -> (WatcherId, Arc<WatchQueue>) {
        let queue = Arc::new(WatchQueue::new(1 << 20, Duration::ZERO));
        (self.engine.join(scope, &queue).0, queue)
    }

    fn watch_job(&self, id: &str) -> Arc<WatchQueue> {
        self.watch(Scope::job(JobId::new(id))).1
    }

    async fn round(&mut self) -> RoundCost {
        self.engine.send_positions(&mut self.sent, self.limit).await
    }
}

fn of_owner(owner: &str, document: Option<&str>, batch: Option<&str>) -> Scope {
    let (document, batch) = (document.map(DocumentId::new), batch.map(BatchId::new));
    Scope { topic: Topic::Owner(Owner::new(owner)), document, batch }
}

/// The positions that came, `<job><position>`, in alphabetical order.
fn received(queue: &WatchQueue) -> String {
    let Some(Received::Messages(messages)) = queue.next().now_or_never() else { return String::new() };
    let mut words: Vec<String> = messages
        .into_iter()
        .filter_map(|message| match message {
            Message::Transient(update, _) => Some(format!("{}{}", update.current.job.id, update.position?.position)),
            Message::Durable(_) => None,
        })
        .collect();
    words.sort();
    words.join(" ")
}

fn took(engine: &Engine, kind: &str) -> JobId {
    engine.take_next(&[kind.into()], &Default::default()).unwrap().job.id.clone()
}

const NOTHING: RoundCost = RoundCost { positions: 0, estimates: 0, examined: 0, sent: 0 };

#[tokio::test]
async fn a_round_looks_at_what_changed_and_at_who_joined() {
    let mut world = World::new().await;
    let mut queues = Vec::new();
    for number in 0..1000 {
        let (id, kind) = (format!("J{number:03}"), if number < 900 { "pdf" } else { "scan" });
        world.submit(&id, &format!("owner-{number}"), kind).await;
        queues.push(world.watch_job(&id));
    }
    assert_eq!(world.round().await, RoundCost { positions: 1000, sent: 1000, ..NOTHING });
    for _ in 0..3 {
        assert_eq!(world.round().await, NOTHING);
    }
    assert_eq!((received(&queues[5]), received(&queues[905])), ("J0056".into(), "J9056".into()));
    // Who joins costs nobody else anything, and is sent the position that the others know.
    let second = world.watch_job("J005");
    assert_eq!(world.round().await, RoundCost { sent: 1, ..NOTHING });
    assert_eq!((received(&second), received(&queues[5])), ("J0056".into(), String::new()));
    // A queue that moves is looked at, the other is not.
    took(&world.engine, "scan");
    assert_eq!(world.round().await, RoundCost { positions: 100, sent: 99, ..NOTHING });
    assert_eq!((received(&queues[905]), received(&queues[5])), ("J9055".into(), String::new()));
    assert_eq!(world.round().await, NOTHING);
    // What nobody watches is not waited for.
    world.submit("unwatched", "zoe", "other").await;
    assert_eq!(world.round().await, NOTHING);
}

#[tokio::test]
async fn many_watches_of_one_owner_are_served_in_one_pass() {
    let mut world = World::new().await;
    let mut queues = Vec::new();
    for number in 0..600 {
        let id = format!("J{number:03}");
        world.submit(&id, "alice", "pdf").await;
        let batch = (number % 2 == 1).then_some(&*id);
        queues.push(world.watch(of_owner("alice", batch.is_none().then_some(&*id), batch)).1);
    }
    assert_eq!(world.round().await, RoundCost { positions: 600, examined: 600, sent: 600, estimates: 0 });
    assert_eq!(world.round().await, NOTHING);
    assert_eq!((received(&queues[8]), received(&queues[9])), ("J0089".into(), "J00910".into()));
    // Another owner's job moves theirs, but selects none of them again.
    world.submit("B", "bob", "pdf").await;
    let cost = world.round().await;
    assert_eq!((cost.positions, cost.examined), (600, 0));
    assert_eq!(received(&queues[9]), "J00911");
    took(&world.engine, "pdf");
    let cost = world.round().await;
    assert!(cost.examined <= 600 && cost.positions <= 1200, "{cost:?}");
}

#[tokio::test]
async fn a_watch_of_many_jobs_is_sent_the_first_and_the_next_when_they_come_near() {
    let mut world = World::new().await;
    world.limit = 2;
    for id in ["A", "B", "Bb", "C", "D"] {
        world.submit(id, "alice", "pdf").await;
    }
    let all = Scope { topic: Topic::All, document: None, batch: None };
    let scopes =
        [of_owner("alice", None, None), of_owner("alice", None, Some("B")), of_owner("alice", Some("D"), None), all];
    let watches = scopes.map(|scope| world.watch(scope));
    let received = || watches.each_ref().map(|(_, queue)| received(queue));
    world.round().await;
    assert_eq!(received(), ["A1 B2", "B2 Bb3", "D5", "A1 B2"].map(String::from));
    assert_eq!(world.round().await, NOTHING);
    let taken = took(&world.engine, "pdf");
    world.round().await;
    // The first of all is being claimed; the others moved up, and one more is near enough.
    assert_eq!(received(), ["B1 Bb2", "B1 Bb2", "D4", "B1 Bb2"].map(String::from));
    world.engine.give_back(&taken);
    world.round().await;
    // One that is not near enough any more is sent that once.
    assert_eq!(received(), ["A1 B2 Bb3", "B2 Bb3", "D5", "A1 B2 Bb3"].map(String::from), "nothing came of the claim");
    took(&world.engine, "pdf");
    world.engine.give_back(&taken);
    assert_eq!(world.round().await.sent, 0, "all is as it was");
    watches.iter().for_each(|(id, _)| world.engine.leave(id));
    world.engine.give_back(&took(&world.engine, "pdf"));
    world.round().await;
    assert!(world.sent.owners.is_empty());
    world.engine.give_back(&took(&world.engine, "pdf"));
    world.round().await;
    assert!(world.sent.is_empty() && world.sent.kinds.is_empty(), "who leaves leaves nothing behind");
}

#[tokio::test]
async fn a_job_that_waits_again_and_a_watcher_whose_queue_was_emptied_are_sent_the_position() {
    let mut world = World::new().await;
    world.submit("A", "alice", "pdf").await;
    let (id, queue) = world.watch(Scope::job(JobId::new("A")));
    world.round().await;
    assert_eq!(received(&queue), "A1");
    let job = took(&world.engine, "pdf");
    let started = |_: &Job| Ok(Some(Change::Started { attempt: 1, worker: WorkerId::new("w") }));
    world.engine.change(&job, started).await.unwrap();
    world.engine.give_back(&job);
    let failed = |_: &Job| Ok(Some(Change::Failed { attempt: 1, error: error() }));
    world.engine.change(&job, failed).await.unwrap();
    world.round().await;
    assert!(received(&queue).is_empty() && world.sent.is_empty());
    let requeued = |_: &Job| Ok(Some(Change::Requeued { by: "alice".into(), password: None }));
    world.engine.change(&job, requeued).await.unwrap();
    world.round().await;
    assert_eq!(received(&queue), "A1");
    world.engine.rejoin(&id, &queue);
    assert_eq!(world.round().await, RoundCost { sent: 1, ..NOTHING });
    assert_eq!(received(&queue), "A1");
    assert_eq!(world.round().await, NOTHING);
}

fn worker(slots: u32) -> Vec<WorkerCapacity> {
    let kinds = ["pdf".into()].into();
    vec![WorkerCapacity { worker: WorkerId::new("w"), kinds, slots, held: 0 }]
}

#[tokio::test(start_paused = true)]
async fn an_estimate_that_changes_moves_no_position_and_is_computed_without_one() {
    let mut world = World::new().await;
    let page = |number| {
        let page = Page { number, width: 1.0, height: 1.0, zones: vec![], duration_ms: 1_000, warnings: vec![] };
        Change::PageFinished { attempt: 1, page: Box::new(page) }
    };
    world.submit("first", "alice", "pdf").await;
    let mut changes = vec![Change::Started { attempt: 1, worker: WorkerId::new("w") }];
    changes.push(Change::Planned { attempt: 1, pages: 5, lane: None, document: None });
    changes.extend((1..=5).map(page));
    changes.push(Change::Succeeded { attempt: 1, warnings: vec![] });
    for change in changes {
        tokio::time::advance(Duration::from_secs(1)).await;
        world.engine.change(&JobId::new("first"), |_| Ok(Some(change.clone()))).await.unwrap();
    }
    let mut queues = Vec::new();
    for number in 0..100 {
        let id = format!("J{number:02}");
        world.submit(&id, "alice", "pdf").await;
        queues.push(world.watch_job(&id));
    }
    assert_eq!(world.round().await, RoundCost { positions: 100, sent: 100, ..NOTHING });
    let wait = || {
        let Some(Received::Messages(mut messages)) = queues[99].next().now_or_never() else { return None };
        let Some(Message::Transient(update, _)) = messages.pop() else { return None };
        update.position?.wait.map(|wait| wait.ms)
    };
    assert_eq!(wait(), None, "no worker is there");
    world.engine.update_capacities(|_| worker(1));
    assert_eq!(world.round().await, RoundCost { estimates: 100, sent: 100, ..NOTHING });
    let alone = wait().unwrap();
    // The same workers again, as each second.
    world.engine.update_capacities(|_| worker(1));
    assert_eq!(world.round().await, NOTHING);
    world.engine.update_capacities(|_| worker(10));
    let cost = world.round().await;
    assert_eq!((cost.positions, cost.estimates, cost.examined), (0, 100, 0));
    let shared = wait().unwrap();
    assert!(shared * 9 < alone && alone < shared * 11, "{alone} {shared}");
}

/// A watcher and what it knows of positions.
struct Client {
    id: WatcherId,
    scope: Scope,
    queue: Arc<WatchQueue>,
    known: HashMap<JobId, u32>,
}

impl Client {
    fn take_in(&mut self) {
        let Some(Received::Messages(messages)) = self.queue.next().now_or_never() else { return };
        for message in messages {
            if let Message::Transient(update, _) = message
                && let Some(position) = update.position
            {
                self.known.insert(update.current.job.id.clone(), position.position);
            }
        }
    }
}

impl World {
    fn scope(&self, random: &mut fastrand::Rng, jobs: u32) -> Scope {
        let job = format!("J{}", random.u32(..jobs));
        let owner = format!("owner-{}", random.u32(..3));
        match random.u8(..5) {
            0 => of_owner(&owner, None, None),
            1 => of_owner(&owner, Some(&job), None),
            2 => of_owner(&owner, None, Some(&job)),
            3 => Scope { topic: Topic::All, document: None, batch: None },
            _ => Scope::job(JobId::new(job)),
        }
    }

    /// Something happens to a job, if its state allows it.
    async fn happen(&self, id: &JobId, random: &mut fastrand::Rng, claims: &mut Vec<JobId>) {
        let Some(job) = self.engine.get(id).map(|seen| seen.current.job.clone()) else { return };
        let attempt = job.attempt;
        let change = match (job.state, random.u8(..4)) {
            (job::State::Queued, 0) => Change::Cancelled { by: "x".into() },
            (job::State::Queued, 1) => Change::Started { attempt: attempt + 1, worker: WorkerId::new("w") },
            (job::State::Queued, _) => {
                let taken = self.engine.take_next(&["pdf".into(), "scan".into()], &Default::default());
                return claims.extend(taken.map(|current| current.job.id.clone()));
            }
            (job::State::Running, _) => Change::Failed { attempt, error: error() },
            _ => Change::Requeued { by: "x".into(), password: None },
        };
        self.engine.change(id, |_| Ok(Some(change.clone()))).await.unwrap();
    }
}

impl World {
    async fn cancel_all(&self, jobs: u32) {
        for number in 0..jobs {
            let waits = |job: &Job| job.state == job::State::Queued;
            let cancel = |job: &Job| Ok(waits(job).then(|| Change::Cancelled { by: "x".into() }));
            self.engine.change(&JobId::new(format!("J{number}")), cancel).await.unwrap();
        }
    }
}

/// Whatever happens: after a round each watcher knows the position of each job in its scope that has one.
#[tokio::test]
async fn after_a_round_everybody_knows_all_positions_whatever_happened() {
    const JOBS: u32 = 24;
    for seed in 0..6 {
        let (mut world, mut random) = (World::new().await, fastrand::Rng::with_seed(seed));
        let (mut clients, mut claims, mut made) = (Vec::<Client>::new(), Vec::new(), 0);
        for _ in 0..250 {
            for _ in 0..random.u32(..4) {
                match random.u8(..10) {
                    0..4 if made < JOBS => {
                        let kind = if random.bool() { "pdf" } else { "scan" };
                        world.submit(&format!("J{made}"), &format!("owner-{}", made % 3), kind).await;
                        made += 1;
                    }
                    4 => {
                        let scope = world.scope(&mut random, JOBS);
                        let (id, queue) = world.watch(scope.clone());
                        clients.push(Client { id, scope, queue, known: HashMap::new() });
                    }
                    5 if clients.len() > 8 => {
                        let client = clients.swap_remove(random.usize(..clients.len()));
                        world.engine.leave(&client.id);
                    }
                    6 if !clients.is_empty() => {
                        let at = random.usize(..clients.len());
                        world.engine.rejoin(&clients[at].id, &clients[at].queue);
                        clients[at].known.clear();
                    }
                    7 if !claims.is_empty() => {
                        let id: JobId = claims.swap_remove(random.usize(..claims.len()));
                        world.engine.give_back(&id);
                    }
                    _ if made > 0 => {
                        let id = JobId::new(format!("J{}", random.u32(..made)));
                        world.happen(&id, &mut random, &mut claims).await;
                    }
                    _ => {}
                }
            }
            world.round().await;
            for client in &mut clients {
                client.take_in();
                for number in 0..made {
                    let seen = world.engine.get(&JobId::new(format!("J{number}"))).unwrap();
                    let Some(position) = seen.position.filter(|_| client.scope.holds(&seen.current.job)) else {
                        continue;
                    };
                    let known = client.known.get(&seen.current.job.id).copied();
                    assert_eq!(known, Some(position.position), "J{number} for {:?}, seed {seed}", client.scope);
                }
            }
            assert_eq!(world.round().await, NOTHING);
        }
        clients.iter().for_each(|client| world.engine.leave(&client.id));
        world.cancel_all(made).await;
        world.round().await;
        assert!(world.sent.is_empty() && world.sent.all.is_empty(), "seed {seed}");
    }
}

fn error() -> JobError {
    JobError { code: "BROKEN".into(), message: "it is broken".into(), retryable: false }
}
