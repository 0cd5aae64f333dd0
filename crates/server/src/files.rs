//! Files of jobs: their documents and what workers made of them. Small ones lie in the log, where they become durable with
//! the entries around them; larger ones lie in the object store.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use courant_engine::Error as Refused;
use courant_joblog::job::Job;
use courant_joblog::log::{AppendError, Blob, Log};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::job_folder::JobFolder;
use crate::objects::{Draft, Objects, Stored, Writer, hex};

/// How many of the files that were written last are remembered with their checksums. Some 250 bytes each.
const REMEMBERED: usize = 16_384;

/// The files of all jobs.
pub struct JobFiles {
    objects: Objects,
    log: Arc<dyn Log>,
    /// Larger ones lie in the object store.
    small_bytes: usize,
    written: Mutex<Written>,
}

/// Names a file of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JobFile {
    folder: JobFolder,
    name: Box<str>,
}

/// A document that has arrived and belongs to no job yet.
pub struct Document {
    pub stored: Stored,
    body: Body,
}

enum Body {
    Small(Bytes),
    Large(Draft),
}

/// Size and checksum of the files written last, so that a report about one need not read it again.
#[derive(Default)]
struct Written {
    folders: HashMap<JobFolder, HashMap<Box<str>, Stored>>,
    oldest_first: VecDeque<JobFile>,
}

impl JobFile {
    /// A job's document. The checksum in the name keeps two submits with one request id apart.
    pub fn document(folder: JobFolder, sha256: &str) -> Self {
        Self { folder, name: format!("document-{sha256}").into() }
    }

    /// What was submitted with the document for the workers, where that is too large to be kept in the job.
    pub fn parameters(folder: JobFolder) -> Self {
        Self { folder, name: "parameters".into() }
    }

    /// An attempt's artifact. Each attempt has names of its own, so a late writer harms nobody.
    pub fn artifact(job: &Job, attempt: u32, name: &str) -> Self {
        Self { folder: JobFolder::of(job), name: format!("a{attempt}/{name}").into() }
    }

    fn path(&self, objects: &Objects) -> Path {
        objects.job_file(&self.folder, &self.name)
    }
}

impl JobFiles {
    pub fn new(objects: Objects, log: Arc<dyn Log>, small_bytes: usize) -> Self {
        Self { objects, log, small_bytes, written: Mutex::default() }
    }

    /// Files of at most so many bytes lie in the log.
    pub fn small_bytes(&self) -> usize {
        self.small_bytes
    }

    /// A small file, to be appended with what is said of it.
    pub fn small_file(&self, file: JobFile, bytes: Bytes) -> Blob {
        Blob { name: file.name, bytes }
    }

    /// Begins to take in a document.
    pub fn receive_document(&self) -> DocumentWriter<'_> {
        let draft = self.objects.upload();
        DocumentWriter { file: self.receive(draft.path()), draft }
    }

    /// Takes in a document that has arrived as a whole.
    pub async fn whole_document(&self, bytes: Bytes) -> Result<Document, Error> {
        if bytes.len() <= self.small_bytes {
            return Ok(Document { stored: stored(&bytes), body: Body::Small(bytes) });
        }
        let mut writer = self.receive_document();
        match writer.file.push(bytes).await {
            Ok(()) => writer.finish().await,
            Err(error) => {
                writer.file.abort().await;
                Err(error)
            }
        }
    }

    /// Begins to take in an artifact.
    pub fn receive_artifact(&self, of: JobFile) -> ArtifactWriter<'_> {
        ArtifactWriter { file: self.receive(of.path(&self.objects)), of }
    }

    fn receive(&self, path: Path) -> FileWriter<'_> {
        FileWriter { files: self, path, kept: BytesMut::new(), large: None }
    }

    /// Makes a document ready for the job's first entry: a large one is moved to its place, a small one is given back to be
    /// appended with the entry.
    pub async fn place_document(&self, file: &JobFile, document: Document) -> Result<Option<Blob>, Error> {
        match document.body {
            Body::Small(bytes) => Ok(Some(Blob { name: file.name.clone(), bytes })),
            Body::Large(draft) => draft.commit(&file.path(&self.objects)).await.map(|()| None),
        }
    }

    /// Removes a document that another submit of the same request was quicker than.
    pub async fn drop_document(&self, file: &JobFile) {
        self.objects.remove(&file.path(&self.objects)).await;
    }

    /// Reads a file, from an offset and at most so many bytes.
    pub async fn read(
        &self,
        file: &JobFile,
        offset: u64,
        limit: Option<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        let Some(bytes) = self.small(file).await? else {
            return self.objects.read(&file.path(&self.objects), offset, limit).await;
        };
        let from = bytes.len().min(usize::try_from(offset).unwrap_or(usize::MAX));
        let most = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let to = bytes.len().min(from.saturating_add(most));
        Ok(stream::iter([Ok(bytes.slice(from..to))]).boxed())
    }

    /// All of a file, and its size.
    pub async fn open(&self, file: &JobFile) -> Result<(u64, BoxStream<'static, Result<Bytes, Error>>), Error> {
        match self.small(file).await? {
            Some(bytes) => Ok((bytes.len() as u64, stream::iter([Ok(bytes)]).boxed())),
            None => self.objects.open(&file.path(&self.objects)).await,
        }
    }

    /// Size and checksum of a file; `None` when there is none.
    pub async fn describe(&self, file: &JobFile) -> Result<Option<Stored>, Error> {
        if let Some(stored) = self.written.lock().get(file) {
            return Ok(Some(stored.clone()));
        }
        match self.small(file).await? {
            Some(bytes) => Ok(Some(stored(&bytes))),
            None => self.objects.describe(&file.path(&self.objects)).await,
        }
    }

    /// Whether there is such a file.
    pub async fn exists(&self, file: &JobFile) -> Result<bool, Error> {
        if self.written.lock().get(file).is_some() || self.small(file).await?.is_some() {
            return Ok(true);
        }
        let path = file.path(&self.objects);
        self.objects.with_timeout(self.objects.exists(&path)).await
    }

    /// The same without believing what was written here.
    pub async fn exists_stored(&self, file: &JobFile) -> Result<bool, Error> {
        if self.small(file).await?.is_some() {
            return Ok(true);
        }
        let path = file.path(&self.objects);
        self.objects.with_timeout(self.objects.exists(&path)).await
    }

    /// Forgets what was written for a job that is removed: another one may be made under its id.
    pub fn forget(&self, folder: &JobFolder) {
        self.written.lock().folders.remove(folder);
    }

    async fn small(&self, file: &JobFile) -> Result<Option<Bytes>, Error> {
        Ok(self.log.blob(file.folder.job(), &file.name).await?)
    }

    async fn remove_small(&self, file: &JobFile) -> Result<(), Error> {
        Ok(self.log.remove_blob(file.folder.job(), &file.name).await.map_err(Refused::Append)?)
    }

    async fn store_small(&self, file: &JobFile, bytes: Bytes) -> Result<(), Error> {
        let blob = Blob { name: file.name.clone(), bytes };
        match self.log.store_blob(file.folder.job(), blob).await {
            Err(AppendError::Conflict { actual: None }) => Err(Refused::JobNotFound(file.folder.job().clone()).into()),
            stored => stored.map_err(|error| Refused::Append(error).into()),
        }
    }
}

