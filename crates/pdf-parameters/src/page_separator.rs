//! What stands between pages.

use serde::{Deserialize, Serialize};

/// What is replaced by the number of the page that follows.
const PAGE: &str = "{page}";
/// The longest in bytes.
const MAX_BYTES: usize = 200;

/// A text between pages, in which `{page}` is the number of the page that follows. It goes into the results as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct PageSeparator(String);

impl PageSeparator {
    /// What stands before this page.
    pub fn before(&self, page: u32) -> String {
        self.0.replace(PAGE, &page.to_string())
    }
}

impl TryFrom<String> for PageSeparator {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_plain = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\t' | '\u{c}');
        if text.len() > MAX_BYTES {
            return Err(format!("must have at most {MAX_BYTES} bytes"));
        }
        if !text.chars().all(is_plain) {
            return Err("must have no control characters but line feeds, tabs and form feeds".into());
        }
        Ok(Self(text))
    }
}
