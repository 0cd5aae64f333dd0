//! Notes are in one order with entries, each key has one, and all that arrived can be read.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Subject, create};
use crate::ids::Revision;
use crate::log::AppendError;
use crate::notes::{MAX_NOTE_BYTES, Note, NoteKey, Notes, Put};

const PATIENCE: Duration = Duration::from_secs(30);
const ALL: Revision = Revision(u64::MAX);

fn notes(log: &Subject) -> Arc<dyn Notes> {
    log.notes().expect("this log has notes")
}

fn key(kind: &'static str, user: &str, name: &str) -> NoteKey {
    NoteKey { kind, user: user.into(), name: name.into() }
}

async fn put(notes: &dyn Notes, key: &NoteKey, text: &str, put: Put) -> Result<Revision, AppendError> {
    notes.put(key, Bytes::copy_from_slice(text.as_bytes()), put).await
}

async fn replace(notes: &dyn Notes, key: &NoteKey, text: &str) -> Revision {
    put(notes, key, text, Put::Replace).await.expect("it is put")
}

async fn arrived(notes: &dyn Notes, revision: Revision) {
    let mut arrived = notes.arrived();
    let reached = arrived.wait_for(|arrived| *arrived >= revision);
    tokio::time::timeout(PATIENCE, reached).await.expect("it arrives").expect("the log goes on");
}

/// All that is there up to a revision, once that has arrived.
async fn read(notes: &dyn Notes, up_to: Revision, limit: usize) -> Vec<Note> {
    let (mut all, mut after) = (Vec::new(), Revision::ZERO);
    loop {
        let page = notes.read(after, up_to, limit).await.expect("notes can be read");
        let Some(last) = page.last() else { return all };
        assert!(page.len() <= limit, "no more than was asked for");
        after = last.revision;
        all.extend(page);
    }
}

fn texts(notes: &[Note]) -> Vec<&str> {
    notes.iter().map(|note| std::str::from_utf8(&note.bytes).expect("text")).collect()
}

pub async fn notes_and_entries_are_in_one_order(log: Subject) {
    let notes = notes(&log);
    let mut revisions = Vec::new();
    for number in 0..5 {
        revisions.push(create(&log, &format!("J{number}"), "alice").await.1);
        revisions.push(replace(&*notes, &key("read", "alice", &number.to_string()), "x").await);
    }
    assert!(revisions.is_sorted_by(|one, next| one < next), "{revisions:?}");
    let last = *revisions.last().expect("there are some");
    arrived(&*notes, last).await;
    let read: Vec<Revision> = read(&*notes, ALL, 100).await.iter().map(|note| note.revision).collect();
    assert_eq!(read, revisions.iter().skip(1).step_by(2).copied().collect::<Vec<_>>());
    let entries = super::read_all(&log, &crate::log::Filter::All).await;
    assert_eq!(super::revisions(&entries), revisions.iter().step_by(2).copied().collect::<Vec<_>>());
}

pub async fn a_note_takes_the_place_of_the_one_with_its_key(log: Subject) {
    let notes = notes(&log);
    replace(&*notes, &key("read", "alice", "a"), "old").await;
    replace(&*notes, &key("read", "bob", "a"), "bob's").await;
    replace(&*notes, &key("message", "alice", "a"), "of another kind").await;
    let last = replace(&*notes, &key("read", "alice", "a"), "new").await;
    arrived(&*notes, last).await;
    assert_eq!(texts(&read(&*notes, ALL, 100).await), ["bob's", "of another kind", "new"]);
}

pub async fn a_note_that_must_be_the_first_is_put_once(log: Subject) {
    let notes = notes(&log);
    let key = key("message", "", "by-ops/1 of *.>");
    let first = put(&*notes, &key, "first", Put::IfAbsent).await.expect("there was none");
    match put(&*notes, &key, "second", Put::IfAbsent).await {
        Err(AppendError::Conflict { actual }) => assert_eq!(actual, Some(first)),
        other => panic!("{other:?}"),
    }
    arrived(&*notes, first).await;
    assert_eq!(texts(&read(&*notes, ALL, 100).await), ["first"]);
    notes.remove(&key).await.expect("it is removed");
    put(&*notes, &key, "third", Put::IfAbsent).await.expect("there is none any more");
}

pub async fn notes_are_read_in_pages_up_to_a_revision(log: Subject) {
    let notes = notes(&log);
    let mut revisions = Vec::new();
    for number in 0..20 {
        revisions.push(replace(&*notes, &key("read", "alice", &number.to_string()), &number.to_string()).await);
    }
    arrived(&*notes, revisions[19]).await;
    for limit in [1, 3, 100] {
        assert_eq!(texts(&read(&*notes, revisions[4], limit).await), ["0", "1", "2", "3", "4"]);
    }
    assert_eq!(read(&*notes, ALL, 7).await.len(), 20);
    assert!(notes.read(revisions[19], ALL, 7).await.expect("notes can be read").is_empty());
}

pub async fn removed_notes_are_gone_and_others_are_not(log: Subject) {
    let notes = notes(&log);
    for number in 0..4 {
        replace(&*notes, &key("read", "alice", &number.to_string()), &format!("read {number}")).await;
    }
    let keep = replace(&*notes, &key("read", "alice", "4"), "read 4").await;
    let last = replace(&*notes, &key("push", "alice", "0"), "push 0").await;
    arrived(&*notes, last).await;
    notes.remove(&key("read", "alice", "none")).await.expect("none there is fine");
    notes.remove_older("read", keep).await.expect("they are removed");
    assert_eq!(texts(&read(&*notes, ALL, 100).await), ["read 4", "push 0"]);
    notes.remove(&key("push", "alice", "0")).await.expect("it is removed");
    assert_eq!(texts(&read(&*notes, ALL, 100).await), ["read 4"]);
    notes.remove_older("message", Revision(u64::MAX)).await.expect("none there is fine");
}

pub async fn a_note_that_is_too_large_is_refused(log: Subject) {
    let notes = notes(&log);
    let large = Bytes::from(vec![0; MAX_NOTE_BYTES + 1]);
    let refused = notes.put(&key("read", "alice", "0"), large.clone(), Put::Replace).await;
    assert!(matches!(refused, Err(AppendError::TooLarge { .. })), "{refused:?}");
    notes.put(&key("read", "alice", "0"), large.slice(1..), Put::Replace).await.expect("it is not too large");
}
