//! Reading from the store. What is cut off in the middle goes on where it ended: a reader may take longer than a connection
//! lasts.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult, ObjectStore};

use super::store::Objects;
use crate::error::Error;
use crate::fault::Fault;

/// A read ends with its error after so many failures in a row, without a byte between them.
const FAILURES: u32 = 3;
/// The pause before a read goes on, for each failure so far.
const PAUSE: Duration = Duration::from_millis(200);

impl Objects {
    /// Reads something, from an offset and at most so many bytes.
    pub async fn read(
        &self,
        path: &Path,
        offset: u64,
        limit: Option<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        let range = match limit {
            Some(limit) => GetRange::Bounded(offset..offset.saturating_add(limit)),
            None => GetRange::Offset(offset),
        };
        let range = (offset > 0 || limit.is_some()).then_some(range);
        let result = self.store.get_opts(path, GetOptions { range, ..GetOptions::default() }).await;
        Ok(self.stream(path, result.inspect_err(|error| self.request_probe(error))?))
    }

    /// All of something, and its size.
    pub async fn open(&self, path: &Path) -> Result<(u64, BoxStream<'static, Result<Bytes, Error>>), Error> {
        let result = self.store.get_opts(path, GetOptions::default()).await;
        let result = result.inspect_err(|error| self.request_probe(error))?;
        Ok((result.meta.size, self.stream(path, result)))
    }

    fn stream(&self, path: &Path, result: GetResult) -> BoxStream<'static, Result<Bytes, Error>> {
        if self.folder.is_some() {
            return result.into_stream().map_err(Error::from).boxed();
        }
        let reading = Reading {
            store: self.store.clone(),
            path: path.clone(),
            left: result.range.clone(),
            e_tag: result.meta.e_tag.clone(),
            failures: 0,
            body: result.into_stream(),
        };
        stream::try_unfold(
            reading,
            |mut reading| async move { Ok(reading.next().await?.map(|piece| (piece, reading))) },
        )
        .boxed()
    }
}

/// Something that is being read.
struct Reading {
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// The bytes that have not come yet.
    left: Range<u64>,
    /// Which version of the object it is: the rest of another one would be something else.
    e_tag: Option<String>,
    /// In a row.
    failures: u32,
    body: BoxStream<'static, object_store::Result<Bytes>>,
}

impl Reading {
    async fn next(&mut self) -> object_store::Result<Option<Bytes>> {
        loop {
            let error = match self.body.try_next().await {
                Ok(Some(piece)) => {
                    self.left.start += piece.len() as u64;
                    self.failures = 0;
                    return Ok(Some(piece));
                }
                Ok(None) => return Ok(None),
                Err(error) => error,
            };
            self.failures += 1;
            if self.failures > FAILURES || !Fault::of(&error).may_pass() || self.left.is_empty() {
                return Err(error);
            }
            tracing::debug!(path = %self.path, at = self.left.start, %error, "a read was cut off and goes on");
            tokio::time::sleep(PAUSE * self.failures).await;
            self.go_on().await?;
        }
    }

    async fn go_on(&mut self) -> object_store::Result<()> {
        let range = Some(GetRange::Bounded(self.left.clone()));
        let options = GetOptions { range, if_match: self.e_tag.clone(), ..GetOptions::default() };
        self.body = self.store.get_opts(&self.path, options).await?.into_stream();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use async_trait::async_trait;
    use object_store::memory::InMemory;
    use object_store::{
        CopyOptions, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStoreExt, PutMultipartOptions,
        PutOptions, PutPayload, PutResult, Result,
    };
    use parking_lot::Mutex;

    use super::*;

    /// Cuts off each answer after so many bytes.
    #[derive(Debug)]
    struct Cutting {
        store: InMemory,
        after: usize,
        asked: Mutex<Vec<Option<GetRange>>>,
    }

    impl fmt::Display for Cutting {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Cutting")
        }
    }

    #[async_trait]
    impl ObjectStore for Cutting {
        async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
            self.store.put_opts(path, payload, options).await
        }

        async fn put_multipart_opts(&self, path: &Path, o: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
            self.store.put_multipart_opts(path, o).await
        }

        async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
            self.asked.lock().push(options.range.clone());
            let mut result = self.store.get_opts(path, options).await?;
            let all = self.store.get_range(path, result.range.clone()).await?;
            let cut = || Err(object_store::Error::Generic { store: "test", source: "connection reset".into() });
            let pieces = if all.len() > self.after { vec![Ok(all.slice(..self.after)), cut()] } else { vec![Ok(all)] };
            let pieces = pieces.into_iter().filter(|piece| piece.as_ref().map_or(true, |piece| !piece.is_empty()));
            result.payload = GetResultPayload::Stream(stream::iter(pieces.collect::<Vec<_>>()).boxed());
            Ok(result)
        }

        fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
            self.store.delete_stream(paths)
        }

        fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
            self.store.list(prefix)
        }

        async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
            self.store.list_with_delimiter(prefix).await
        }

        async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
            self.store.copy_opts(from, to, options).await
        }
    }

    async fn read(after: usize, offset: u64, limit: Option<u64>) -> (std::result::Result<Vec<u8>, Error>, usize) {
        let store = Arc::new(Cutting { store: InMemory::new(), after, asked: Mutex::default() });
        let path = Path::from("document");
        store.put(&path, Bytes::from_static(b"0123456789").into()).await.unwrap();
        let objects = Objects::of(store.clone());
        let read = async { objects.read(&path, offset, limit).await?.try_collect::<Vec<_>>().await };
        let found = read.await.map(|pieces| pieces.concat());
        let asked = store.asked.lock().len();
        (found, asked)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_cut_off_goes_on_where_it_ended_as_often_as_it_takes() {
        for (offset, limit, expected) in [(0, None, "0123456789"), (2, None, "23456789"), (3, Some(5), "34567")] {
            let (found, asked) = read(1, offset, limit).await;
            assert_eq!(found.unwrap(), expected.as_bytes());
            assert_eq!(asked, expected.len());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_of_which_nothing_comes_ends() {
        let (found, asked) = read(0, 0, None).await;
        assert!(matches!(found, Err(Error::Objects(_))));
        assert_eq!(asked, 1 + FAILURES as usize);
    }
}
