//! Probes whether the store works, from the start on: an operator learns of a wrong setting before a user does.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use tokio::sync::watch;

use super::store::{Objects, is_not_found, storage};
use crate::error::Error;
use crate::fault::{Fault, NOT_CONDITIONAL, error_chain};

/// Between two probes: while it works, and while it does not.
const EVERY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(2));
/// How long a probe may take.
const WITHIN: Duration = Duration::from_secs(10);

/// Why the store cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFailure {
    kind: Option<Fault>,
    causes: String,
}

/// What a probe writes into a folder and removes, to find out whether there is space: as much as a small document.
const SPACE_BYTES: usize = 1 << 20;

/// How long the store may take for one answer while something else waits behind it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Probes for ever. Each change of state is one log line, and sent to `works`.
pub async fn run(objects: Objects, works: watch::Sender<bool>) {
    let (mut last, mut told) = (None::<StoreFailure>, false);
    loop {
        let found = objects.probe().await;
        let away = found.as_ref().is_some_and(|failure| failure.kind != Some(Fault::Full));
        objects.state.away.store(away, Ordering::Relaxed);
        match (&last, &found) {
            (None, Some(failure)) => {
                tracing::error!(why = failure.causes, "the store of documents and results cannot be used");
                works.send_replace(false);
            }
            (Some(last), Some(failure)) if last.kind != failure.kind => {
                tracing::error!(why = failure.causes, "the store of documents and results still cannot be used");
            }
            (Some(_), None) => {
                tracing::info!("the store of documents and results can be used again");
                works.send_replace(true);
            }
            _ => {}
        }
        if !told && objects.state.keeps_what_is_there.get() == Some(&false) {
            told = true;
            tracing::error!(
                why = NOT_CONDITIONAL,
                "the store writes over what is there: uploads in pieces are refused"
            );
        }
        let pause = if found.is_none() { EVERY.0 } else { EVERY.1 };
        // Not more often than that: everybody may find out at once.
        tokio::time::sleep(pause.min(EVERY.1)).await;
        let _ = tokio::time::timeout(pause.saturating_sub(EVERY.1), objects.state.probe_requested.notified()).await;
        last = found;
    }
}

impl Objects {
    /// Asks the store something that others wait behind: answered soon, or not at all. A store that is known to be away is
    /// not asked.
    pub async fn with_timeout<T>(&self, ask: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let failed = |why: &'static str| {
            let source = Box::new(std::io::Error::new(std::io::ErrorKind::TimedOut, why));
            Error::Objects(object_store::Error::Generic { store: "objects", source })
        };
        if self.state.away.load(Ordering::Relaxed) {
            return Err(failed("it failed its last health probe"));
        }
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, ask).await;
        let answer = answer.unwrap_or_else(|_| Err(failed("it did not answer in time")));
        if matches!(answer, Err(Error::Objects(_))) {
            self.state.probe_requested.notify_one();
        }
        answer
    }

    /// Somebody could not read or write: a probe finds out whether that is so for all.
    pub(super) fn request_probe(&self, error: &object_store::Error) {
        if Fault::of(error) != Fault::Missing {
            self.state.probe_requested.notify_one();
        }
    }

    /// Reads something that is not there: a bucket that is missing or closed shows. Once, it writes there. Into a folder it
    /// writes each time: a disk without space shows nowhere else.
    async fn probe(&self) -> Option<StoreFailure> {
        let path = self.path("uploads/probe");
        let probe = async {
            match self.store.get(&path).await {
                Ok(found) => found.into_stream().try_for_each(|_| async { Ok(()) }).await?,
                Err(error) if is_not_found(&error) => {}
                Err(error) => return Err(Error::from(error)),
            }
            match self.folder.clone() {
                Some(folder) => try_space(folder).await,
                None => self.keeps_what_is_there().await.map(drop),
            }
        };
        match tokio::time::timeout(WITHIN, probe).await {
            Ok(Ok(())) => None,
            Ok(Err(Error::Objects(error))) => {
                let (kind, causes) = (Fault::of(&error), error_chain(&error));
                let causes = if let Fault::Misconfigured(what) = kind { format!("{what}: {causes}") } else { causes };
                Some(StoreFailure { kind: Some(kind), causes })
            }
            Ok(Err(error)) => Some(StoreFailure { kind: None, causes: error.to_string() }),
            Err(_) => Some(StoreFailure { kind: Some(Fault::Timeout), causes: format!("no answer within {WITHIN:?}") }),
        }
    }
}

/// Writes a file that nobody sees and removes it. It is not synced: a file system says at once when it has no blocks left.
async fn try_space(folder: PathBuf) -> Result<(), Error> {
    let write = move || {
        // It may have been removed, and is made again by whoever stores something.
        std::fs::create_dir_all(&folder)?;
        let name = folder.join(format!("probe-{}", std::process::id()));
        let mut file = std::fs::File::create(&name)?;
        std::fs::remove_file(&name)?;
        file.write_all(&vec![0; SPACE_BYTES])
    };
    match tokio::task::spawn_blocking(write).await {
        Ok(tried) => tried.map_err(storage),
        Err(ended) => Err(storage(std::io::Error::other(ended))),
    }
}
