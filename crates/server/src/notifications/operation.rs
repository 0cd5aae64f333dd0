//! Operations as the servers of one log share them: notes, as MessagePack with names. Fields that a version does not know are passed
//! over, and so is an operation that it cannot read.

use bytes::Bytes;
use courant_joblog::ids::{Revision, Timestamp};
use courant_joblog::notes::{Note, NoteKey};
use serde::{Deserialize, Serialize};

use super::store::{Draft, Item, MESSAGE, Obsolete, Operation, What, endpoint_name};
use super::subscription::Subscription;
use crate::lanes;
use crate::seal::Sealer;
use crate::webhook_store;

/// Kinds of notes. Those of the first three go when they are older than notifications are kept.
pub(super) const MESSAGES: &str = "message";
pub(super) const READ: &str = "read";
pub(super) const UNSUBSCRIBED: &str = "unsubscribed";
const SUBSCRIBED: &str = "subscribed";
const SENT: &str = "sent";

#[derive(Serialize, Deserialize)]
enum StoredOperation {
    Message(StoredMessage),
    Read {
        user: String,
        ids: Vec<String>,
        at: i64,
    },
    Subscribe {
        owner: String,
        /// Where to send and its keys, sealed: whoever knows them can write to the browser.
        sealed: Vec<u8>,
        name: String,
        most: u64,
        at: i64,
        sent: Option<i64>,
        by: u64,
    },
    Unsubscribe {
        owner: String,
        name: String,
    },
    Sent {
        owner: String,
        name: String,
        change: i64,
    },
}

#[derive(Serialize, Deserialize)]
struct StoredMessage {
    id: String,
    owner: Option<String>,
    severity: i32,
    title: String,
    body: String,
    job: String,
    made: i64,
    by: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredSubscription {
    endpoint: String,
    p256dh: Vec<u8>,
    auth: Vec<u8>,
}

/// Where an operation is kept. Of two with one key the newer says all that the older said.
pub(super) fn key(operation: &Operation) -> NoteKey {
    let key = |kind, user: &str, name: &str| NoteKey { kind, user: user.into(), name: name.into() };
    match operation {
        Operation::Message { draft, .. } => message_key(draft.owner.as_deref().unwrap_or_default(), &draft.id),
        // Each for itself: if a later one took its place, a server that begins with nothing would give what was read another number.
        Operation::Read { user, .. } => key(READ, user, &format!("{:016x}", fastrand::u64(..))),
        Operation::Subscribe { owner, subscription, .. } => {
            key(SUBSCRIBED, owner, &endpoint_name(&subscription.endpoint))
        }
        Operation::Unsubscribe { owner, endpoint_name } => key(UNSUBSCRIBED, owner, endpoint_name),
        Operation::Sent { owner, endpoint_name, .. } => key(SENT, owner, endpoint_name),
    }
}

/// Where what is obsolete is kept.
pub(super) fn keys_of(obsolete: &Obsolete) -> Vec<NoteKey> {
    match obsolete {
        Obsolete::Message { owner, id } => vec![message_key(owner, id)],
        Obsolete::Subscription { owner, endpoint_name } => subscription_keys(owner, endpoint_name).into(),
    }
}

pub(super) fn subscription_keys(owner: &str, endpoint_name: &str) -> [NoteKey; 2] {
    [SUBSCRIBED, SENT].map(|kind| NoteKey { kind, user: owner.into(), name: endpoint_name.into() })
}

fn message_key(owner: &str, id: &str) -> NoteKey {
    NoteKey { kind: MESSAGES, user: owner.into(), name: id.into() }
}

pub(super) fn encode(operation: Operation, sealer: &Sealer) -> Result<Bytes, rmp_serde::encode::Error> {
    let stored = match operation {
        Operation::Message { draft, by } => {
            let Draft { id, owner, severity, title, body, job, made: Timestamp(made), .. } = draft;
            StoredOperation::Message(StoredMessage { id, owner, severity, title, body, job, made, by })
        }
        Operation::Read { user, ids, at: Timestamp(at) } => StoredOperation::Read { user, ids, at },
        Operation::Subscribe { owner, subscription, most, at: Timestamp(at), sent, by } => {
            let name = endpoint_name(&subscription.endpoint);
            let Subscription { endpoint, p256dh, auth } = subscription;
            let plain = rmp_serde::to_vec_named(&StoredSubscription { endpoint, p256dh, auth })?;
            let sealed = sealer.seal(&name, &plain);
            StoredOperation::Subscribe { owner, sealed, name, most: most as u64, at, sent, by }
        }
        Operation::Unsubscribe { owner, endpoint_name: name } => StoredOperation::Unsubscribe { owner, name },
        Operation::Sent { owner, endpoint_name: name, change } => StoredOperation::Sent { owner, name, change },
    };
    rmp_serde::to_vec_named(&stored).map(Bytes::from)
}

/// None for what this version or this server cannot read; the log says so.
pub(super) fn decode(note: &Note, sealer: &Sealer) -> Option<Item> {
    if lanes::is_note(&note.bytes) || webhook_store::is_note(&note.bytes) {
        return None;
    }
    let read = rmp_serde::from_slice::<StoredOperation>(&note.bytes);
    let read = read.inspect_err(|error| {
        tracing::warn!(revision = note.revision.0, %error, "a shared notification cannot be read; it is left out");
    });
    let operation = match read.ok()? {
        StoredOperation::Message(message) => message.operation(note.revision),
        StoredOperation::Read { user, ids, at } => Operation::Read { user, ids, at: Timestamp(at) },
        StoredOperation::Subscribe { owner, sealed, name, most, at, sent, by } => {
            let subscription = open(&name, &sealed, sealer)?;
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            Operation::Subscribe { owner, subscription, most, at: Timestamp(at), sent, by }
        }
        StoredOperation::Unsubscribe { owner, name } => Operation::Unsubscribe { owner, endpoint_name: name },
        StoredOperation::Sent { owner, name, change } => Operation::Sent { owner, endpoint_name: name, change },
    };
    Some(Item { revision: note.revision, what: What::Operation(operation) })
}

fn open(name: &str, sealed: &[u8], sealer: &Sealer) -> Option<Subscription> {
    let plain = sealer.unseal(name, sealed);
    if plain.is_none() {
        tracing::warn!("a browser's push subscription cannot be opened: give all servers the same --password-key-file");
    }
    let StoredSubscription { endpoint, p256dh, auth } = rmp_serde::from_slice(&plain?).ok()?;
    Some(Subscription { endpoint, p256dh, auth })
}

impl StoredMessage {
    fn operation(self, revision: Revision) -> Operation {
        let Self { id, owner, severity, title, body, job, made, by } = self;
        let made = Timestamp(made);
        let draft = Draft { id, owner, kind: MESSAGE, severity, title, body, job, made, revision: Some(revision) };
        Operation::Message { draft, by }
    }
}

#[cfg(test)]
mod tests {
    use courant_auth::Secret;
    use proptest::prelude::*;

