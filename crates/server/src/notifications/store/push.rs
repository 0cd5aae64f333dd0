//! Who is sent to by Web Push, and how far.

use courant_joblog::ids::Timestamp;
use rusqlite::{OptionalExtension as _, Row, Transaction, params, params_from_iter};

use super::database::{FIND, Result, Store, current, notification};
use super::notification::{Obsolete, StoredNotification, endpoint_name};
use crate::notifications::subscription::{Delivery, Subscription};

impl Store {
    /// Keeps a subscription, from the next notification on; one that is there keeps its position, unless it was another
    /// user's. Over `most` the owner's oldest go.
    pub fn subscribe(&self, owner: &str, to: &Subscription, most: usize, now: Timestamp) -> Result<()> {
        self.synced(|database| {
            let all = database.transaction()?;
            subscribe(&all, owner, to, most, now)?;
            Ok(all.commit()?)
        })
    }

    /// Ends a subscription of an owner.
    pub fn unsubscribe(&self, owner: &str, endpoint: &str) -> Result<()> {
        let sql = "DELETE FROM push WHERE owner = ?1 AND endpoint = ?2";
        self.synced(|database| Ok(database.prepare_cached(sql)?.execute([owner, endpoint]).map(drop)?))
    }

    /// The subscriptions of some users, or of all.
    pub fn subscriptions(&self, users: Option<&[String]>) -> Result<Vec<Delivery>> {
        let database = self.database.lock();
        let mut found = Vec::new();
        match users {
            None => {
                let mut query =
                    database.prepare_cached("SELECT owner, endpoint, p256dh, auth FROM push ORDER BY made")?;
                for subscription in query.query_map([], delivery)? {
                    found.push(subscription?);
                }
            }
            Some(users) => {
                let sql = "SELECT owner, endpoint, p256dh, auth FROM push WHERE owner = ?1 ORDER BY made";
                let mut query = database.prepare_cached(sql)?;
                for user in users {
                    for subscription in query.query_map(params_from_iter([user]), delivery)? {
                        found.push(subscription?);
                    }
                }
            }
        }
        Ok(found)
    }

    /// What a subscription waits for: unread, made since, in the order it was made.
    pub fn unsent(&self, endpoint: &str, since: Timestamp, most: usize) -> Result<Vec<StoredNotification>> {
        let database = self.database.lock();
        let mut query = database.prepare_cached("SELECT owner, sent FROM push WHERE endpoint = ?1")?;
        let mut rows = query.query([endpoint])?;
        let Some(row) = rows.next()? else { return Ok(Vec::new()) };
        let (owner, sent): (String, i64) = (row.get(0)?, row.get(1)?);
        let sql = format!("{FIND} AND n.change > ?2 AND n.made >= ?3 AND r.read IS NULL ORDER BY n.change LIMIT ?4");
        let mut query = database.prepare_cached(&sql)?;
        let found = query.query_map(params![owner, sent, since.0, most as i64], notification)?;
        Ok(found.collect::<std::result::Result<_, _>>()?)
    }

    /// Up to which change a subscription of an owner was sent to; none if there is no such subscription.
    pub fn sent(&self, owner: &str, endpoint: &str) -> Result<Option<i64>> {
        let sql = "SELECT sent FROM push WHERE endpoint = ?1 AND owner = ?2";
        Ok(self.database.lock().prepare_cached(sql)?.query_row([endpoint, owner], |row| row.get(0)).optional()?)
    }

    /// Notifications up to a change were sent. After a crash of the machine the last ones may be sent once more.
    pub fn was_sent(&self, endpoint: &str, change: i64) -> Result<()> {
        let sql = "UPDATE push SET sent = ?2 WHERE endpoint = ?1 AND sent < ?2";
        self.database.lock().prepare_cached(sql)?.execute(params![endpoint, change])?;
        Ok(())
    }
}

