//! The parameters of jobs of the kind `pdf`: what may be asked for, and how it is checked.
//!
//! The server checks them when a job is submitted, so that a wrong one is refused at once, with the path of its field; the
//! worker reads them again and does as they say. [`SCHEMA`] says the same to editors and programs.

mod page_selection;
mod page_separator;

use serde::{Deserialize, Deserializer, Serialize};

pub use page_selection::PageSelection;
pub use page_separator::PageSeparator;

/// The JSON Schema (2020-12) of [`PdfParameters`].
pub const SCHEMA: &str = include_str!("../parameters.schema.json");
/// How many languages may be asked for: each slows OCR down.
const MAX_LANGUAGES: usize = 8;
/// The longest name of a language in bytes.
const MAX_LANGUAGE: usize = 32;

/// What may be asked for. Whatever is left out is as the worker is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PdfParameters {
    /// The pages to process. All of them, if left out.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub pages: Option<PageSelection>,
    /// Which pages are read by OCR.
    #[serde(default)]
    pub ocr: OcrMode,
    /// The languages of the text in pictures, as the OCR engine names them, for example `eng`, `deu`. Those of the worker, if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ocr_languages: Vec<Language>,
    /// The results to write. They win over the formats of the submit.
    #[serde(default, deserialize_with = "at_least_one", skip_serializing_if = "Option::is_none")]
    pub formats: Option<Vec<ResultName>>,
    /// What becomes of text that nobody sees.
    #[serde(default)]
    pub hidden_text: HiddenText,
    /// What stands between the pages of the Markdown and of the plain text.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub page_separator: Option<PageSeparator>,
}

/// Which pages are read by OCR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OcrMode {
    /// None.
    Off,
    /// Those without text that can be read.
    #[default]
    Auto,
    /// All; the text that the file has is left out.
    Force,
}

/// What becomes of text that is drawn invisibly, as programs for OCR put it behind the pictures they have read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HiddenText {
    /// It is text as any other.
    #[default]
    Include,
    /// It is left out. Pages that have no other are read by OCR, unless that is off.
    Exclude,
}

/// A result by the usual end of its file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ResultName {
    #[serde(rename = "json")]
    Json,
    #[serde(rename = "md")]
    Markdown,
    #[serde(rename = "txt")]
    Text,
    #[serde(rename = "html")]
    Html,
}

/// The name of a language: 1 to 32 letters, digits and `_`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Language(String);

impl Language {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Language {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let is_name = (1..=MAX_LANGUAGE).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if is_name {
            Ok(Self(name))
        } else {
            Err("must be a language as the OCR engine names it, as in \"eng\"".into())
        }
    }
}

/// A parameter that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct InvalidParameter {
    /// Where it is, for example `ocrLanguages[1]`; empty for the whole.
    pub path: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl PdfParameters {
    /// Reads the JSON object that a job was submitted with. An empty text is one that asks for nothing.
    pub fn parse(text: &str) -> Result<Self, InvalidParameter> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let value: serde_json::Value = serde_json::from_str(text)
            .map_err(|error| InvalidParameter { path: String::new(), problem: format!("must be JSON: {error}") })?;
        let Some(object) = value.as_object() else {
            let problem = "must be a JSON object, as in {\"pages\": \"1-5\"}".into();
            return Err(InvalidParameter { path: String::new(), problem });
        };
        if let Some(unknown) = object.keys().find(|key| !FIELDS.contains(&key.as_str())) {
            let problem = format!("is not a parameter of the kind pdf, which has {}", FIELDS.join(", "));
            return Err(InvalidParameter { path: unknown.clone(), problem });
        }
        let read: Self = serde_path_to_error::deserialize(value).map_err(|error| {
            let path = error.path().to_string();
            InvalidParameter {
                path: if path == "." { String::new() } else { path },
                problem: error.inner().to_string(),
            }
        })?;
        read.checked()
    }

    fn checked(self) -> Result<Self, InvalidParameter> {
        let invalid = |path: &str, problem: String| Err(InvalidParameter { path: path.into(), problem });
        if self.ocr_languages.len() > MAX_LANGUAGES {
            return invalid("ocrLanguages", format!("must be at most {MAX_LANGUAGES}"));
        }
        if self.ocr == OcrMode::Off && !self.ocr_languages.is_empty() {
            return invalid("ocrLanguages", "must be left out where ocr is \"off\"".into());
        }
        Ok(self)
    }
}

const FIELDS: [&str; 6] = ["pages", "ocr", "ocrLanguages", "formats", "hiddenText", "pageSeparator"];

/// A field that is there has a value: `null` is none.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

fn at_least_one<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<ResultName>>, D::Error> {
    let names = Vec::<ResultName>::deserialize(from)?;
    if names.is_empty() {
        return Err(serde::de::Error::custom("must have at least one of json, md, txt, html"));
    }
    Ok(Some(names))
}

#[cfg(test)]
mod tests;
