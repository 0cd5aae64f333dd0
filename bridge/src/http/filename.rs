//! The name of a file in a part of a form, also as `filename*=UTF-8''…`: RFC 7578 wants it no more, and clients write it.

use http::HeaderMap;
use http::header::CONTENT_DISPOSITION;

use crate::api_error::ApiError;

/// What `filename*` says, if it is there; it counts more than `filename` (RFC 6266, section 4.3).
pub fn extended(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let value = headers.get(CONTENT_DISPOSITION).map(|value| value.as_bytes()).unwrap_or_default();
    let Ok(text) = std::str::from_utf8(value) else { return Ok(None) };
    let Some(value) =
        parameters(text).find_map(|(name, value)| name.eq_ignore_ascii_case("filename*").then_some(value))
    else {
        return Ok(None);
    };
    let unreadable = || ApiError::field("file", "filename* must be written as UTF-8''name, other bytes as %XX");
    decoded(value).map(Some).ok_or_else(unreadable)
}

/// Names and values between semicolons that stand in no quotes.
fn parameters(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    let ends = move |letter: char| {
        let was_escaped = std::mem::take(&mut escaped);
        match letter {
            '\\' if quoted && !was_escaped => escaped = true,
            '"' if !was_escaped => quoted = !quoted,
            _ => {}
        }
        letter == ';' && !quoted
    };
    text.split(ends).skip(1).filter_map(|part| part.split_once('=')).map(|(name, value)| (name.trim(), value.trim()))
}

/// `charset'language'text` of RFC 8187, section 3.2. It may stand in quotes, as some write it.
fn decoded(value: &str) -> Option<String> {
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let mut pieces = value.splitn(3, '\'');
    let (charset, _, text) = (pieces.next()?, pieces.next()?, pieces.next()?);
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                let digits = std::str::from_utf8(digits)
                    .ok()
                    .filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = after;
            }
            plain => bytes.push(*plain),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(disposition: &str) -> Result<Option<String>, ApiError> {
        extended(&HeaderMap::from_iter([(CONTENT_DISPOSITION, disposition.parse().unwrap())]))
    }

    #[test]
    fn extended_names_are_read_and_plain_ones_left_alone() {
        for (text, expected) in [
            ("form-data; name=file; filename*=UTF-8''r%C3%A9port%20%E2%82%AC.pdf", Some("réport €.pdf")),
            ("form-data; name=\"file\"; FileName*=utf-8'en'a.pdf; filename=\"b.pdf\"", Some("a.pdf")),
            ("form-data; filename=\"x; filename*=UTF-8''evil.pdf\"; filename*=\"UTF-8''a.pdf\"", Some("a.pdf")),
            ("form-data; name=\"a\\\"; filename*=UTF-8''evil.pdf\"", None),
            ("form-data; name=file; filename=\"b.pdf\"", None),
        ] {
            assert_eq!(name(text).unwrap().as_deref(), expected, "{text}");
        }
        for bad in ["UTF-8''%C3", "UTF-8''%4", "UTF-8''%zz", "UTF-8''%+4", "UTF-16''a", "a.pdf", "'"] {
            assert!(name(&format!("form-data; filename*={bad}")).is_err(), "{bad}");
        }
    }
}
