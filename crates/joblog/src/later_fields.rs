//! Fields that came after the format of records was fixed, stored as one field.
//!
//! Records store structs as arrays, in which only the last field can be left out. So all of these are in it, and a record says
//! no more than it must: nothing; the folder alone as a text, as older programs wrote it and read it; a pair with the trace; the
//! first four; or all. Older programs refuse what they do not know.

use std::fmt;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::handover::{Output, Parameters};

/// See the fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LaterFields {
    /// The folder of the job's files in an object store that several servers share: random, set by the server that takes the job
    /// in. So a server that is slow to remove a job's files never takes those of a job that was made again under the same id.
    /// `None` where one server has the store for itself.
    pub folder: Option<Box<str>>,
    /// The span that the job's spans are parts of, as a W3C `traceparent`; `None` where its trace is not recorded.
    pub traceparent: Option<Box<str>>,
    /// What the workers are to do.
    pub parameters: Option<Parameters>,
    /// What they have made beside exports, in the order in which it was stored first; names are unique.
    pub outputs: Vec<Output>,
    /// The URL to which the job's end is sent.
    pub callback: Option<Box<str>>,
}

impl LaterFields {
    pub fn is_empty(&self) -> bool {
        self.folder.is_none() && self.is_folder_only()
    }

    fn is_folder_only(&self) -> bool {
        self.traceparent.is_none() && self.parameters.is_none() && self.outputs.is_empty() && self.callback.is_none()
    }
}

impl Serialize for LaterFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { folder, traceparent, parameters, outputs, callback } = self;
        if self.is_folder_only() {
            folder.serialize(serializer)
        } else if callback.is_some() {
            (folder, traceparent, parameters, outputs, callback).serialize(serializer)
        } else if parameters.is_none() && outputs.is_empty() {
            (folder, traceparent).serialize(serializer)
        } else {
            (folder, traceparent, parameters, outputs).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for LaterFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Stored)
    }
}

struct Stored;

impl<'de> Visitor<'de> for Stored {
    type Value = LaterFields;

    fn expecting(&self, into: &mut fmt::Formatter<'_>) -> fmt::Result {
        into.write_str("a folder, or an array of it and of what came after it")
    }

    fn visit_str<E: Error>(self, folder: &str) -> Result<LaterFields, E> {
        Ok(LaterFields { folder: Some(folder.into()), ..LaterFields::default() })
    }

    fn visit_unit<E: Error>(self) -> Result<LaterFields, E> {
        Ok(LaterFields::default())
    }

    fn visit_none<E: Error>(self) -> Result<LaterFields, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, stored: D) -> Result<LaterFields, D::Error> {
        stored.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<LaterFields, A::Error> {
        Ok(LaterFields {
            folder: fields.next_element()?.flatten(),
            traceparent: fields.next_element()?.flatten(),
            parameters: fields.next_element()?.flatten(),
            outputs: fields.next_element()?.unwrap_or_default(),
            callback: fields.next_element()?.flatten(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Record {
        first: u32,
        #[serde(default, rename = "folder", skip_serializing_if = "LaterFields::is_empty")]
        later: LaterFields,
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
        Record { first: 7, later: LaterFields { folder, traceparent, ..LaterFields::default() } }
    }

    #[test]
    fn each_comes_back_as_it_was() {
        for (folder, traceparent) in [(None, None), (Some("f"), None), (None, Some("t")), (Some("f"), Some("t"))] {
            for parameters in [None, Some(Parameters::Inline("{}".into()))] {
                for outputs in [vec![], vec![samples::output("words.txt", 1)]] {
                    for callback in [None, Some("https://example.org/done".into())] {
                        let (parameters, outputs) = (parameters.clone(), outputs.clone());
                        let mut record = record(folder, traceparent);
                        record.later = LaterFields { parameters, outputs, callback, ..record.later };
                        let bytes = rmp_serde::to_vec(&record).unwrap();
                        assert_eq!(rmp_serde::from_slice::<Record>(&bytes).unwrap(), record);
                        let bytes = rmp_serde::to_vec_named(&record).unwrap();
                        assert_eq!(rmp_serde::from_slice::<Record>(&bytes).unwrap(), record);
                    }
                }
            }
        }
    }

    #[test]
    fn without_what_came_later_it_is_the_older_record_and_with_it_older_programs_refuse_it() {
        for folder in [None, Some("f")] {
            let older = rmp_serde::to_vec(&Older { first: 7, folder: folder.map(Into::into) }).unwrap();
            assert_eq!(rmp_serde::to_vec(&record(folder, None)).unwrap(), older);
            let traced = rmp_serde::to_vec(&record(folder, Some("t"))).unwrap();
            let mut with_output = record(folder, None);
            with_output.later.outputs.push(samples::output("words.txt", 1));
            for newer in [traced, rmp_serde::to_vec(&with_output).unwrap()] {
                assert!(rmp_serde::from_slice::<Older>(&newer).is_err());
            }
        }
    }
}
