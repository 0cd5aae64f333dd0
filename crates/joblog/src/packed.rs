//! A job in as few bytes as it takes, for jobs that are kept in memory and seldom looked at.
//!
//! Half of what the log writes, a sixth of a [`Job`]: numbers take as many bytes as they need, names of states and formats
//! one, and text that is lower-case hexadecimal (checksums) or a ULID (ids) is kept as the bytes it stands for. It lives no
//! longer than the process, so it has neither a version nor a checksum, and may change with every build. A new field of a job
//! does not compile until it is listed here.

use std::collections::BTreeMap;

use ulid::{ULID_LEN, Ulid};

use crate::ids::{BatchId, DocumentId, JobId, Owner, RequestId, Timestamp, WorkerId};
use crate::job::{
    Attempt, Document, Export, ExportState, Format, Job, JobError, Lane, LaterFields, Output, PageRange, Pages,
    Parameters, Progress, Stage, State,
};

/// Not counted references: of a million jobs the counters alone took 16 MiB, and a copy of some 350 bytes is as quick as a look
/// at a counter that is in no cache.
#[derive(Clone, Debug)]
pub struct PackedJob(Box<[u8]>);

impl PackedJob {
    pub fn of(job: &Job) -> Self {
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        job.pack(&mut bytes);
        Self(bytes.into())
    }

    /// The job that was packed. `None` only if the bytes are not what [`PackedJob::of`] made: a defect of this module.
    pub fn unpack(&self) -> Option<Job> {
        let mut rest = &*self.0;
        let job = Job::unpack(&mut rest)?;
        rest.is_empty().then_some(job)
    }

    /// How many bytes it takes.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }
}

/// A job with some exports and without long texts fits.
const USUAL_BYTES: usize = 512;

/// What can be written as bytes that say nothing of what they are.
trait Pack: Sized {
    fn pack(&self, out: &mut Vec<u8>);

    /// Takes its bytes from the front.
    fn unpack(from: &mut &[u8]) -> Option<Self>;
}

macro_rules! fields {
    ($name:ident: $($field:ident),+) => {
        impl Pack for $name {
            fn pack(&self, out: &mut Vec<u8>) {
                // All of them by name: one that is missing here does not compile.
                let Self { $($field),+ } = self;
                $($field.pack(out);)+
            }

            fn unpack(from: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: Pack::unpack(from)?),+ })
            }
        }
    };
}

