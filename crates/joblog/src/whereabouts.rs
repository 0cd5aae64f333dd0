//! Where the files of a job and its trace are: two things that most jobs do not have, stored as one field.
//!
//! Records store structs as arrays, in which only the last field can be left out. So both are in it: nothing; the folder alone as
//! a text, as older programs wrote it and read it; or a pair, once there is a trace, which older programs refuse.

use std::fmt;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// See the fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Whereabouts {
    /// The folder of the job's files in an object store that several servers share: random, set by the server that takes the job
    /// in. So a server that is slow to remove a job's files never takes those of a job that was made again under the same id.
    /// `None` where one server has the store for itself.
    pub folder: Option<Box<str>>,
    /// The span that the job's spans are parts of, as a W3C `traceparent`; `None` where its trace is not recorded.
    pub traceparent: Option<Box<str>>,
}

impl Whereabouts {
    pub fn is_empty(&self) -> bool {
        self.folder.is_none() && self.traceparent.is_none()
    }
}

impl Serialize for Whereabouts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self { folder, traceparent: None } => folder.serialize(serializer),
            Self { folder, traceparent } => (folder, traceparent).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Whereabouts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Stored)
    }
}

struct Stored;

impl<'de> Visitor<'de> for Stored {
    type Value = Whereabouts;

    fn expecting(&self, into: &mut fmt::Formatter<'_>) -> fmt::Result {
        into.write_str("a folder, or a folder and a traceparent")
    }

    fn visit_str<E: Error>(self, folder: &str) -> Result<Whereabouts, E> {
        Ok(Whereabouts { folder: Some(folder.into()), traceparent: None })
    }

    fn visit_unit<E: Error>(self) -> Result<Whereabouts, E> {
        Ok(Whereabouts::default())
    }

    fn visit_none<E: Error>(self) -> Result<Whereabouts, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, stored: D) -> Result<Whereabouts, D::Error> {
        stored.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Whereabouts, A::Error> {
        let folder = pair.next_element()?.flatten();
        Ok(Whereabouts { folder, traceparent: pair.next_element()?.flatten() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Record {
        first: u32,
        #[serde(default, rename = "folder", skip_serializing_if = "Whereabouts::is_empty")]
        whereabouts: Whereabouts,
    }

    /// As it was before there were traces.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Older {
        first: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        folder: Option<Box<str>>,
    }

    fn record(folder: Option<&str>, traceparent: Option<&str>) -> Record {
        let [folder, traceparent] = [folder, traceparent].map(|text| text.map(Into::into));
        Record { first: 7, whereabouts: Whereabouts { folder, traceparent } }
    }

    #[test]
    fn each_comes_back_as_it_was() {
        for (folder, traceparent) in [(None, None), (Some("f"), None), (None, Some("t")), (Some("f"), Some("t"))] {
            let record = record(folder, traceparent);
            let bytes = rmp_serde::to_vec(&record).unwrap();
            assert_eq!(rmp_serde::from_slice::<Record>(&bytes).unwrap(), record);
            assert_eq!(rmp_serde::from_slice::<Record>(&rmp_serde::to_vec_named(&record).unwrap()).unwrap(), record);
        }
    }

    #[test]
    fn without_a_trace_it_is_the_older_record_and_with_one_older_programs_refuse_it() {
        for folder in [None, Some("f")] {
            let older = rmp_serde::to_vec(&Older { first: 7, folder: folder.map(Into::into) }).unwrap();
            assert_eq!(rmp_serde::to_vec(&record(folder, None)).unwrap(), older);
            let traced = rmp_serde::to_vec(&record(folder, Some("t"))).unwrap();
            assert!(rmp_serde::from_slice::<Older>(&traced).is_err());
        }
    }
}
