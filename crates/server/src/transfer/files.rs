//! Files of jobs, out of a folder and into another store.

use std::path::Path as FilePath;
use std::sync::atomic::{AtomicU64, Ordering};

use courant_joblog::ids::JobId;
use futures::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _};
use serde::Serialize;

use super::error::TransferError;
use super::step::{Report, Step};
use crate::job_folder::JobFolder;
use crate::objects::{DESCRIPTOR, Objects};

/// Files that are copied at once. Each keeps some megabytes in memory where the store is a remote one.
const AT_ONCE: usize = 4;
/// The folder of jobs' files in a store, and that of unfinished uploads.
const JOBS: &str = "jobs";
const UPLOADS: &str = "resumable";
/// How a document's file is called, before its checksum.
const DOCUMENT: &str = "document-";

/// A folder that a server keeps files in.
pub struct ObjectFolder {
    store: LocalFileSystem,
}

/// How many files were looked at or copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FilesReport {
    pub files: u64,
    pub bytes: u64,
    /// Of these, so many were there already.
    pub unchanged: u64,
    /// Files of jobs that are not in the log.
    pub without_job: u64,
}

impl ObjectFolder {
    /// `None` if there is no such folder.
    pub fn open(folder: &FilePath) -> Result<Option<Self>, TransferError> {
        if !folder.is_dir() {
            return Ok(None);
        }
        let store = LocalFileSystem::new_with_prefix(folder);
        let store = store.map_err(|error| TransferError::stored(&Path::from(JOBS), &error))?;
        Ok(Some(Self { store }))
    }

    /// How many files of jobs there are, and unfinished uploads.
    pub async fn count(&self) -> Result<(FilesReport, u64), TransferError> {
        let mut report = FilesReport::default();
        let mut files = self.store.list(Some(&Path::from(JOBS)));
        while let Some(meta) = files.try_next().await.map_err(|error| TransferError::stored(&JOBS.into(), &error))? {
            report.files += 1;
            report.bytes += meta.size;
        }
        let mut uploads = 0;
        let mut files = self.store.list(Some(&Path::from(UPLOADS)));
        while let Some(meta) = files.try_next().await.map_err(|error| TransferError::stored(&UPLOADS.into(), &error))? {
            uploads += u64::from(meta.location.filename() == Some(DESCRIPTOR));
        }
        Ok((report, uploads))
    }

    /// Copies the files of these jobs. What is there already with the same size stays; so a copy that was cut off goes on.
    pub async fn copy(
        &self,
        target: &Objects,
        is_wanted: impl Fn(&JobId) -> bool,
        report: Report<'_>,
    ) -> Result<FilesReport, TransferError> {
        let of = self.count().await?.0.files;
        let (without_job, done) = (AtomicU64::new(0), AtomicU64::new(0));
        let files =
            self.store.list(Some(&Path::from(JOBS))).map_err(|error| TransferError::stored(&JOBS.into(), &error));
        let copies = files.try_filter_map(async |meta| {
            let wanted = job_of(&meta.location).is_some_and(|job| is_wanted(&job));
            without_job.fetch_add(u64::from(!wanted), Ordering::Relaxed);
            Ok(wanted.then_some(meta))
        });
        let copies = copies.map_ok(async |meta| self.copy_file(target, meta).await).try_buffer_unordered(AT_ONCE);
        let mut copies = std::pin::pin!(copies);
        let mut total = FilesReport::default();
        while let Some((bytes, unchanged)) = copies.try_next().await? {
            total.files += 1;
            total.bytes += bytes;
            total.unchanged += u64::from(unchanged);
            report(Step::Files { done: done.fetch_add(1, Ordering::Relaxed) + 1, of });
        }
        Ok(FilesReport { without_job: without_job.load(Ordering::Relaxed), ..total })
    }

    /// How large the file is, and whether it was there already. `0` if it has been removed meanwhile.
    async fn copy_file(&self, target: &Objects, meta: ObjectMeta) -> Result<(u64, bool), TransferError> {
        let (from, size) = (&meta.location, meta.size);
        let Some(to) = path_in(target, from) else { return Ok((0, false)) };
        let failed = |error| TransferError::file(from, &error);
        if target.exists(&to).await.map_err(failed)? && target.open(&to).await.map_err(failed)?.0 == size {
            return Ok((size, true));
        }
        let found = match self.store.get(from).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok((0, false)),
            Err(error) => return Err(TransferError::stored(from, &error)),
        };
        let (mut pieces, mut writer) = (found.into_stream(), target.write(to.clone()));
        while let Some(piece) = pieces.try_next().await.map_err(|error| TransferError::stored(from, &error))? {
            writer.push(piece).await.map_err(failed)?;
        }
        let named = from.filename().and_then(|name| name.strip_prefix(DOCUMENT)).map(str::to_owned);
        let stored = writer.finish().await.map_err(failed)?;
        if named.is_some_and(|sha256| *stored.sha256 != sha256) {
            target.remove(&to).await;
            return Err(TransferError::Damaged { path: from.to_string(), found: stored.sha256 });
        }
        Ok((stored.bytes, false))
    }
}

/// `jobs/<id>/…`.
fn job_of(path: &Path) -> Option<JobId> {
    path.parts().nth(1).map(|part| JobId::new(part.as_ref()))
}

/// Where a file of a job lies in another store. Parts are taken as they are, with what is escaped in them.
fn path_in(target: &Objects, file: &Path) -> Option<Path> {
    let job = job_of(file)?;
    let any = target.job_file(&JobFolder::new(job, None), "any");
    let folder = any.parts().take(any.parts().count() - 1);
    Some(Path::from_iter(folder.chain(file.parts().skip(2))))
}
