//! Does one thing of the hot path many times, for counting instructions: `instructions OPERATION TIMES`.
//!
//! `tests/bench/instructions.py` runs it under callgrind and compares with the committed counts, which no other load on the
//! machine disturbs.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use courant_engine::dispatch::FreeWorker;
use courant_engine::hub::watch_queue::{Received, TransientChange, WatchQueue};
use courant_engine::hub::{Scope, Topic};
use courant_engine::projection::Projections;
use courant_engine::view::LiveProgress;
use courant_engine::{Engine, testing};
use courant_joblog::event::Change;
use courant_joblog::ids::{JobId, Owner, WorkerId};
use courant_joblog::job::State;
use courant_joblog::log::Log;
use courant_joblog::memory::MemoryLog;
use courant_joblog::samples;
use courant_joblog::sqlite::{Options, SqliteLog};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Watchers of one owner's jobs.
const WATCHERS: usize = 100;
/// Jobs that wait meanwhile.
const WAITING: usize = 1000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (operation, times) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default().parse()?);
    match operation.as_str() {
        "append" => append(times).await,
        "submit" => submit(times).await,
        "claim" => claim(times).await,
        "report" => report(times).await,
        "deliver" => deliver(times).await,
        _ => Err("OPERATION must be append, submit, claim, report or deliver".into()),
    }
}

/// First entries of jobs, one by one, into a log on the disk.
async fn append(times: usize) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("courant-instructions-{}", std::process::id()));
    let log = SqliteLog::open(&folder, Options::default())?;
    for number in 0..times {
        let mut submission = samples::submission(&format!("J{number:06}"), "alice");
        // They cost what they are long.
        submission.later.parameters = None;
        log.append(samples::create_from(submission)).await?;
    }
    drop(log);
    Ok(std::fs::remove_dir_all(folder)?)
}

/// Jobs made and applied: encoded, put into the view, counted.
async fn submit(times: usize) -> Result<()> {
    let engine = engine().await?;
    for number in 0..times {
        create(&engine, number).await?;
    }
    Ok(())
}

/// Jobs given to a worker, and ended by it, while others wait.
async fn claim(times: usize) -> Result<()> {
    let engine = engine().await?;
    for number in 0..WAITING {
        create(&engine, number).await?;
    }
    for number in 0..times {
        create(&engine, WAITING + number).await?;
        let id = start(&engine).await?;
        let succeeded = Change::Succeeded { attempt: 1, warnings: Vec::new() };
        engine.change(&id, |job| Ok((job.state == State::Running).then(|| succeeded.clone()))).await?;
    }
    Ok(())
}

/// Progress of a running job that nobody watches.
async fn report(times: usize) -> Result<()> {
    let engine = engine().await?;
    create(&engine, 0).await?;
    let id = start(&engine).await?;
    for _ in 0..times {
        progress(&engine, &id)?;
    }
    Ok(())
}

/// Durable events of one owner, each taken from the queues of all who watch.
async fn deliver(times: usize) -> Result<()> {
    let engine = engine().await?;
    let scope = Scope { topic: Topic::Owner(Owner::new("alice")), document: None, batch: None };
    let queues = (0..WATCHERS).map(|_| Arc::new(WatchQueue::new(64, Duration::ZERO))).collect::<Vec<_>>();
    let _watchers: Vec<_> = queues.iter().map(|queue| engine.join(scope.clone(), queue)).collect();
    for number in 0..times {
        create(&engine, number).await?;
        for queue in &queues {
            match queue.next().await {
                Received::Messages(messages) if messages.len() == 1 => {}
                other => return Err(format!("expected one message, not {other:?}").into()),
            }
        }
    }
    Ok(())
}

async fn engine() -> Result<Arc<Engine>> {
    Ok(testing::follow(testing::config(), Arc::new(MemoryLog::new()), Projections::default()).await?)
}

async fn create(engine: &Engine, number: usize) -> Result<()> {
    let id = format!("J{number:06}");
    let submitted = Change::Submitted(Box::new(testing::submission(&id, "alice")));
    engine.create(submitted, JobId::new(id), Vec::new(), None).await?;
    Ok(())
}

/// Gives the next waiting job to a worker.
async fn start(engine: &Engine) -> Result<JobId> {
    let kinds: Arc<[Box<str>]> = [Box::<str>::from("pdf")].into();
    let slots = BTreeMap::from([(kinds[0].clone(), 8)]);
    let mut free = [FreeWorker { worker: WorkerId::new("w"), kinds, slots: 8, takes_parts: false }];
    let mut matched = engine.match_jobs(&mut free, &HashMap::new(), &slots, None);
    let (worker, current) = matched.pop().ok_or("no job waits")?;
    let claimed = engine.claim(&worker.worker, &current.job).await?.ok_or("somebody was quicker")?;
    engine.give_back(&claimed.id);
    Ok(claimed.id.clone())
}

fn progress(engine: &Engine, id: &JobId) -> Result<()> {
    let job = engine.get(id).ok_or("the job is there")?.current.job;
    let live = LiveProgress { attempt: 1, progress: job.progress.clone(), zone: None };
    if engine.report(id, live, TransientChange::Progress) { Ok(()) } else { Err("the attempt runs".into()) }
}
