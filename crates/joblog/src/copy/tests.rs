//! Copies of real logs, whole and cut off.

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::log::{Append, Blob, Filter, Log};
use crate::memory::MemoryLog;
use crate::samples;
use crate::source::{BlobPage, BlobPosition};
use crate::sqlite::{Builder, OnLoss, OpenError, Options, SqliteLog, StoppedLog, snapshot};
use crate::tally::tally_blobs;

fn options() -> Options {
    Options { wal_ahead_bytes: 0, loss: OnLoss::Refuse, ..Options::default() }
}

/// A log with jobs whose entries are mixed, one that was removed, and blobs.
async fn filled(jobs: u32) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(dir.path(), options()).unwrap();
    let mut made = Vec::new();
    for number in 0..jobs {
        let blob =
            Blob { name: format!("document-{}", "f".repeat(64)).into(), bytes: Bytes::from(vec![7; number as usize]) };
        let first = Append {
            blobs: vec![blob],
            ..samples::create(&format!("J{number}"), ["alice", "bob"][number as usize % 2])
        };
        let revision = log.append(first.clone()).await.unwrap();
        made.push((first, revision));
    }
    for round in 1..4 {
        for (first, revision) in &mut made {
            *revision = log.append(samples::update(samples::job_of(first), *revision, round)).await.unwrap();
        }
    }
    let (gone, newest) = &made[0];
    log.forget(&gone.key, *newest).await.unwrap();
    dir
}

async fn all(log: &dyn Log) -> Vec<(JobId, Record)> {
    let entries = log.read(Revision::ZERO, &Filter::All, usize::MAX).await.unwrap();
    let changes = entries.iter().filter(|entry| entry.record != Record::Forgotten);
    changes.map(|entry| (entry.key.job.clone(), entry.record.clone())).collect()
}

async fn copied_to(log: &Arc<dyn Log>, source: &dyn Source, have: Tally) -> Result<Copied, CopyError> {
    let except = Except { have, ..Except::default() };
    check_beginning(source, &except).await?;
    let mut target = LogTarget::new(log.clone(), &except.have);
    copy(source, &mut target, except, &mut |_| {}).await
}

/// What is in a log that is not a source of its own.
struct Open(Arc<dyn Log>);

#[async_trait::async_trait]
impl Source for Open {
    async fn newest(&self) -> Result<Revision, crate::log::ReadError> {
        Ok(*self.0.head().borrow())
    }

    async fn entries(&self, after: Revision, limit: usize) -> Result<Vec<Arc<Entry>>, crate::log::ReadError> {
        self.0.read(after, &Filter::All, limit).await
    }

    async fn blobs(&self, _after: Option<&BlobPosition>) -> Result<BlobPage, crate::log::ReadError> {
        Ok(BlobPage { blobs: Vec::new(), next: None })
    }
}

#[tokio::test]
async fn a_copy_has_the_same_events_in_the_same_order() {
    let dir = filled(700).await;
    let source = StoppedLog::open(dir.path()).unwrap();
    assert!(SqliteLog::open(dir.path(), options()).is_err(), "a server could start meanwhile");
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    let copied = copied_to(&log, &source, Tally::default()).await.unwrap();
    let found = tally(&Open(log.clone()), |_, _| true).await.unwrap();
    assert_eq!(found.totals(), copied.tally.totals());
    assert_eq!((copied.appended, copied.forgotten, found.totals().jobs), (699 * 4, 1, 699));
    assert_eq!((copied.blobs, copied.blobs.blobs), (tally_blobs(&source).await.unwrap(), 699));
    for number in [1, 500, 699] {
        let job = JobId::new(format!("J{number}"));
        let blob = log.blob(&job, &format!("document-{}", "f".repeat(64))).await.unwrap();
        assert_eq!(blob, Some(Bytes::from(vec![7; number])));
    }
    let contents = source.contents();
    assert_eq!((contents.jobs, contents.events, contents.forgotten, contents.blobs), (699, 699 * 4, 1, 699));
    drop(source);
    let original: Arc<dyn Log> = Arc::new(SqliteLog::open(dir.path(), options()).unwrap());
    assert_eq!(all(&*log).await, all(&*original).await);
}

#[tokio::test]
async fn a_log_that_is_copied_is_not_written() {
    let dir = filled(5).await;
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let before = (read("log.db"), read("log.mark"));
    let source = StoppedLog::open(dir.path()).unwrap();
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    copied_to(&log, &source, Tally::default()).await.unwrap();
    drop(source);
    assert!(before == (read("log.db"), read("log.mark")));
}