    use super::*;

    fn sealer(fill: u8) -> Sealer {
        Sealer::new(&Secret::new([fill; 32]).unwrap(), "test")
    }

    fn operations() -> Vec<Operation> {
        let text = |text: &str| text.to_owned();
        let (at, endpoint_name) = (Timestamp(7), text("name"));
        let draft = Draft {
            id: text("by-ops-1"),
            owner: None,
            kind: MESSAGE,
            severity: 3,
            title: text("down at 9"),
            body: text("for an hour"),
            job: text("J"),
            made: at,
            revision: Some(Revision(5)),
        };
        let subscription = Subscription { endpoint: text("https://push/1"), p256dh: vec![4; 65], auth: vec![7; 16] };
        vec![
            Operation::Message { draft, by: u64::MAX },
            Operation::Read { user: text("alice"), ids: vec![text("a")], at },
            Operation::Subscribe { owner: text("alice"), subscription, most: 20, at, sent: Some(3), by: 9 },
            Operation::Unsubscribe { owner: text("alice"), endpoint_name: endpoint_name.clone() },
            Operation::Sent { owner: text("alice"), endpoint_name, change: i64::MAX },
        ]
    }

    #[test]
    fn what_is_written_is_read_and_endpoints_are_sealed() {
        for operation in operations() {
            let bytes = encode(operation.clone(), &sealer(1)).unwrap();
            assert!(!bytes.windows(8).any(|part| part == b"https://"), "{operation:?}");
            let note = Note { revision: Revision(5), bytes };
            let Item { revision, what: What::Operation(read) } = decode(&note, &sealer(1)).unwrap() else { panic!() };
            assert_eq!((revision, &read), (Revision(5), &operation));
            let is_sealed = matches!(operation, Operation::Subscribe { .. });
            assert_eq!(decode(&note, &sealer(2)).is_none(), is_sealed);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = decode(&Note { revision: Revision(1), bytes: bytes.into() }, &sealer(1));
        }
    }
}
