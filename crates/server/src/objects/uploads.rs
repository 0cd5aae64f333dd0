//! Where unfinished uploads lie: `resumable/OWNER/ID/`, with a descriptor and one object for each piece, named by its
//! offset in the document. Nothing here is ever written over, so two writers never mix their bytes.

use std::time::SystemTime;

use courant_joblog::ids::{JobId, Owner};
use futures::TryStreamExt;
use object_store::path::Path;
use sha2::{Digest, Sha256};

use super::store::{Objects, hex, ignore_not_found};
use crate::error::Error;

/// The folder of all of them.
const FOLDER: &str = "resumable";
/// The file that describes an upload. Without it there is none, whatever pieces there are.
pub const DESCRIPTOR: &str = "descriptor";
/// How often removing a folder is tried again that somebody writes into.
const REMOVALS: usize = 16;
/// Characters of the folder of an owner, whose own name may be any text.
const OWNER_LETTERS: usize = 32;

/// The folder of an upload. Without its id: that of all uploads of an owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UploadPath(Path);

/// A file in the folder of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadFile {
    /// Its name in the folder.
    pub name: String,
    pub bytes: u64,
    /// When it was written, by the store's clock.
    pub written: SystemTime,
}

impl UploadPath {
    /// The id of the upload that lies here.
    pub fn id(&self) -> Option<&str> {
        self.0.filename()
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> Path {
        self.0.clone().join(name)
    }
}

impl Objects {
    /// Where an upload lies.
    pub fn upload_path(&self, owner: &Owner, id: &JobId) -> UploadPath {
        UploadPath(self.uploads_path(owner).0.join(id.as_str()))
    }

    /// Where all uploads of an owner lie.
    pub fn uploads_path(&self, owner: &Owner) -> UploadPath {
        let name = hex(Sha256::new_with_prefix(owner.as_str().as_bytes()));
        let name = name.get(..OWNER_LETTERS).unwrap_or(&name);
        UploadPath(self.path(FOLDER).join(name))
    }

    pub async fn upload_owners(&self) -> Result<Vec<UploadPath>, Error> {
        self.folders(&UploadPath(self.path(FOLDER))).await
    }

    /// The folders in a folder.
    pub async fn folders(&self, path: &UploadPath) -> Result<Vec<UploadPath>, Error> {
        Ok(self.store.list_with_delimiter(Some(&path.0)).await?.common_prefixes.into_iter().map(UploadPath).collect())
    }

    /// The files of an upload, ordered by name.
    pub async fn upload_files(&self, path: &UploadPath) -> Result<Vec<UploadFile>, Error> {
        let found = self.store.list(Some(&path.0)).map_ok(|meta| UploadFile {
            name: meta.location.filename().unwrap_or_default().to_owned(),
            bytes: meta.size,
            written: meta.last_modified.into(),
        });
        let mut found: Vec<UploadFile> = found.try_collect().await?;
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// Takes back a piece of an upload that was removed meanwhile, with the folder that writing it made.
    pub async fn remove_piece(&self, path: &UploadPath, piece: &Path) {
        self.remove(piece).await;
        if let Some(folder) = &self.folder {
            // A full one refuses: somebody began an upload of the same name.
            let _ = tokio::fs::remove_dir(folder.join(path.0.as_ref())).await;
        }
    }

    /// Removes an upload, its descriptor first; nothing there is fine.
    pub async fn remove_upload(&self, path: &UploadPath) -> Result<(), Error> {
        self.delete(&path.file(DESCRIPTOR)).await?;
        if let Some(folder) = &self.folder {
            let folder = folder.join(path.0.as_ref());
            remove_folder(&folder).await?;
            // The owner's folder, if this was the last in it: a full one refuses.
            if let Some(owner) = folder.parent() {
                let _ = tokio::fs::remove_dir(owner).await;
            }
            return Ok(());
        }
        self.remove_below(&path.0).await
    }
}

/// Removes a folder although somebody may still write into it: they take back what they wrote, and then it is empty.
async fn remove_folder(folder: &std::path::Path) -> Result<(), Error> {
    for _ in 0..REMOVALS {
        match tokio::fs::remove_dir_all(folder).await {
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => tokio::task::yield_now().await,
            removed => return ignore_not_found(removed),
        }
    }
    ignore_not_found(tokio::fs::remove_dir_all(folder).await)
}