/// Gives the subscriptions that had to go for it.
pub(super) fn subscribe(
    all: &Transaction<'_>,
    owner: &str,
    to: &Subscription,
    most: usize,
    now: Timestamp,
) -> rusqlite::Result<Vec<Obsolete>> {
    let change = current(all)?;
    let obsolete =
        |owner: String, endpoint: &str| Obsolete::Subscription { owner, endpoint_name: endpoint_name(endpoint) };
    let other = "SELECT owner FROM push WHERE endpoint = ?1 AND owner <> ?2";
    let other: Option<String> = all.query_row(other, [to.endpoint.as_str(), owner], |row| row.get(0)).optional()?;
    let mut gone: Vec<Obsolete> = other.map(|other| obsolete(other, &to.endpoint)).into_iter().collect();
    // The newest, also by a clock that was set back.
    let newest = "SELECT COALESCE(MAX(made), 0) FROM push WHERE owner = ?1 AND endpoint <> ?2";
    let newest: i64 = all.query_row(newest, [owner, &to.endpoint], |row| row.get(0))?;
    let made = now.0.max(newest.saturating_add(1));
    let sql = "INSERT INTO push VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (endpoint) DO UPDATE SET
        sent = iif(owner = excluded.owner, sent, excluded.sent),
        owner = excluded.owner, p256dh = excluded.p256dh, auth = excluded.auth, made = excluded.made";
    all.execute(sql, params![to.endpoint, owner, to.p256dh, to.auth, made, change])?;
    let oldest = "DELETE FROM push WHERE owner = ?1 AND endpoint NOT IN (
        SELECT endpoint FROM push WHERE owner = ?1 ORDER BY made DESC, rowid DESC LIMIT ?2) RETURNING endpoint";
    let mut delete = all.prepare_cached(oldest)?;
    for endpoint in delete.query_map(params![owner, most as i64], |row| row.get::<_, String>(0))? {
        gone.push(obsolete(owner.to_owned(), &endpoint?));
    }
    Ok(gone)
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let subscription = Subscription { endpoint: row.get(1)?, p256dh: row.get(2)?, auth: row.get(3)? };
    Ok(Delivery { owner: row.get(0)?, subscription })
}

#[cfg(test)]
mod tests {
    use super::super::database::tests::{draft, store};
    use super::*;

    fn subscription(endpoint: &str) -> Subscription {
        Subscription { endpoint: endpoint.into(), p256dh: vec![4; 65], auth: vec![7; 16] }
    }

    fn unsent(store: &Store, endpoint: &str) -> Vec<String> {
        let found = store.unsent(endpoint, Timestamp(0), 10).unwrap();
        found.into_iter().map(|notification| notification.id).collect()
    }

    #[test]
    fn a_subscription_is_sent_what_comes_after_it_is_unread_and_was_not_sent() {
        let store = store(10);
        store.insert(&[draft("old", Some("alice"))], None).unwrap();
        store.subscribe("alice", &subscription("a"), 5, Timestamp(1)).unwrap();
        let drafts = [draft("1", Some("alice")), draft("2", Some("bob")), draft("3", None), draft("4", Some("alice"))];
        store.insert(&drafts, None).unwrap();
        assert_eq!(unsent(&store, "a"), ["1", "3", "4"]);
        store.mark_read("alice", &["3".into()], Timestamp(2)).unwrap();
        let first = store.unsent("a", Timestamp(0), 1).unwrap().remove(0);
        store.was_sent("a", first.change).unwrap();
        assert_eq!(unsent(&store, "a"), ["4"]);
        // Renewed, it goes on where it was.
        store.subscribe("alice", &subscription("a"), 5, Timestamp(3)).unwrap();
        assert_eq!(unsent(&store, "a"), ["4"]);
        assert!(store.unsent("a", Timestamp(i64::MAX), 10).unwrap().is_empty(), "too old");
        // The same browser with another user: what was the first one's is not sent to the second.
        store.subscribe("bob", &subscription("a"), 5, Timestamp(4)).unwrap();
        assert!(unsent(&store, "a").is_empty());
    }

    #[test]
    fn subscriptions_are_the_owners_and_the_oldest_go() {
        let store = store(10);
        for (made, endpoint) in (0..).zip(["a", "b", "c"]) {
            store.subscribe("alice", &subscription(endpoint), 2, Timestamp(made)).unwrap();
        }
        store.subscribe("alice", &subscription("c"), 2, Timestamp(-86_400_000)).unwrap();
        store.subscribe("bob", &subscription("d"), 2, Timestamp(9)).unwrap();
        let of = |users: Option<&[String]>| -> Vec<String> {
            store.subscriptions(users).unwrap().into_iter().map(|found| found.subscription.endpoint).collect()
        };
        assert_eq!(of(Some(&["alice".into(), "nobody".into()])), ["b", "c"]);
        store.unsubscribe("bob", "b").unwrap();
        assert_eq!(of(None), ["b", "c", "d"]);
        store.unsubscribe("alice", "b").unwrap();
        store.unsubscribe("bob", "d").unwrap();
        assert_eq!(of(None), ["c"]);
        assert!(unsent(&store, "d").is_empty());
    }
}
