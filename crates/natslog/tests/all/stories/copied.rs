//! Logs that are copied into a stream, and out of one.

use std::sync::Arc;

use bytes::Bytes;
use courant_joblog::copy::{BuilderTarget, CopyError, Except, LogTarget, check_beginning, copy};
use courant_joblog::ids::{JobId, Revision};
use courant_joblog::log::{Append, Blob, Epoch, Filter, Log};
use courant_joblog::samples;
use courant_joblog::source::Source;
use courant_joblog::sqlite::{Builder, SqliteLog, StoppedLog};
use courant_joblog::tally::{tally, tally_blobs};
use courant_natslog::{NatsLog, OpenError, Options, StreamState};
use tempfile::TempDir;

use crate::harness::{Cluster, Sync, open};

/// A blob whose name is too long for a token.
fn blob(number: usize) -> Blob {
    Blob { name: format!("document-{}", "f".repeat(64)).into(), bytes: Bytes::from(vec![7; number * 10]) }
}

/// A folder with a log: jobs of three owners, two entries each of which is in one append, mixed with those of other jobs.
async fn filled(jobs: usize) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(dir.path(), courant_joblog::sqlite::Options::default()).unwrap();
    let mut made = Vec::new();
    for number in 0..jobs {
        let owner = ["alice", "*", "zoë@x.y"][number % 3];
        let first = Append { blobs: vec![blob(number)], ..samples::create(&format!("J{number}"), owner) };
        let revision = log.append(first.clone()).await.unwrap();
        made.push((first, revision));
    }
    for round in 1..3 {
        for (first, revision) in &mut made {
            let mut append = samples::update(samples::job_of(first), *revision, round);
            append.changes.extend(samples::update(samples::job_of(first), *revision, round + 10).changes);
            *revision = log.append(append).await.unwrap();
        }
    }
    log.forget(&made[0].0.key, made[0].1).await.unwrap();
    dir
}

fn for_copy(cluster: &Cluster, source: &StoppedLog) -> Options {
    Options { copy_of: source.epochs().to_vec(), ..cluster.lossy("log") }
}

