//! Adding to the end of an upload: bytes are gathered into pieces, and each piece is durable before the next.

use bytes::{Bytes, BytesMut};

use super::stored_upload::{self, StoredUpload};
use crate::config::Config;
use crate::error::Error;
use crate::objects::Objects;

/// One who adds to an upload. There may be others: each piece has one offset, and the second writer of it gets an error.
pub struct Appender<'a> {
    objects: &'a Objects,
    config: &'a Config,
    held: &'a StoredUpload,
    length: u64,
    /// Where what is durable ends.
    end: u64,
    pieces: usize,
    /// What came after it.
    buffer: BytesMut,
}

impl<'a> Appender<'a> {
    /// At the end of what is there.
    pub fn new(objects: &'a Objects, config: &'a Config, held: &'a StoredUpload) -> Self {
        let (length, end, pieces) = (held.length(), held.offset, held.pieces.len());
        Self { objects, config, held, length, end, pieces, buffer: BytesMut::new() }
    }

    /// Takes more bytes. One byte over the length, and the last piece is not kept: it may be another document.
    pub async fn push(&mut self, chunk: Bytes) -> Result<(), Error> {
        let found = self.end + (self.buffer.len() + chunk.len()) as u64;
        if found > self.length {
            self.buffer.clear();
            return Err(Error::DocumentCut { promised: self.length, found });
        }
        self.buffer.extend_from_slice(&chunk);
        // The last piece waits for the end of the stream.
        if self.buffer.len() >= self.config.upload_piece_bytes && found < self.length {
            self.flush().await?;
        }
        Ok(())
    }

    /// Makes durable what came.
    pub async fn flush(&mut self) -> Result<(), Error> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if self.pieces >= self.config.upload_pieces {
            let most = self.config.upload_pieces;
            return Err(Error::field("chunk", format!("comes in too small pieces: an upload has at most {most}")));
        }
        let piece = self.buffer.split().freeze();
        let StoredUpload { key, path, .. } = self.held;
        let (bytes, file) = (piece.len() as u64, path.file(&stored_upload::piece(self.held.generation(), self.end)));
        let put = self.objects.put_new(&file, piece).await;
        // Also where the piece could not be written: the folder may have been removed under it.
        if !stored_upload::exists(self.objects, path, self.held.generation()).await? {
            self.objects.remove_piece(path, &file).await;
            return Err(key.not_found());
        }
        if !put? {
            return Err(Error::UploadOffset { offset: self.end, given: self.end });
        }
        (self.end, self.pieces) = (self.end + bytes, self.pieces + 1);
        Ok(())
    }

    /// Whether all there will be is durable.
    pub fn is_whole(&self) -> bool {
        self.end == self.length
    }
}
