//! What lies in the store of an upload: its descriptor and its pieces.

use std::time::SystemTime;

use courant_auth::{Identity, Role};
use courant_joblog::ids::{JobId, Owner};
use courant_proto::v1::{Password, SubmitJobHeader, Upload};
use prost::Message;

use crate::auth::require;
use crate::error::Error;
use crate::holds::Hold;
use crate::jobs::submit_request::SubmitRequest;
use crate::objects::{DESCRIPTOR, Objects, UploadFile, UploadPath};
use crate::services::Services;

/// What names of pieces begin with.
const PIECE: &str = "piece-";
/// The first byte of a descriptor. Another way of writing it takes another.
const FORMAT: u8 = 1;

/// Whose upload it is, and its id.
#[derive(Clone, Debug)]
pub struct UploadKey {
    pub owner: Owner,
    /// The id, which its job will have.
    pub id: JobId,
}

impl UploadKey {
    /// As a caller gives it. Other owners need a role.
    pub(super) fn read(identity: &Identity, owner: &str, id: &str) -> Result<Self, Error> {
        if !owner.is_empty() && owner != identity.subject {
            require(identity, Role::Service, "service")?;
        }
        let owner = if owner.is_empty() { &identity.subject } else { owner };
        // Ids are made here; what looks otherwise is none, and no path.
        let is_id = id.len() == 26 && id.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
        if !is_id {
            return Err(Error::UploadNotFound(id.chars().take(64).collect()));
        }
        Ok(Self { owner: Owner::new(owner), id: JobId::new(id) })
    }

    pub(super) fn not_found(&self) -> Error {
        Error::UploadNotFound(self.id.to_string())
    }

    /// Waits until nobody else on this server puts it together or removes it.
    pub(super) async fn turn(&self, services: &Services) -> Hold {
        // Not the id alone: that is the hold on the job's files.
        services.holds.take(&JobId::new(format!("upload {}", self.id))).await
    }
}

/// An upload as it lies in the store.
#[derive(Debug)]
pub struct StoredUpload {
    pub key: UploadKey,
    pub path: UploadPath,
    /// How many bytes there are from the beginning without a hole.
    pub offset: u64,
    /// The pieces that these bytes are in, in order.
    pub pieces: Vec<UploadFile>,
    /// When it goes if nothing more comes.
    pub expires: SystemTime,
    descriptor: Descriptor,
}

/// What was given when it began.
#[derive(Clone, PartialEq, Message)]
struct Descriptor {
    #[prost(message, optional, tag = "1")]
    header: Option<SubmitJobHeader>,
    /// The password, sealed for the job to be. Empty for none.
    #[prost(bytes = "vec", tag = "2")]
    password: Vec<u8>,
    /// Random: tells the pieces of this upload from those of one that was removed and had the same id.
    #[prost(string, tag = "3")]
    generation: String,
}

impl StoredUpload {
    /// Bytes that it is going to have.
    pub fn length(&self) -> u64 {
        self.header().map_or(0, |header| header.document_bytes.unsigned_abs())
    }

    /// Whether all bytes are there.
    pub fn is_whole(&self) -> bool {
        self.offset == self.length()
    }

    /// Tells it from earlier uploads with the same id.
    pub fn generation(&self) -> &str {
        &self.descriptor.generation
    }

    fn header(&self) -> Option<&SubmitJobHeader> {
        self.descriptor.header.as_ref()
    }

    /// What is to be submitted.
    pub fn request(&self, services: &Services, identity: &Identity) -> Result<SubmitRequest, Error> {
        let mut header = self.header().cloned().unwrap_or_default();
        let sealed = &self.descriptor.password;
        if !sealed.is_empty() {
            let unreadable = || Error::PasswordUnreadable(self.key.id.clone());
            let text = services.passwords.unseal(&self.key.id, sealed).ok_or_else(unreadable)?;
            header.password = Some(Password { text });
        }
        let mut request = SubmitRequest::check(header, identity, &services.config)?;
        request.id = self.key.id.clone();
        Ok(request)
    }
}

/// Looks for an upload. One that has expired is not there.
pub async fn find(services: &Services, key: &UploadKey) -> Result<Option<StoredUpload>, Error> {
    let path = services.objects.upload_path(&key.owner, &key.id);
    let found = services.objects.upload_files(&path).await?;
    let Some(newest) = newest(&found) else { return Ok(None) };
    let expires = newest + services.config.upload_retention;
    if expires <= services.engine.wall.file_time() {
        return Ok(None);
    }
    let Some(descriptor) = descriptor(&services.objects, &path).await? else { return Ok(None) };
    let (offset, pieces) = contiguous(found, &descriptor.generation);
    Ok(Some(StoredUpload { key: key.clone(), path, offset, pieces, expires, descriptor }))
}

async fn descriptor(objects: &Objects, path: &UploadPath) -> Result<Option<Descriptor>, Error> {
    let Some(bytes) = objects.get(&path.file(DESCRIPTOR)).await? else { return Ok(None) };
    let descriptor = bytes.strip_prefix(&[FORMAT]).and_then(|bytes| Descriptor::decode(bytes).ok());
    if descriptor.is_none() {
        tracing::warn!(upload = path.id(), "the descriptor of an upload cannot be read");
    }
    Ok(descriptor)
}

/// Whether the upload is still there. Who removes one removes its descriptor first and looks for pieces then: a writer that
/// looks for the descriptor after it has written a piece, and takes the piece back if there is none, leaves nothing behind.
pub async fn exists(objects: &Objects, path: &UploadPath, generation: &str) -> Result<bool, Error> {
    Ok(descriptor(objects, path).await?.is_some_and(|descriptor| descriptor.generation == generation))
}

/// Writes the descriptor of a new upload; `false` when one is there already.
pub async fn begin(services: &Services, key: &UploadKey, mut header: SubmitJobHeader) -> Result<bool, Error> {
    let password = header.password.take().map(|password| services.passwords.seal(&key.id, &password.text));
    header.owner = key.owner.to_string();
    let generation = format!("{:016x}", fastrand::u64(..));
    let descriptor = Descriptor { header: Some(header), password: password.unwrap_or_default(), generation };
    let mut bytes = vec![FORMAT];
    // Into a vector there is always room.
    bytes.append(&mut descriptor.encode_to_vec());
    let path = services.objects.upload_path(&key.owner, &key.id);
    services.objects.put_new(&path.file(DESCRIPTOR), bytes.into()).await
}

/// The name of the piece that begins there. Of one width: they are in order when they are ordered by name.
pub fn piece(generation: &str, offset: u64) -> String {
    format!("{PIECE}{generation}-{offset:020}")
}

/// When something of it was written last.
pub fn newest(found: &[UploadFile]) -> Option<SystemTime> {
    found.iter().map(|file| file.written).max()
}

/// The pieces from the beginning up to the first hole, and where they end. A piece begins where another one ended, since it
/// was written by one who had seen that one; so there are no overlaps.
fn contiguous(found: Vec<UploadFile>, generation: &str) -> (u64, Vec<UploadFile>) {
    let mut end = 0;
    let mut pieces = Vec::new();
    for file in found {
        if file.name == piece(generation, end) && file.bytes > 0 {
            end += file.bytes;
            pieces.push(file);
        }
    }
    (end, pieces)
}

/// An upload that is not finished, as its owner sees it.
pub(super) fn unfinished(held: &StoredUpload) -> Upload {
    Upload {
        upload_id: held.key.id.to_string(),
        length_bytes: held.length() as i64,
        offset_bytes: held.offset as i64,
        expire_time: Some(held.expires.into()),
    }
}
