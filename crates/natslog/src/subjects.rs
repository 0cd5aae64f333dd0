//! What messages are called. The first token is the stream's name, the third the partition: streams that each take some of the
//! partitions can follow later without another name for any message.
//!
//! | subject | message |
//! | --- | --- |
//! | `<stream>.job.<partition>.<owner>.<job>` | entries of a job |
//! | `<stream>.blob.<partition>.<owner>.<job>.<name>` | a blob |
//! | `<stream>.note.<kind>.<partition>.<user>.<name>` | a note |
//! | `<stream>.dropped` | up to where tombstones are gone |
//!
//! What comes from outside is encoded and bounded by [`Key::encode`]: no wildcard, no dot, at most 64 bytes a token.

use courant_joblog::ids::{JobId, Owner};
use courant_joblog::log::{Key, token};
use courant_joblog::notes::NoteKey;

/// Makes subjects of one stream, and takes them apart.
#[derive(Clone, Debug)]
pub(crate) struct Subjects {
    stream: Box<str>,
    /// How subjects of entries begin.
    jobs: Box<str>,
}

impl Subjects {
    pub(crate) fn new(stream: &str) -> Self {
        Self { stream: stream.into(), jobs: format!("{stream}.job.").into() }
    }

    /// Everything in the stream.
    pub(crate) fn everything(&self) -> String {
        format!("{}.>", self.stream)
    }

    /// Entries of all jobs.
    pub(crate) fn jobs(&self) -> String {
        format!("{}>", self.jobs)
    }

    pub(crate) fn of_owner(&self, owner: &Owner) -> String {
        format!("{}{}.*", self.jobs, Key::encode_owner(owner))
    }

    pub(crate) fn of_key(&self, key: &Key) -> String {
        format!("{}{}", self.jobs, key.encode())
    }

    /// Entries of a job, by its owner's [`Key::encode_owner`] and its own token.
    pub(crate) fn of_job(&self, owner: &str, job: &str) -> String {
        format!("{}{owner}.{job}", self.jobs)
    }

    pub(crate) fn blob(&self, owner: &str, job: &JobId, name: &str) -> String {
        format!("{}.blob.{owner}.{}.{}", self.stream, token(job.as_str()), token(name))
    }

    /// All blobs of a job.
    pub(crate) fn blobs(&self, owner: &str, job: &str) -> String {
        format!("{}.blob.{owner}.{job}.*", self.stream)
    }

    pub(crate) fn note(&self, key: &NoteKey) -> String {
        format!("{}.note.{}", self.stream, key.encode())
    }

    /// All notes, of every kind and user.
    pub(crate) fn notes(&self) -> String {
        format!("{}.note.>", self.stream)
    }

    pub(crate) fn notes_of(&self, kind: &str) -> String {
        format!("{}.note.{kind}.>", self.stream)
    }

    pub(crate) fn is_note(&self, subject: &str) -> bool {
        subject.strip_prefix(&*self.stream).is_some_and(|rest| rest.starts_with(".note."))
    }

    /// All blobs of all jobs.
    pub(crate) fn all_blobs(&self) -> String {
        format!("{}.blob.>", self.stream)
    }

    pub(crate) fn dropped(&self) -> String {
        format!("{}.dropped", self.stream)
    }

    /// The owner's part and the job's token of an entry's subject.
    pub(crate) fn parse<'a>(&self, subject: &'a str) -> Option<(&'a str, &'a str)> {
        subject.strip_prefix(&*self.jobs)?.rsplit_once('.')
    }
}

#[cfg(test)]
mod tests {
    use courant_joblog::ids::DocumentId;

    use super::*;

    #[test]
    fn hostile_ids_stay_within_their_token() {
        let subjects = Subjects::new("courant");
        for hostile in ["*", ">", "a.b", "", " ", "\r\nPUB x 1", &"x".repeat(5_000), "$JS.API"] {
            let key = Key { owner: Owner::new(hostile), document: DocumentId::new(hostile), job: JobId::new(hostile) };
            let subject = subjects.of_key(&key);
            assert_eq!(subject.split('.').count(), 5, "{subject}");
            assert!(subject.len() < 200 && subject.bytes().all(|byte| byte.is_ascii_graphic()), "{subject}");
            assert!(!subject.contains(['*', '>']), "{subject}");
            let (owner, job) = subjects.parse(&subject).unwrap();
            assert_eq!((subjects.of_job(owner, job), job), (subject.clone(), &*token(hostile)));
            assert_eq!(subjects.blob(owner, &key.job, hostile).split('.').count(), 6);
            let note = NoteKey { kind: "read", user: hostile.into(), name: hostile.into() };
            let subject = subjects.note(&note);
            assert_eq!((subject.split('.').count(), subject.contains(['*', '>'])), (6, false));
            assert!(subjects.is_note(&subject) && subjects.parse(&subject).is_none());
        }
        assert_eq!(subjects.parse("courant.blob.01.a.b.c"), None);
    }
}
