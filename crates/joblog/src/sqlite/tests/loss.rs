//! Lost, cut and restored files: what was acknowledged is never missing in silence.

use super::*;
use crate::sqlite::mark::JUMP;

/// What a crash at this moment would leave, with the newest mark.
struct Crashed {
    dir: TempDir,
    head: Revision,
    epoch: u64,
}

impl Crashed {
    /// A log of 20 jobs, nothing of which was moved out of the write-ahead log yet.
    async fn new() -> Self {
        let (original, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let log = open(original.path());
        let head = append_jobs(&log, 0..20).await[19];
        let epoch = log.info().current().id;
        let copy = |name: &str| std::fs::copy(original.path().join(name), dir.path().join(name)).unwrap();
        copy("log.db");
        copy("log.db-wal");
        drop(log);
        copy("log.mark");
        Self { dir, head, epoch }
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.dir.path().join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(path, bytes).unwrap();
    }

    fn open(&self, loss: OnLoss) -> Result<SqliteLog, OpenError> {
        SqliteLog::open(self.dir.path(), Options { loss, ..options() })
    }

    fn refused(&self) -> (Revision, Revision) {
        match self.open(OnLoss::Refuse) {
            Err(error @ OpenError::Truncated { have, expected, .. }) => {
                assert!(error.to_string().contains("--accept-log-loss"), "{error}");
                (have, expected)
            }
            other => panic!("expected a refusal, got {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_crash_loses_nothing() {
    let crashed = Crashed::new().await;
    let log = crashed.open(OnLoss::Refuse).unwrap();
    assert_eq!(revisions(&log).await.len(), 20);
    assert!(log.info().covers(crashed.epoch, crashed.head));
}

#[tokio::test]
async fn a_write_ahead_log_cut_short_anywhere_is_noticed() {
    for tenth in 0..=10 {
        let crashed = Crashed::new().await;
        crashed.change("log.db-wal", |bytes| bytes.truncate(bytes.len() * tenth / 10));
        if tenth == 10 {
            assert_eq!(revisions(&crashed.open(OnLoss::Refuse).unwrap()).await.len(), 20);
            continue;
        }
        let (have, expected) = crashed.refused();
        assert!(have < expected && expected == crashed.head, "{tenth} tenths: {have} of {expected}");
        assert_eq!(crashed.refused(), (have, expected), "asking twice changes nothing");
    }
}

#[tokio::test]
async fn a_changed_bit_in_the_write_ahead_log_is_noticed() {
    let crashed = Crashed::new().await;
    crashed.change("log.db-wal", |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    let (have, expected) = crashed.refused();
    assert!(have < expected);
}

#[tokio::test]
async fn a_missing_write_ahead_log_is_noticed() {
    let crashed = Crashed::new().await;
    std::fs::remove_file(crashed.dir.path().join("log.db-wal")).unwrap();
    assert_eq!(crashed.refused().1, crashed.head);
}

#[tokio::test]
async fn a_missing_database_is_noticed() {
    let crashed = Crashed::new().await;
    for name in ["log.db", "log.db-wal"] {
        std::fs::remove_file(crashed.dir.path().join(name)).unwrap();
    }
    assert_eq!(crashed.refused(), (Revision::ZERO, crashed.head));
}

#[tokio::test]
async fn an_accepted_loss_gives_no_revision_twice_and_voids_lost_positions() {
    let crashed = Crashed::new().await;
    crashed.change("log.db-wal", |bytes| bytes.truncate(bytes.len() * 2 / 3));
    let (have, expected) = crashed.refused();
    let log = crashed.open(OnLoss::Accept).unwrap();
    assert_eq!(*log.head().borrow(), have);
    assert!(log.info().covers(crashed.epoch, have));
    assert!(!log.info().covers(crashed.epoch, Revision(have.0 + 1)));
    drop(log);

    let log = crashed.open(OnLoss::Refuse).expect("a loss is accepted once and for all");
    let next = log.append(samples::create("new", "alice")).await.unwrap();
    assert_eq!(next, Revision(expected.0 + 1));
    assert!(!log.info().covers(crashed.epoch, expected));
    let seen = log.read(have, &Filter::All, 10).await.unwrap();
    assert_eq!(seen.iter().map(|entry| entry.revision).collect::<Vec<_>>(), [next], "followers cross the jump");
}

#[tokio::test]
async fn a_damaged_mark_is_told_apart() {
    let crashed = Crashed::new().await;
    crashed.change("log.mark", |bytes| bytes[10] ^= 1);
    let error = crashed.open(OnLoss::Refuse).unwrap_err();
    assert!(matches!(error, OpenError::MarkDamaged { .. }), "{error}");
    let log = crashed.open(OnLoss::Accept).unwrap();
    assert_eq!(revisions(&log).await.len(), 20);
    let next = log.append(samples::create("new", "alice")).await.unwrap();
    assert_eq!(next, Revision(crashed.head.0 + JUMP + 1), "how far it went is not known, so it jumps far");
    drop(log);
    crashed.open(OnLoss::Refuse).unwrap();
}

#[tokio::test]
async fn a_missing_mark_is_made_again() {
    let crashed = Crashed::new().await;
    std::fs::remove_file(crashed.dir.path().join("log.mark")).unwrap();
    let log = crashed.open(OnLoss::Refuse).unwrap();
    append_jobs(&log, 20..21).await;
    drop(log);
    std::fs::remove_file(crashed.dir.path().join("log.db")).unwrap();
    assert_eq!(crashed.refused().1, Revision(crashed.head.0 + 1));
}

#[tokio::test]
async fn a_backup_put_back_is_noticed() {
    let (dir, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let copy = |from: &Path, to: &Path, name: &str| std::fs::copy(from.join(name), to.join(name)).unwrap();
    let log = open(dir.path());
    let (one, saved) = (log.info().current().id, append_jobs(&log, 0..5).await[4]);
    drop(log);
    copy(dir.path(), backup.path(), "log.db");
    copy(dir.path(), backup.path(), "log.mark");
    let log = open(dir.path());
    let (two, lost) = (log.info().current().id, append_jobs(&log, 5..9).await[3]);
    drop(log);

    copy(backup.path(), dir.path(), "log.db");
    let error = SqliteLog::open(dir.path(), options()).unwrap_err();
    assert!(
        matches!(error, OpenError::Truncated { have, expected, .. } if (have, expected) == (saved, lost)),
        "{error}"
    );

    copy(backup.path(), dir.path(), "log.mark");
    let log = open(dir.path());
    let again = append_jobs(&log, 5..9).await[3];
    assert_eq!(again, lost, "the same numbers mean other entries now");
    let info = log.info();
    assert!(info.covers(one, saved));
    assert!(!info.covers(two, lost) && !info.covers(two, saved) && !info.covers(one, lost));
    assert!(info.covers(info.current().id, again));
}