async fn copy_to(log: &Arc<NatsLog>, source: &StoppedLog) -> Result<u64, CopyError> {
    let except = Except { have: tally(&**log, |_, _| true).await?, ..Except::default() };
    check_beginning(source, &except).await?;
    let mut target = LogTarget::new(log.clone(), &except.have);
    let copied = copy(source, &mut target, except, &mut |_| {}).await?;
    assert_eq!(tally(&**log, |_, _| true).await?.totals(), copied.tally.totals());
    assert_eq!(tally_blobs(&**log).await?, copied.blobs);
    Ok(copied.appended)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_copied_whole_in_its_order_and_nobody_opens_half_of_it() {
    let (cluster, dir) = (Cluster::three(Sync::Lazy), filled(60).await);
    let source = StoppedLog::open(dir.path()).unwrap();
    let options = for_copy(&cluster, &source);
    let log = open(options.clone()).await;
    let refused = NatsLog::open(cluster.lossy("log")).await;
    assert!(matches!(refused, Err(OpenError::Unfinished { .. })), "{refused:?}");
    assert_eq!(copy_to(&log, &source).await.unwrap(), 59 * 5);
    NatsLog::finish_copy(&options).await.unwrap();
    drop(log);
    let again = NatsLog::look(&options).await;
    assert!(matches!(again, Err(OpenError::CopiedBefore { .. })), "{again:?}");

    let log = open(cluster.lossy("log")).await;
    let order = async |source: &dyn Source| {
        let entries = source.entries(Revision::ZERO, 10_000).await.unwrap();
        let changes = entries.iter().filter(|entry| entry.key.job != JobId::new("J0"));
        changes.map(|entry| (entry.key.clone(), entry.record.clone())).collect::<Vec<_>>()
    };
    assert!(order(&source).await == order(&*log).await);
    for number in [1, 59] {
        let found = log.blob(&JobId::new(format!("J{number}")), &blob(number).name).await.unwrap();
        assert_eq!(found, Some(blob(number).bytes));
    }
    for epoch in source.epochs() {
        assert!(!log.info().covers(epoch.id, Revision(1)), "a cursor of the old log would be taken for one of this");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_was_cut_off_goes_on_at_the_next_run() {
    let (cluster, dir) = (Cluster::single(Sync::Lazy), filled(40).await);
    let source = StoppedLog::open(dir.path()).unwrap();
    let options = for_copy(&cluster, &source);
    let log = open(options.clone()).await;
    let entries = source.entries(Revision::ZERO, 100).await.unwrap();
    let mut target = LogTarget::new(log.clone(), &tally(&*log, |_, _| true).await.unwrap());
    courant_joblog::copy::Target::append(&mut target, entries[..57].to_vec()).await.unwrap();
    log.store_blob(&JobId::new("J3"), blob(3)).await.unwrap();
    drop((target, log));

    let (state, _) = NatsLog::look(&options).await.unwrap();
    assert!(matches!(state, StreamState::Begun { messages: 58 }), "{state:?}");
    let other = Options { copy_of: vec![Epoch::begin(Revision::ZERO)], ..options.clone() };
    let refused = NatsLog::open(other).await;
    assert!(matches!(refused, Err(OpenError::Unfinished { .. })), "another log was mixed into it: {refused:?}");
    let log = open(options.clone()).await;
    assert_eq!(copy_to(&log, &source).await.unwrap(), 39 * 5 - 57);
    assert_eq!(copy_to(&log, &source).await.unwrap(), 0, "all is there");

    let job = samples::create("J1", "*");
    let newest = log.latest().await.unwrap().all().await.unwrap();
    let newest = newest.iter().find(|entry| entry.key.job == job.key.job).unwrap().revision;
    log.append(samples::update(samples::job_of(&job), newest, 77)).await.unwrap();
    let outcome = copy_to(&log, &source).await;
    assert!(matches!(&outcome, Err(CopyError::Differs { job }) if *job == JobId::new("J1")), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_with_jobs_takes_no_copy_and_an_empty_one_stops_its_servers() {
    let (cluster, dir) = (Cluster::single(Sync::Lazy), filled(2).await);
    let source = StoppedLog::open(dir.path()).unwrap();
    let options = for_copy(&cluster, &source);
    assert_eq!(NatsLog::look(&options).await.unwrap().0, StreamState::Missing);
    let server = open(cluster.lossy("log")).await;
    assert_eq!(NatsLog::look(&options).await.unwrap().0, StreamState::Empty);
    let log = open(options.clone()).await;
    let mut head = server.head();
    crate::harness::eventually("the server stops", async || head.has_changed().is_err().then_some(())).await;
    head.mark_unchanged();
    copy_to(&log, &source).await.unwrap();

    let used = Options { stream: "used".into(), ..options };
    let server = open(Options { copy_of: Vec::new(), ..used.clone() }).await;
    server.append(samples::create("A", "alice")).await.unwrap();
    for refused in [NatsLog::look(&used).await.map(drop), NatsLog::open(used.clone()).await.map(drop)] {
        assert!(matches!(refused, Err(OpenError::NotEmpty { messages: 1, .. })), "{refused:?}");
    }
}

/// As a backup is made: servers go on meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_copied_to_a_folder_while_it_is_written() {
    let (cluster, to) = (Cluster::single(Sync::Lazy), tempfile::tempdir().unwrap());
    let log = open(cluster.lossy("log")).await;
    let mut made = Vec::new();
    for number in 0..300 {
        let first = Append { blobs: vec![blob(number)], ..samples::create(&format!("J{number}"), "alice") };
        let revision = log.append(first.clone()).await.unwrap();
        made.push((first, revision));
    }
    let writing = {
        let log = log.clone();
        tokio::spawn(async move {
            for (number, (first, revision)) in made.into_iter().enumerate() {
                let next = log.append(samples::update(samples::job_of(&first), revision, 5)).await.unwrap();
                if number % 3 == 0 {
                    log.forget(&first.key, next).await.unwrap();
                }
            }
        })
    };
    let reader = open(cluster.lossy("log")).await;
    let mut target = BuilderTarget::new(Builder::create(to.path()).unwrap());
    let copied = copy(&*reader, &mut target, Except::default(), &mut |_| {}).await.unwrap();
    target.finish().await.unwrap();
    writing.await.unwrap();

    let built = StoppedLog::open(to.path()).unwrap();
    assert_eq!(tally(&built, |_, _| true).await.unwrap().totals(), copied.tally.totals());
    let epoch = log.info().current().id;
    assert!(built.epochs().iter().all(|own| own.id != epoch), "positions beyond its end would be taken for its own");
    drop(built);
    let opened = SqliteLog::open(to.path(), courant_joblog::sqlite::Options::default()).unwrap();
    for entry in opened.latest().await.unwrap().all().await.unwrap() {
        let job = &entry.key.job;
        let found = opened.read(Revision::ZERO, &Filter::Job(job.clone()), 10).await.unwrap();
        let original = log.read(Revision::ZERO, &Filter::Job(job.clone()), 10).await.unwrap();
        let is_gone = original.iter().any(|entry| entry.record == courant_joblog::log::Record::Forgotten);
        assert!(is_gone || original[..found.len()] == found[..], "{job} has a gap");
        let name = &blob(0).name;
        assert!(opened.blob(job, name).await.unwrap().is_some(), "{job} has lost its document");
    }
}