/// A file while it arrives: in memory until it is too large for that.
pub struct FileWriter<'a> {
    files: &'a JobFiles,
    /// Where it goes when it is large.
    path: Path,
    kept: BytesMut,
    large: Option<Writer>,
}

impl FileWriter<'_> {
    /// Adds a piece; waits while too much is under way.
    pub async fn push(&mut self, piece: Bytes) -> Result<(), Error> {
        if let Some(writer) = &mut self.large {
            return writer.push(piece).await;
        }
        if self.kept.len() + piece.len() <= self.files.small_bytes {
            self.kept.extend_from_slice(&piece);
            return Ok(());
        }
        let mut writer = self.files.objects.write(self.path.clone());
        let kept = std::mem::take(&mut self.kept);
        if !kept.is_empty() {
            writer.push(kept.freeze()).await?;
        }
        self.large.insert(writer).push(piece).await
    }

    /// How much there is so far.
    pub fn bytes(&self) -> u64 {
        self.large.as_ref().map_or(self.kept.len() as u64, Writer::bytes)
    }

    /// What has arrived; the bytes of a small one, which are stored nowhere yet. A large one is durable.
    async fn finish(self) -> Result<(Stored, Option<Bytes>), Error> {
        if let Some(writer) = self.large {
            return Ok((writer.finish().await?, None));
        }
        let bytes = self.kept.freeze();
        Ok((stored(&bytes), Some(bytes)))
    }

    pub async fn abort(self) {
        if let Some(writer) = self.large {
            writer.abort().await;
        }
    }
}

/// A document while it arrives.
pub struct DocumentWriter<'a> {
    draft: Draft,
    pub file: FileWriter<'a>,
}

impl DocumentWriter<'_> {
    pub async fn finish(self) -> Result<Document, Error> {
        let (stored, small) = self.file.finish().await?;
        let body = match small {
            Some(bytes) => {
                self.draft.unused();
                Body::Small(bytes)
            }
            None => Body::Large(self.draft),
        };
        Ok(Document { stored, body })
    }
}

/// An artifact while it arrives.
pub struct ArtifactWriter<'a> {
    of: JobFile,
    pub file: FileWriter<'a>,
}

impl ArtifactWriter<'_> {
    /// Makes it durable and visible.
    pub async fn finish(self) -> Result<Stored, Error> {
        let files = self.file.files;
        let (stored, small) = self.file.finish().await?;
        match small {
            Some(bytes) => files.store_small(&self.of, bytes).await?,
            // A smaller one of this name would hide it.
            None => files.remove_small(&self.of).await?,
        }
        files.written.lock().remember(self.of, stored.clone());
        Ok(stored)
    }
}

impl Written {
    fn remember(&mut self, file: JobFile, stored: Stored) {
        let files = self.folders.entry(file.folder.clone()).or_default();
        if files.insert(file.name.clone(), stored).is_none() {
            self.oldest_first.push_back(file);
        }
        if self.oldest_first.len() > REMEMBERED
            && let Some(oldest) = self.oldest_first.pop_front()
            && let Some(files) = self.folders.get_mut(&oldest.folder)
        {
            files.remove(&oldest.name);
            if files.is_empty() {
                self.folders.remove(&oldest.folder);
            }
        }
    }

    fn get(&self, file: &JobFile) -> Option<&Stored> {
        self.folders.get(&file.folder)?.get(&file.name)
    }
}

/// Size and checksum of bytes.
pub fn stored(bytes: &[u8]) -> Stored {
    Stored { bytes: bytes.len() as u64, sha256: hex(Sha256::new_with_prefix(bytes)) }
}
