//! How messages are written.
//!
//! A message is written into memory of its own first, and copied to where it is sent from as a whole: written there directly, each of
//! its hundreds of bytes of tags and lengths is a call.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, EncodeBuf, Encoder};
use tonic_prost::ProstDecoder;

/// More is not kept for the next message.
const KEPT_BYTES: usize = 64 << 10;

/// The codec of all services.
#[derive(Debug)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = BufferedEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        BufferedEncoder { bytes: Vec::new(), of: PhantomData }
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::default())
    }
}

/// Writes the messages of one stream.
#[derive(Debug)]
pub struct BufferedEncoder<T> {
    /// Empty between two messages.
    bytes: Vec<u8>,
    of: PhantomData<fn(T)>,
}

impl<T: Message> Encoder for BufferedEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        use prost::bytes::BufMut as _;
        // A vector has room for every message that there is.
        item.encode(&mut self.bytes).map_err(|error| Status::internal(error.to_string()))?;
        buf.put_slice(&self.bytes);
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        Ok(())
    }
}
