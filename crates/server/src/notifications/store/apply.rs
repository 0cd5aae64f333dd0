//! What the servers of one log have in common: each applies the same, in the same order, and so all number changes alike.

use std::collections::{BTreeSet, HashMap};

use courant_joblog::ids::{JobId, Revision, Timestamp};
use rusqlite::{Transaction, params};

use super::database::{Result, Store, current, insert, mark_read, set_current, set_followed};
use super::notification::{Draft, Obsolete, endpoint_name, first_change};
use super::push::subscribe;
use crate::notifications::subscription::Subscription;

/// Something that all servers apply, and its place in the order.
#[derive(Clone, Debug)]
pub struct Item {
    pub revision: Revision,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    /// A job has ended.
    JobEnded(Draft),
    /// A job was removed, or is tried again: what was said of its end is over.
    JobReopened(JobId),
    Operation(Operation),
}

/// What a user, a service or a sender of pushes did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Somebody sent a notification. `by`: a number of the server that was asked, which removes from the log what is obsolete by it.
    Message {
        draft: Draft,
        by: u64,
    },
    /// A user has read notifications; all when none is named.
    Read {
        user: String,
        ids: Vec<String>,
        at: Timestamp,
    },
    /// A browser is to be sent to. Of the user at most `most` are. `sent`: up to which change it was, if it was before.
    Subscribe {
        owner: String,
        subscription: Subscription,
        most: usize,
        at: Timestamp,
        sent: Option<i64>,
        by: u64,
    },
    Unsubscribe {
        owner: String,
        endpoint_name: String,
    },
    /// Notifications up to a change were sent to a browser.
    Sent {
        owner: String,
        endpoint_name: String,
        change: i64,
    },
}

/// What became of it.
#[derive(Debug, Default)]
pub struct Applied {
    /// Users whose notifications have changed; none: everybody's.
    pub users: BTreeSet<Option<String>>,
    /// What had to go for something newer that came by this server.
    pub obsolete: Vec<Obsolete>,
}

impl Store {
    /// Forgets everything: it was of another log.
    pub fn clear(&self) -> Result<()> {
        let mut database = self.database.lock();
        let all = database.transaction()?;
        for table in ["notices", "reads", "push"] {
            all.execute(&format!("DELETE FROM {table}"), [])?;
        }
        all.execute("DELETE FROM meta WHERE name = 'followed'", [])?;
        set_current(&all, 0)?;
        self.counts.lock().clear();
        self.commit(all)
    }

    /// Applies what has come, in its order. `followed` as in [`Store::insert`]. `by`: the number of this server.
    pub fn apply(&self, items: Vec<Item>, followed: Option<(u64, Revision)>, by: u64) -> Result<Applied> {
        let mut database = self.database.lock();
        let counts = std::mem::take(&mut *self.counts.lock());
        let mut applying = Applying {
            all: database.transaction()?,
            per_user: self.bounds.per_user,
            counts,
            done: Applied::default(),
            by,
        };
        let mut drafts = Vec::new();
        for Item { revision, what } in items {
            match what {
                What::JobEnded(draft) => drafts.push(draft),
                What::JobReopened(job) => {
                    applying.insert(&mut drafts)?;
                    applying.reopen(&job)?;
                }
                What::Operation(operation) => {
                    applying.insert(&mut drafts)?;
                    applying.operate(revision, operation)?;
                }
            }
        }
        applying.insert(&mut drafts)?;
        let Applying { all, counts, done, .. } = applying;
        if let Some(position) = followed {
            set_followed(&all, position)?;
        }
        self.commit(all)?;
        *self.counts.lock() = counts;
        Ok(done)
    }
}

struct Applying<'a> {
    all: Transaction<'a>,
    per_user: usize,
    counts: HashMap<String, usize>,
    done: Applied,
    by: u64,
}

impl Applying<'_> {
    fn insert(&mut self, drafts: &mut Vec<Draft>) -> Result<()> {
        insert(&self.all, drafts, self.per_user, &mut self.counts)?;
        self.done.users.extend(drafts.drain(..).map(|draft| draft.owner));
        Ok(())
    }

    fn reopen(&mut self, job: &JobId) -> Result<()> {
        let of_job = "SELECT id FROM notices WHERE job = ?1 AND kind <> 'message'";
        self.all.prepare_cached(&format!("DELETE FROM reads WHERE id IN ({of_job})"))?.execute([job.as_str()])?;
        let sql = "DELETE FROM notices WHERE job = ?1 AND kind <> 'message' RETURNING owner";
        let mut delete = self.all.prepare_cached(sql)?;
        let owners = delete.query_map([job.as_str()], |row| row.get::<_, String>(0))?;
        for owner in owners {
            let owner = owner?;
            self.counts.remove(&owner);
            self.done.users.insert(Some(owner));
        }
        Ok(())
    }

    fn operate(&mut self, revision: Revision, operation: Operation) -> Result<()> {
        let newest = current(&self.all)?.max(first_change(revision));
        set_current(&self.all, newest)?;
        match operation {
            Operation::Message { draft, by } => {
                let gone = insert(&self.all, std::slice::from_ref(&draft), self.per_user, &mut self.counts)?;
                self.note_obsolete(by, gone);
                self.done.users.insert(draft.owner);
            }
            Operation::Read { user, ids, at } => {
                if mark_read(&self.all, &user, &ids, at)? > 0 {
                    self.done.users.insert(Some(user));
                }
            }
            Operation::Subscribe { owner, subscription, most, at, sent, by } => {
                let gone = subscribe(&self.all, &owner, &subscription, most, at)?;
                self.note_obsolete(by, gone);
                if let Some(sent) = sent {
                    let sql = "UPDATE push SET sent = ?2 WHERE endpoint = ?1 AND sent > ?2";
                    self.all.prepare_cached(sql)?.execute(params![subscription.endpoint, sent])?;
                }
                self.done.users.insert(Some(owner));
            }
            Operation::Unsubscribe { owner, endpoint_name } => {
                if let Some(endpoint) = self.endpoint(&owner, &endpoint_name)? {
                    self.all.prepare_cached("DELETE FROM push WHERE endpoint = ?1")?.execute([endpoint])?;
                }
            }
            Operation::Sent { owner, endpoint_name, change } => {
                if let Some(endpoint) = self.endpoint(&owner, &endpoint_name)? {
                    let sql = "UPDATE push SET sent = ?2 WHERE endpoint = ?1 AND sent < ?2";
                    self.all.prepare_cached(sql)?.execute(params![endpoint, change])?;
                }
            }
        }
        Ok(())
    }

    fn note_obsolete(&mut self, by: u64, gone: Vec<Obsolete>) {
        if by == self.by {
            self.done.obsolete.extend(gone);
        }
    }

    /// The endpoint of this name, if it is the owner's.
    fn endpoint(&self, owner: &str, name: &str) -> Result<Option<String>> {
        let mut query = self.all.prepare_cached("SELECT endpoint FROM push WHERE owner = ?1")?;
        for endpoint in query.query_map([owner], |row| row.get::<_, String>(0))? {
            let endpoint = endpoint?;
            if endpoint_name(&endpoint) == name {
                return Ok(Some(endpoint));
            }
        }
        Ok(None)
    }
}
