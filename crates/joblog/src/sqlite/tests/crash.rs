//! Kill -9 in the middle of writing: what was acknowledged is there afterwards.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;

use super::*;
use crate::ids::JobId;
use crate::sqlite::mark::MarkState;

const DIR: &str = "COURANT_TEST_CRASH_DIR";
const ROUNDS: usize = 5;
const ACKED_PER_ROUND: usize = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut acked = BTreeMap::new();
    for round in 0..ROUNDS {
        let mut child = spawn(dir.path(), round);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let before = acked.len();
        while acked.len() < before + ACKED_PER_ROUND {
            let line = lines.next().expect("the child writes until it is killed").unwrap();
            acked.extend(parse(&line));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had said before it died counts too.
        acked.extend(lines.map_while(Result::ok).filter_map(|line| parse(&line)));
        check(dir.path(), &acked, round).await;
    }
}

async fn check(dir: &Path, acked: &BTreeMap<Revision, JobId>, round: usize) {
    let (_, marked) = HighWaterMark::open(&dir.join("log.mark")).unwrap();
    let log = open(dir);
    let mut found = BTreeMap::new();
    let mut after = Revision::ZERO;
    loop {
        let page = log.read(after, &Filter::All, 1_000).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.revision;
        found.extend(page.iter().map(|entry| (entry.revision, entry.key.job.clone())));
    }
    for (revision, job) in acked {
        assert_eq!(found.get(revision), Some(job), "round {round}: {revision} was acknowledged");
        let document = log.blob(job, "document").await.unwrap();
        assert_eq!(document.as_deref(), Some(job.as_str().as_bytes()), "round {round}: the document of {job}");
    }
    let dense: Vec<Revision> = (1..=found.len() as u64).map(Revision).collect();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), dense, "round {round}: revisions without a gap");
    // Written while it ran: a mark of this round, and none that is ahead of the log.
    let (begun, head) = (log.info().epochs[2 * round].start, log.info().current().start);
    assert!(matches!(marked, MarkState::At(at) if begun < at && at <= head), "round {round}: {marked:?} of {head}");
    assert_eq!(log.info().epochs.len(), 2 * (round + 1));
    assert!(log.info().epochs.iter().all(|epoch| log.info().covers(epoch.id, epoch.start)));
}

fn spawn(dir: &Path, round: usize) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "sqlite::tests::crash::the_child", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(DIR, dir).env("ROUND", round.to_string()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn parse(line: &str) -> Option<(Revision, JobId)> {
    let (revision, job) = line.strip_prefix("acked ")?.split_once(' ')?;
    Some((Revision(revision.parse().ok()?), JobId::new(job)))
}

/// Writes and says so, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "is run and killed by nothing_acknowledged_is_lost"]
async fn the_child() {
    let (Ok(dir), Ok(round)) = (std::env::var(DIR), std::env::var("ROUND")) else { return };
    // Small, so that checkpoints are under way when it is killed.
    let log = Arc::new(SqliteLog::open(dir.as_ref(), Options { checkpoint_bytes: 256 * 1024, ..options() }).unwrap());
    let writers = (0..16).map(|writer| {
        let (log, round) = (log.clone(), round.clone());
        tokio::spawn(async move {
            for number in 0.. {
                if writer % 4 == 0 {
                    write_many(&log, &format!("J-{round}-{writer}-{number}")).await;
                } else {
                    write(&log, &format!("J-{round}-{writer}-{number}")).await;
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}

async fn write(log: &SqliteLog, id: &str) {
    let document = Blob { name: "document".into(), bytes: Bytes::copy_from_slice(id.as_bytes()) };
    let first = Append { blobs: vec![document], ..samples::create(id, "alice") };
    let one = log.append(first.clone()).await.unwrap();
    acknowledge(one, id);
    let two = log.append(samples::update(samples::job_of(&first), one, 1)).await.unwrap();
    acknowledge(two, id);
}

/// Makes several jobs by one call.
async fn write_many(log: &SqliteLog, id: &str) {
    let ids: Vec<String> = (0..5).map(|number| format!("{id}-{number}")).collect();
    let create = |id: &String| {
        let document = Blob { name: "document".into(), bytes: Bytes::copy_from_slice(id.as_bytes()) };
        Append { blobs: vec![document], ..samples::create(id, "alice") }
    };
    let made = log.append_all(ids.iter().map(create).collect()).await;
    ids.iter().zip(made).for_each(|(id, made)| acknowledge(made.unwrap(), id));
}

fn acknowledge(revision: Revision, id: &str) {
    // One write for each line, so that lines do not mix; the parent is gone when it fails.
    let _ = std::io::stdout().write_all(format!("\nacked {revision} {id}\n").as_bytes());
}
