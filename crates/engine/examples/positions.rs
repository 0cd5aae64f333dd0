//! What a round of queue positions costs: `cargo run --release -p courant-engine --example positions [MOST]`.
//!
//! For 200 watched waiting jobs up to a hundred thousand: how long a round takes when nothing has changed since the last one,
//! and when the first job was taken, which moves all others. A round is made each second, so 10 ms are 1 % of a core. Three
//! ways to watch: the job itself, with an owner for each; the job itself, all of one owner; its document, all of one owner.

use std::sync::Arc;
use std::time::{Duration, Instant};

use courant_engine::config::Config;
use courant_engine::engine::{Engine, SentPositions};
use courant_engine::hub::watch_queue::WatchQueue;
use courant_engine::hub::{Scope, Topic};
use courant_engine::projection::Projections;
use courant_engine::view::Weights;
use courant_joblog::event::{Change, Submission};
use courant_joblog::ids::{DocumentId, JobId, Owner};
use courant_joblog::job::Document;
use courant_joblog::memory::MemoryLog;
use courant_joblog::samples;

/// Each figure is the mean of so many rounds.
const ROUNDS: u32 = 5;
/// Positions sent to a watch over many jobs, as the server does by default.
const LIMIT: usize = 1000;

#[derive(Clone, Copy, Debug)]
enum Watched {
    JobsOfMany,
    JobsOfOne,
    DocumentsOfOne,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let most = std::env::args().nth(1).and_then(|most| most.parse().ok()).unwrap_or(100_000);
    println!("| watched | by | first round | idle round | round after one was taken |");
    println!("| --- | --- | --- | --- | --- |");
    for size in [200, 800, 1000, 10_000, 100_000].into_iter().filter(|size| *size <= most) {
        for by in [Watched::JobsOfMany, Watched::JobsOfOne, Watched::DocumentsOfOne] {
            measure(size, by).await;
        }
    }
}

async fn measure(size: usize, by: Watched) {
    let config = Config {
        weights: Weights::default(),
        owner_share: 0.75,
        owner_running: 0,
        owner_weights: Default::default(),
        kind_running: Default::default(),
        watch_buffer: 1024,
        bookmark_interval: Duration::from_secs(25),
    };
    let engine = Engine::open(config, Arc::new(MemoryLog::new()), Projections::default()).await.expect("an empty log");
    let mut queues = Vec::new();
    for number in 0..size {
        let owner = if matches!(by, Watched::JobsOfMany) { format!("owner-{number}") } else { "alice".to_owned() };
        let document = DocumentId::new(format!("document-{number}"));
        let id = JobId::random();
        let sample = samples::minimal_submission(id.as_str(), &owner);
        let document = Document { id: document, ..sample.document.clone() };
        let change = Change::Submitted(Box::new(Submission { document: document.clone(), ..sample }));
        engine.create(change, id.clone(), Vec::new(), None).await.expect("a new job");
        let scope = match by {
            Watched::JobsOfMany | Watched::JobsOfOne => Scope::job(id),
            Watched::DocumentsOfOne => {
                Scope { topic: Topic::Owner(Owner::new(owner)), document: Some(document.id), batch: None }
            }
        };
        let queue = Arc::new(WatchQueue::new(1024, Duration::ZERO));
        engine.join(scope, &queue);
        queues.push(queue);
    }
    let mut sent = SentPositions::default();
    let first = round(&engine, &mut sent).await;
    let mut idle = Duration::ZERO;
    for _ in 0..ROUNDS {
        idle += round(&engine, &mut sent).await;
    }
    let mut moved = Duration::ZERO;
    for _ in 0..ROUNDS {
        engine.take_next(&["pdf".into()], &Default::default()).expect("a waiting job");
        moved += round(&engine, &mut sent).await;
    }
    println!("| {size} | {by:?} | {first:.1?} | {:.1?} | {:.1?} |", idle / ROUNDS, moved / ROUNDS);
}

async fn round(engine: &Engine, sent: &mut SentPositions) -> Duration {
    let begun = Instant::now();
    engine.send_positions(sent, LIMIT).await;
    begun.elapsed()
}
