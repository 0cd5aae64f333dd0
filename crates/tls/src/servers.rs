//! Servers that are equal: a client uses one of them, and goes on at the next when that one is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::codegen::http::Uri;
use tonic::transport::Endpoint;

/// Addresses of one server, or of several that share a log. Clones go to the same one.
#[derive(Clone, Debug)]
pub struct Servers {
    inner: Arc<Inner>,
    /// How long whoever connects waits while there is none.
    patience: Duration,
}

#[derive(Debug)]
struct Inner {
    addresses: Vec<Uri>,
    /// The index of the one that took the last connection.
    current: AtomicUsize,
    /// Of all channels to them, also those that do not wait.
    absence: Mutex<Option<Absence>>,
}

/// No server takes a connection.
#[derive(Clone, Copy, Debug)]
struct Absence {
    since: Instant,
    tried: Instant,
}

/// What to do about a server that is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Away {
    /// It may be back in a moment.
    Wait,
    /// It has been away for longer than one waits.
    GiveUp,
}

/// For so long the failure of one to connect is that of all who have stopped waiting: calls that come one after another would
/// each wait for it to fail.
const FAILED_FOR: Duration = Duration::from_millis(200);

/// Addresses that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    #[error("the server's address {address:?} cannot be used: {reason}; write it like http://127.0.0.1:50051")]
    Wrong { address: String, reason: String },
    #[error("the servers' addresses {addresses:?} begin with http:// and with https://; let all begin alike")]
    Mixed { addresses: String },
}

impl Servers {
    /// Of `http://host:port` or `https://host:port`, several with commas between them. The first to be used is drawn, so that many
    /// clients with the same addresses spread over the servers.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let addresses = text.split(',').map(|address| parse(address.trim())).collect::<Result<Vec<_>, _>>()?;
        if addresses.iter().any(|address| address.scheme() != addresses[0].scheme()) {
            return Err(AddressError::Mixed { addresses: text.to_owned() });
        }
        let current = AtomicUsize::new(fastrand::usize(..addresses.len()));
        let inner = Inner { addresses, current, absence: Mutex::new(None) };
        Ok(Self { inner: Arc::new(inner), patience: Duration::ZERO })
    }

    /// The same servers; who connects waits so long for them, from when the first connection to them failed.
    #[must_use]
    pub fn patient(&self, patience: Duration) -> Self {
        Self { patience, ..self.clone() }
    }

    pub(crate) fn is_patient(&self) -> bool {
        !self.patience.is_zero()
    }

    /// Whether it is known that none of them takes a connection, for longer than one waits.
    pub(crate) fn are_known_away(&self) -> bool {
        let absence = *self.inner.absence.lock();
        self.is_patient()
            && absence
                .is_some_and(|absence| absence.since.elapsed() > self.patience && absence.tried.elapsed() < FAILED_FOR)
    }

    /// None of them took a connection.
    pub(crate) fn failed(&self) -> Away {
        let now = Instant::now();
        let mut absence = self.inner.absence.lock();
        let known = absence.get_or_insert(Absence { since: now, tried: now });
        known.tried = now;
        if now.duration_since(known.since) < self.patience { Away::Wait } else { Away::GiveUp }
    }

    /// What a channel to them is made of. The host that requests name is that of the first.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::from(self.inner.addresses[0].clone())
    }

    /// Whether there are several.
    pub(crate) fn are_several(&self) -> bool {
        self.inner.addresses.len() > 1
    }

    /// All addresses, beginning with the one to use, each with its index.
    pub(crate) fn in_turn(&self) -> impl Iterator<Item = (usize, Uri)> {
        let (inner, first) = (self.inner.clone(), self.inner.current.load(Ordering::Relaxed));
        (0..inner.addresses.len()).map(move |step| {
            let index = (first + step) % inner.addresses.len();
            (index, inner.addresses[index].clone())
        })
    }

    /// This one took a connection.
    pub(crate) fn use_next(&self, index: usize) {
        self.inner.current.store(index, Ordering::Relaxed);
        *self.inner.absence.lock() = None;
    }
}

fn parse(address: &str) -> Result<Uri, AddressError> {
    let wrong = |reason: String| AddressError::Wrong { address: address.to_owned(), reason };
    if !address.starts_with("http://") && !address.starts_with("https://") {
        return Err(wrong("it must begin with http:// or https://".into()));
    }
    let uri: Uri = address.parse().map_err(|error| wrong(format!("{error}")))?;
    if uri.host().is_none_or(str::is_empty) {
        return Err(wrong("it has no host".into()));
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_took_a_connection_is_used_again_and_all_others_are_tried() {
        let servers = Servers::parse("http://a:1, http://b:2,http://c:3").unwrap();
        let hosts = || servers.in_turn().map(|(_, uri)| uri.host().unwrap().to_owned()).collect::<Vec<_>>();
        servers.use_next(1);
        assert_eq!(hosts(), ["b", "c", "a"]);
        servers.clone().use_next(0);
        assert_eq!(hosts(), ["a", "b", "c"], "clones go to the same one");
        assert_eq!(servers.endpoint().uri().host(), Some("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn one_waits_from_the_first_failure_on_and_then_no_more_until_one_is_back() {
        let hasty = Servers::parse("http://a:1").unwrap();
        let patient = hasty.patient(Duration::from_secs(5));
        assert_eq!((hasty.failed(), patient.failed()), (Away::GiveUp, Away::Wait));
        tokio::time::advance(Duration::from_millis(4_900)).await;
        assert_eq!(patient.failed(), Away::Wait, "though it was the other that failed first");
        assert!(!patient.are_known_away());
        tokio::time::advance(Duration::from_millis(200)).await;
        assert_eq!(patient.failed(), Away::GiveUp);
        assert!(patient.are_known_away() && !hasty.are_known_away());
        tokio::time::advance(FAILED_FOR).await;
        assert!(!patient.are_known_away(), "it is tried again");
        hasty.use_next(0);
        assert_eq!(patient.failed(), Away::Wait, "it has been there meanwhile");
    }

    #[test]
    fn clients_with_the_same_addresses_spread() {
        let first = |_| Servers::parse("http://a:1,http://b:2").unwrap().in_turn().next().unwrap().0;
        let firsts: Vec<usize> = (0..64).map(first).collect();
        assert!(firsts.contains(&0) && firsts.contains(&1));
    }

    #[test]
    fn wrong_addresses_say_which_and_why() {
        for (text, says) in [
            ("", "it must begin with http://"),
            ("localhost:50051", "\"localhost:50051\" cannot be used: it must begin with http:// or https://"),
            ("http://a:1,", "\"\" cannot be used"),
            ("http://a:1,https://b:2", "let all begin alike"),
            ("http://a b", "cannot be used"),
        ] {
            let error = Servers::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }
}