macro_rules! variants {
    ($name:ident: $($variant:ident = $number:literal),+) => {
        impl Pack for $name {
            fn pack(&self, out: &mut Vec<u8>) {
                out.push(match self { $(Self::$variant => $number),+ });
            }

            fn unpack(from: &mut &[u8]) -> Option<Self> {
                match byte(from)? {
                    $($number => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

macro_rules! ids {
    ($($name:ident),+) => {$(
        impl Pack for $name {
            fn pack(&self, out: &mut Vec<u8>) {
                pack_text(self.as_str(), out);
            }

            fn unpack(from: &mut &[u8]) -> Option<Self> {
                unpack_text(from).map(Self::new)
            }
        }
    )+};
}

fields!(Job:
    id, owner, document, batch, request, kind, lane, labels, formats, state, attempt, max_attempts,
    attempts_without_progress, worker, progress, pages, zones, exports, warnings, error, attempts, created, queued, started,
    attempt_started, ended, not_before, cancelled_by, batch_size, cancel_unwatched_ms, password, ran_ms,
    later
);
fields!(LaterFields: folder, traceparent, parameters, outputs, callback);
fields!(Output: name, media_type, bytes, sha256, attempt);
fields!(Document: id, name, bytes, sha256);
fields!(Progress: percent, stage, operation, units_done, units_total);
fields!(Pages: total, done, expected, document);
fields!(PageRange: first, last, attempt);
fields!(Export: format, attempt, state);
fields!(JobError: code, message, retryable);
fields!(Attempt: number, worker, started, ended, error, pages_done, ran_ms);
variants!(State: Queued = 0, Running = 1, Cancelling = 2, Succeeded = 3, Failed = 4, Cancelled = 5);
variants!(Lane: Premium = 0, Normal = 1, Large = 2);
variants!(Stage: Queued = 0, Analyse = 1, Extract = 2, Merge = 3, Export = 4, Done = 5);
variants!(Format: Json = 0, Markdown = 1, Text = 2, Html = 3);
ids!(JobId, Owner, DocumentId, BatchId, RequestId, WorkerId);

impl Pack for ExportState {
    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Started => out.push(0),
            Self::Completed { bytes, sha256 } => {
                out.push(1);
                bytes.pack(out);
                sha256.pack(out);
            }
            Self::Failed(error) => {
                out.push(2);
                error.pack(out);
            }
        }
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        match byte(from)? {
            0 => Some(Self::Started),
            1 => Some(Self::Completed { bytes: Pack::unpack(from)?, sha256: Pack::unpack(from)? }),
            2 => Pack::unpack(from).map(Self::Failed),
            _ => None,
        }
    }
}

impl Pack for Parameters {
    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Inline(text) => {
                out.push(0);
                text.pack(out);
            }
            Self::Stored { bytes, sha256 } => {
                out.push(1);
                bytes.pack(out);
                sha256.pack(out);
            }
        }
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        match byte(from)? {
            0 => Pack::unpack(from).map(Self::Inline),
            1 => Some(Self::Stored { bytes: Pack::unpack(from)?, sha256: Pack::unpack(from)? }),
            _ => None,
        }
    }
}

impl Pack for Timestamp {
    /// Zigzag: small numbers of either sign are short.
    fn pack(&self, out: &mut Vec<u8>) {
        (((self.0 << 1) ^ (self.0 >> 63)) as u64).pack(out);
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        let number = u64::unpack(from)?;
        Some(Self((number >> 1) as i64 ^ -((number & 1) as i64)))
    }
}

impl Pack for u64 {
    /// Seven bits a byte, the lowest first; all but the last have the highest bit set.
    fn pack(&self, out: &mut Vec<u8>) {
        let mut left = *self;
        while left >= 0x80 {
            out.push(left as u8 | 0x80);
            left >>= 7;
        }
        out.push(left as u8);
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        let mut number = 0;
        for shift in (0..Self::BITS).step_by(7) {
            let next = byte(from)?;
            number |= Self::from(next & 0x7f) << shift;
            if next < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

impl Pack for u32 {
    fn pack(&self, out: &mut Vec<u8>) {
        u64::from(*self).pack(out);
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        u64::unpack(from)?.try_into().ok()
    }
}

impl Pack for f64 {
    /// Whole numbers have their bits at the upper end.
    fn pack(&self, out: &mut Vec<u8>) {
        self.to_bits().swap_bytes().pack(out);
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        u64::unpack(from).map(|bits| Self::from_bits(bits.swap_bytes()))
    }
}

impl Pack for bool {
    fn pack(&self, out: &mut Vec<u8>) {
        out.push((*self).into());
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        byte(from).map(|byte| byte == 1)
    }
}

impl Pack for Box<str> {
    fn pack(&self, out: &mut Vec<u8>) {
        pack_text(self, out);
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        unpack_text(from).map(Into::into)
    }
}

impl Pack for String {
    fn pack(&self, out: &mut Vec<u8>) {
        pack_text(self, out);
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        unpack_text(from)
    }
}

impl<T: Pack> Pack for Option<T> {
    fn pack(&self, out: &mut Vec<u8>) {
        self.is_some().pack(out);
        self.iter().for_each(|some| some.pack(out));
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        if bool::unpack(from)? { T::unpack(from).map(Some) } else { Some(None) }
    }
}

impl<T: Pack> Pack for Vec<T> {
    fn pack(&self, out: &mut Vec<u8>) {
        (self.len() as u64).pack(out);
        self.iter().for_each(|one| one.pack(out));
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        let many = u64::unpack(from)?;
        (0..many).map(|_| T::unpack(from)).collect()
    }
}

impl Pack for BTreeMap<String, String> {
    fn pack(&self, out: &mut Vec<u8>) {
        (self.len() as u64).pack(out);
        for (key, value) in self {
            pack_text(key, out);
            pack_text(value, out);
        }
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        let many = u64::unpack(from)?;
        (0..many).map(|_| Some((unpack_text(from)?, unpack_text(from)?))).collect()
    }
}

/// How a text is kept: the lowest two bits of the number before its bytes; the others are how many bytes there are.
const AS_IT_IS: u64 = 0;
const HEX: u64 = 1;
const ULID: u64 = 2;

fn pack_text(text: &str, out: &mut Vec<u8>) {
    if let Some(ulid) = ulid_of(text) {
        (16 << 2 | ULID).pack(out);
        out.extend(ulid.to_bytes());
    } else if text.len() >= 8 && text.len().is_multiple_of(2) && text.bytes().all(|digit| hex_value(digit).is_some()) {
        ((text.len() as u64 / 2) << 2 | HEX).pack(out);
        let pairs = text.as_bytes().chunks_exact(2);
        out.extend(
            pairs
                .map(|pair| pair.iter().filter_map(|digit| hex_value(*digit)).fold(0, |byte, digit| byte << 4 | digit)),
        );
    } else {
        ((text.len() as u64) << 2 | AS_IT_IS).pack(out);
        out.extend(text.as_bytes());
    }
}

fn unpack_text(from: &mut &[u8]) -> Option<String> {
    let number = u64::unpack(from)?;
    let (bytes, rest) = from.split_at_checked(usize::try_from(number >> 2).ok()?)?;
    *from = rest;
    match number & 3 {
        AS_IT_IS => String::from_utf8(bytes.to_vec()).ok(),
        HEX => {
            let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            Some(digits.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])).collect())
        }
        ULID => Some(Ulid::from_bytes(bytes.try_into().ok()?).to_string()),
        _ => None,
    }
}

/// The ULID that a text is exactly as it is written.
fn ulid_of(text: &str) -> Option<Ulid> {
    let ulid = (text.len() == ULID_LEN).then(|| Ulid::from_string(text).ok())??;
    (ulid.array_to_str(&mut [0; ULID_LEN]) == text).then_some(ulid)
}

/// Of lower-case digits only: others would not come back as they were.
fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn byte(from: &mut &[u8]) -> Option<u8> {
    let (first, rest) = from.split_first()?;
    *from = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary;

    fn packed<T: Pack>(value: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        value.pack(&mut bytes);
        bytes
    }

    fn comes_back<T: Pack + PartialEq + std::fmt::Debug>(value: T) {
        let bytes = packed(&value);
        assert_eq!(T::unpack(&mut &*bytes), Some(value), "{bytes:?}");
    }

    #[test]
    fn numbers_come_back() {
        for bits in 0..64 {
            [(1u64 << bits) - 1, 1 << bits].into_iter().for_each(comes_back);
            [1i64 << bits, -1i64 << bits].into_iter().for_each(|ms| comes_back(Timestamp(ms)));
        }
        [0.0, -0.0, 100.0, 33.333, f64::MAX, f64::NEG_INFINITY].into_iter().for_each(comes_back);
        comes_back(u64::MAX);
        assert_eq!(u32::unpack(&mut &*packed(&(1u64 << 32))), None);
    }

    #[test]
    fn checksums_and_ulids_are_short_and_what_looks_like_them_comes_back() {
        let ulid = JobId::random().to_string();
        for (text, most) in [("00ff".repeat(16), 34), (ulid.clone(), 17), ("a.pdf".into(), 6)] {
            assert!(packed(&text).len() <= most, "{text}: {} bytes", packed(&text).len());
            comes_back(text);
        }
        // A ULID has 128 bits: the first character of its 26 is at most 7.
        let beyond = "8".repeat(26);
        for text in [
            ulid.to_lowercase(),
            beyond,
            "0".repeat(26),
            "00FF".repeat(16),
            "00f".into(),
            "abcdef01".into(),
            String::new(),
        ] {
            comes_back(text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

        #[test]
        fn any_job_is_unpacked_as_it_was_packed((submission, drafts) in arbitrary::life(30)) {
            for (_, job) in arbitrary::history(submission, drafts) {
                prop_assert_eq!(PackedJob::of(&job).unpack(), Some(job));
            }
        }

        #[test]
        fn any_text_comes_back(text in prop_oneof!["\\PC{0,40}", "[0-9a-f]{0,70}", "[0-9A-HJKMNP-TV-Z]{26}"]) {
            comes_back(text);
        }

        #[test]
        fn any_bytes_give_a_job_or_none_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = PackedJob(bytes.into()).unpack();
        }

        #[test]
        fn a_part_of_a_job_is_none((submission, drafts) in arbitrary::life(10), cut in any::<proptest::sample::Index>()) {
            let (_, job) = arbitrary::history(submission, drafts).pop().unwrap();
            let bytes = PackedJob::of(&job).0;
            prop_assert_eq!(PackedJob(bytes[..cut.index(bytes.len())].into()).unpack(), None);
        }
    }
}
