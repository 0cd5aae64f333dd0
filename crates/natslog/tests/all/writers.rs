//! Writers that never stop, and what must be true of what they were told.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use courant_joblog::ids::{JobId, Revision};
use courant_joblog::log::{Append, AppendError, Blob, Changed, Entry, Filter, Log, Record};
use courant_joblog::samples;
use courant_natslog::NatsLog;
use tokio::task::JoinHandle;

/// What one writer was told of its job.
#[derive(Debug)]
pub struct Told {
    job: JobId,
    /// The number of each entry that was acknowledged.
    acknowledged: BTreeMap<Revision, u32>,
    /// Numbers of which nobody knows.
    unknown: Vec<u32>,
}

/// Writers under way.
pub struct Writers {
    running: Vec<JoinHandle<Told>>,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
}

impl Writers {
    /// Each appends to a job of its own, which nobody else does: a conflict would be an append that happened after it was said
    /// not to have, or twice.
    pub fn start(log: &Arc<NatsLog>, prefix: &'static str, count: usize) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let running = (0..count).map(|writer| {
            let (log, stop, acknowledged) = (log.clone(), stop.clone(), acknowledged.clone());
            tokio::spawn(async move { write(&log, &format!("{prefix}{writer}"), &stop, &acknowledged).await })
        });
        let running = running.collect();
        Self { running, stop, acknowledged }
    }

    /// Appends that were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub async fn stop(self) -> Vec<Told> {
        self.stop.store(true, Ordering::Relaxed);
        let mut told = Vec::new();
        for writer in self.running {
            told.push(writer.await.unwrap());
        }
        told
    }
}

/// Every other append has several entries and a blob.
fn next(first: &Append, position: Option<Revision>, number: u32) -> Append {
    let Some(position) = position else { return first.clone() };
    let update = |number| samples::update(samples::job_of(first), position, number);
    if number.is_multiple_of(2) {
        return update(number);
    }
    let changes: Vec<Changed> = [number, number].into_iter().flat_map(|number| update(number).changes).collect();
    let blobs = vec![Blob { name: "b".into(), bytes: number.to_string().into() }];
    Append { changes, blobs, ..update(number) }
}

async fn write(log: &NatsLog, id: &str, stop: &AtomicBool, acknowledged: &AtomicUsize) -> Told {
    let first = samples::create(id, "alice");
    let mut told = Told { job: JobId::new(id), acknowledged: BTreeMap::new(), unknown: Vec::new() };
    let (mut position, mut number) = (None, 0);
    while !stop.load(Ordering::Relaxed) {
        match log.append(next(&first, position, number)).await {
            Ok(revision) => {
                told.acknowledged.insert(revision, number);
                acknowledged.fetch_add(1, Ordering::Relaxed);
                (position, number) = (Some(revision), number + 1);
            }
            Err(AppendError::Unknown { .. }) => {
                told.unknown.push(number);
                position = newest(log, id).await.map(|entry| entry.revision);
                number += 1;
            }
            Err(other) => panic!("{id} {number}: {other}"),
        }
    }
    told
}

/// The newest entry of a job; waits for a log that cannot be read at the moment.
async fn newest(log: &NatsLog, id: &str) -> Option<Arc<Entry>> {
    let filter = Filter::Job(JobId::new(id));
    let began = std::time::Instant::now();
    loop {
        match read_all(log, &filter).await {
            Ok(mut entries) => return entries.pop(),
            Err(error) => assert!(began.elapsed() < crate::harness::PATIENCE, "{error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// All entries.
pub async fn read_all(log: &dyn Log, filter: &Filter) -> Result<Vec<Arc<Entry>>, courant_joblog::log::ReadError> {
    let (mut all, mut after) = (Vec::new(), Revision::ZERO);
    loop {
        let page = log.read(after, filter, 1_000).await?;
        let Some(last) = page.last() else { return Ok(all) };
        after = last.revision;
        all.extend(page);
    }
}

fn number(entry: &Entry) -> u32 {
    match &entry.record {
        Record::Changed { job, .. } => job.attempt,
        Record::Forgotten => panic!("nobody forgets here"),
    }
}

/// Nothing that was acknowledged is lost, nothing is there twice, and nothing is there that nobody wrote.
pub async fn check(log: &dyn Log, told: &[Told]) {
    let mut of_job: HashMap<JobId, BTreeMap<Revision, u32>> = HashMap::new();
    for entry in read_all(log, &Filter::All).await.unwrap() {
        of_job.entry(entry.key.job.clone()).or_default().insert(entry.revision, number(&entry));
    }
    for Told { job, acknowledged, unknown } in told {
        let found = of_job.remove(job).unwrap_or_default();
        for (revision, number) in acknowledged {
            assert_eq!(found.get(revision), Some(number), "{job}: {revision} was acknowledged");
        }
        let mut times: BTreeMap<u32, usize> = BTreeMap::new();
        found.values().for_each(|number| *times.entry(*number).or_default() += 1);
        for (number, times) in times {
            let entries = if number.is_multiple_of(2) { 1 } else { 2 };
            assert_eq!(times, entries, "{job}: {number} is there {times} times");
            assert!(
                acknowledged.values().any(|known| *known == number) || unknown.contains(&number),
                "{job}: {number}"
            );
        }
    }
    assert!(of_job.is_empty(), "{of_job:?}");
}
