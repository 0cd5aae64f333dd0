//! What a caller asks of the workers: a JSON object as text, checked when it is submitted and handed on byte for byte.

use std::collections::HashSet;
use std::fmt;

use bytes::{Bytes, BytesMut};
use courant_joblog::job::{Format, INLINE_PARAMETERS_BYTES, Job, Parameters};
use courant_joblog::log::Blob;
use courant_pdf_parameters::{InvalidParameter, PdfParameters, ResultName};
use futures::TryStreamExt as _;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::error::Error;
use crate::files::{self, JobFile, JobFiles};
use crate::job_folder::JobFolder;

/// The longest text in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// The kind of work that comes with Courant, and whose parameters are known.
pub const PDF_KIND: &str = "pdf";
/// The deepest nesting: the object itself is the first level.
pub const MAX_DEPTH: usize = 32;

/// Whether the text is a JSON object within the bounds; `None` when it is empty.
pub fn check(text: String) -> Result<Option<Bytes>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > MAX_BYTES {
        return Err(Error::field("parameters", format!("must have at most {MAX_BYTES} bytes")));
    }
    let mut reader = serde_json::Deserializer::from_str(&text);
    let read = Level(MAX_DEPTH).deserialize(&mut reader).and_then(|kind| reader.end().map(|()| kind));
    match read {
        Ok(Kind::Object) => Ok(Some(text.into())),
        Ok(Kind::Other) => Err(Error::field("parameters", "must be a JSON object, as in {\"key\": \"value\"}")),
        Err(error) => Err(Error::field("parameters", format!("must be JSON: {error}"))),
    }
}

/// What a job of this kind may not be asked for is refused, with the path of the field. Gives the formats to write, if the parameters
/// name any. Of kinds that are not known here nothing is checked.
pub fn check_for_kind(kind: &str, text: Option<&Bytes>) -> Result<Option<Vec<Format>>, Error> {
    let Some(text) = text.filter(|_| kind == PDF_KIND) else { return Ok(None) };
    // It was a text when it was checked.
    let asked =
        PdfParameters::parse(&String::from_utf8_lossy(text)).map_err(|InvalidParameter { path, problem }| {
            let field = if path.is_empty() { "parameters".into() } else { format!("parameters.{path}") };
            Error::field(field, problem)
        })?;
    Ok(asked.formats.map(|named| named.into_iter().map(format).collect()))
}

fn format(name: ResultName) -> Format {
    match name {
        ResultName::Json => Format::Json,
        ResultName::Markdown => Format::Markdown,
        ResultName::Text => Format::Text,
        ResultName::Html => Format::Html,
    }
}

/// As the log has them.
pub fn for_log(text: &Bytes) -> Parameters {
    match std::str::from_utf8(text) {
        Ok(text) if text.len() <= INLINE_PARAMETERS_BYTES => Parameters::Inline(text.into()),
        _ => Parameters::Stored { bytes: text.len() as u32, sha256: files::stored(text).sha256 },
    }
}

/// The file that goes into the log with the job, if they are too large for the job itself.
pub fn file(files: &JobFiles, folder: &JobFolder, text: &Bytes) -> Option<Blob> {
    let is_large = text.len() > INLINE_PARAMETERS_BYTES;
    is_large.then(|| files.small_file(JobFile::parameters(folder.clone()), text.clone()))
}

/// The parameters of a job as they were submitted, wherever they are. Empty for none.
pub async fn text(files: &JobFiles, job: &Job) -> Result<String, Error> {
    if let Some(kept) = kept(job) {
        return Ok(kept);
    }
    let (_, pieces) = files.open(&JobFile::parameters(JobFolder::of(job))).await?;
    let text: BytesMut = pieces.try_collect().await?;
    // It was a text when it was written.
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The same of parameters that are kept in the job, without waiting; `None` for those that are not.
pub fn kept(job: &Job) -> Option<String> {
    match &job.later.parameters {
        None => Some(String::new()),
        Some(parameters) => parameters.inline().map(str::to_owned),
    }
}

/// What a value is, as far as it matters.
enum Kind {
    Object,
    Other,
}

/// Reads a value with so many levels left, and keeps nothing of it.
struct Level(usize);

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Kind;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Kind, D::Error> {
        reader.deserialize_any(self)
    }
}

impl Level {
    fn inside<E: serde::de::Error>(&self) -> Result<Self, E> {
        match self.0 {
            0 | 1 => Err(E::custom(format!("it is more than {MAX_DEPTH} levels deep"))),
            left => Ok(Self(left - 1)),
        }
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Kind;

    fn expecting(&self, into: &mut fmt::Formatter<'_>) -> fmt::Result {
        into.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Kind, A::Error> {
        while values.next_element_seed(self.inside()?)?.is_some() {}
        Ok(Kind::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Kind, A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            entries.next_value_seed(self.inside()?)?;
            if let Some(twice) = keys.replace(key) {
                return Err(A::Error::custom(format!("the key {twice:?} is there twice")));
            }
        }
        Ok(Kind::Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: impl Into<String>) -> String {
        check(text.into()).unwrap_err().to_string()
    }

    #[test]
    fn an_object_is_taken_as_it_is() {
        assert!(check(String::new()).unwrap().is_none());
        for text in ["{}", " {\"a\" : 12345678901234567890.10}\n", r#"{"a":[{"b":null},{"b":true}],"ä":"\u0000"}"#] {
            assert_eq!(check(text.into()).unwrap().unwrap(), text);
        }
        let full = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_BYTES - 8));
        assert_eq!(full.len(), MAX_BYTES);
        assert!(check(full).is_ok());
    }

    #[test]
    fn what_is_none_is_refused_with_its_place() {
        for text in ["[]", "null", "3", "\"{}\"", " true "] {
            assert!(problem(text).contains("must be a JSON object"), "{text}");
        }
        assert!(problem("{\"a\":1,}").contains("line 1 column 8"), "{}", problem("{\"a\":1,}"));
        for text in ["{", "{} {}", "{'a':1}", "{\"a\":01}", "{\"a\":1e999}", "{\"a\":\"\\ud800\"}"] {
            assert!(problem(text).contains("must be JSON"), "{text}: {}", problem(text));
        }
        assert!(problem(format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_BYTES))).contains("at most 65536 bytes"));
    }

    #[test]
    fn parameters_of_pdf_jobs_are_known_and_those_of_others_are_not() {
        let check = |kind, text: &'static str| check_for_kind(kind, Some(&Bytes::from_static(text.as_bytes())));
        assert_eq!(check("pdf", r#"{"formats":["txt","json"]}"#).unwrap(), Some(vec![Format::Text, Format::Json]));
        assert_eq!(check("pdf", r#"{"pages":"2-"}"#).unwrap(), None);
        assert_eq!(check("other", r#"{"pages":[]}"#).unwrap(), None);
        let error = check("pdf", r#"{"ocrLanguages":["eng",3]}"#).unwrap_err();
        assert!(matches!(&error, Error::Field { field, .. } if field == "parameters.ocrLanguages[1]"), "{error}");
        assert_eq!(check_for_kind("pdf", None).unwrap(), None);
    }

    #[test]
    fn depth_is_bounded_and_no_key_is_there_twice() {
        let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert!(check(nested(MAX_DEPTH - 1)).is_ok());
        assert!(problem(nested(MAX_DEPTH)).contains("more than 32 levels"));
        assert!(problem(format!("{{\"a\":{}}}", "[".repeat(20_000))).contains("more than 32 levels"));
        assert!(problem(r#"{"b":{"a":1,"a":2}}"#).contains("the key \"a\" is there twice"));
    }
}