#[tokio::test]
async fn a_copy_that_was_cut_off_goes_on_and_one_of_something_else_does_not() {
    let dir = filled(40).await;
    let source = StoppedLog::open(dir.path()).unwrap();
    let whole: Arc<dyn Log> = Arc::new(MemoryLog::new());
    copied_to(&whole, &source, Tally::default()).await.unwrap();
    let entries = whole.read(Revision::ZERO, &Filter::All, usize::MAX).await.unwrap();
    for cut in [1, 39, 40, 100, 155, 156] {
        let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
        let mut target = LogTarget::new(log.clone(), &Tally::default());
        target.append(entries[..cut].to_vec()).await.unwrap();
        let have = tally(&Open(log.clone()), |_, _| true).await.unwrap();
        let copied = copied_to(&log, &source, have).await.unwrap();
        assert_eq!(copied.appended as usize, entries.len() - cut);
        assert_eq!(all(&*log).await, all(&*whole).await, "cut at {cut}");

        let first = samples::create("J1", "alice");
        let head = log.latest().await.unwrap().all().await.unwrap();
        let head = head.iter().find(|entry| entry.key.job == first.key.job).unwrap().revision;
        log.append(Append { key: entries[0].key.clone(), ..samples::update(samples::job_of(&first), head, 9) })
            .await
            .unwrap();
        let have = tally(&Open(log.clone()), |_, _| true).await.unwrap();
        let outcome = copied_to(&log, &source, have).await;
        assert!(matches!(&outcome, Err(CopyError::Differs { job }) if *job == first.key.job), "{outcome:?}");
    }
}

#[tokio::test]
async fn the_oldest_events_are_left_out_if_a_log_cannot_have_them() {
    let dir = filled(5).await;
    let source = StoppedLog::open(dir.path()).unwrap();
    let long = source.longer_than(3).await.unwrap();
    assert_eq!(long.len(), 4);
    let oldest: HashMap<_, _> = long.into_iter().map(|(job, events)| (job, events - 3)).collect();
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    let mut target = LogTarget::new(log.clone(), &Tally::default());
    let except = Except { oldest, ..Except::default() };
    let copied = copy(&source, &mut target, except, &mut |_| {}).await.unwrap();
    assert_eq!((copied.left_out, copied.appended), (4, 12));
    let found = tally(&Open(log.clone()), |_, _| true).await.unwrap();
    assert_eq!(found.totals(), copied.tally.totals());
}

#[tokio::test]
async fn a_log_that_is_built_is_opened_as_any_other() {
    let (dir, to) = (filled(300).await, tempfile::tempdir().unwrap());
    let source = StoppedLog::open(dir.path()).unwrap();
    let mut target = BuilderTarget::new(Builder::create(to.path()).unwrap());
    let copied = copy(&source, &mut target, Except::default(), &mut |_| {}).await.unwrap();
    assert!(matches!(StoppedLog::open(to.path()), Err(OpenError::Missing { .. })), "it is not finished");
    target.finish().await.unwrap();
    let built = StoppedLog::open(to.path()).unwrap();
    assert_eq!(tally(&built, |_, _| true).await.unwrap().totals(), copied.tally.totals());
    assert_eq!(tally_blobs(&built).await.unwrap(), copied.blobs);
    drop((built, source));
    let original: Arc<dyn Log> = Arc::new(SqliteLog::open(dir.path(), options()).unwrap());
    let log: Arc<dyn Log> = Arc::new(SqliteLog::open(to.path(), options()).unwrap());
    assert_eq!(all(&*log).await, all(&*original).await);
    assert!(!log.info().covers(original.info().epochs[0].id, Revision(1)));
}

/// As servers do it: appends go on while the copy is made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_a_log_in_use_is_whole_and_voids_positions_beyond_it() {
    let (dir, to) = (filled(50).await, tempfile::tempdir().unwrap());
    let log = Arc::new(SqliteLog::open(dir.path(), options()).unwrap());
    let epoch = log.info().current().id;
    let appending = {
        let log = log.clone();
        tokio::spawn(async move {
            let mut last = Revision::ZERO;
            for number in 0..300 {
                last = log.append(samples::create(&format!("N{number}"), "carol")).await.unwrap();
            }
            last
        })
    };
    let (from, at) = (dir.path().to_owned(), to.path().to_owned());
    let end = tokio::task::spawn_blocking(move || snapshot(&from, &at)).await.unwrap().unwrap();
    let last = appending.await.unwrap();
    let copy = SqliteLog::open(to.path(), options()).unwrap();
    assert_eq!(*copy.head().borrow(), end);
    let entries = copy.read(Revision::ZERO, &Filter::All, usize::MAX).await.unwrap();
    let until = log.read(Revision::ZERO, &Filter::All, usize::MAX).await.unwrap();
    let until: Vec<_> = until.into_iter().filter(|entry| entry.revision <= end).collect();
    assert_eq!(entries, until);
    assert!(copy.info().covers(epoch, end) && !copy.info().covers(epoch, Revision(end.0 + 1)));
    assert!(log.info().covers(epoch, last));
    let again = snapshot(dir.path(), to.path());
    assert!(again.is_ok(), "a folder is checked by whoever chooses it: {again:?}");
}
