//! What texts of callers may hold.

/// The longest name of a kind in bytes.
pub const MAX_KIND: usize = 64;
/// The longest media type in bytes.
pub const MAX_MEDIA_TYPE: usize = 127;

/// Whether a character cannot be seen, or changes how its neighbours are shown: two ids that look the same would not be,
/// and a name could be shown turned round.
pub fn is_invisible(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{00AD}'                   // soft hyphen
            | '\u{061C}'                 // Arabic letter mark
            | '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}' // Hangul fillers
            | '\u{180E}'                 // Mongolian vowel separator
            | '\u{200B}'..='\u{200F}'    // zero width, direction marks
            | '\u{2028}'..='\u{202E}'    // line and paragraph separators, embeddings, overrides
            | '\u{2060}'..='\u{206F}'    // word joiner, isolates, deprecated controls
            | '\u{FEFF}'                 // byte order mark
            | '\u{FFF9}'..='\u{FFFB}'    // annotations
            | '\u{E0000}'..='\u{E0FFF}') // tags and variation selectors
}

/// Whether a character turns round how its neighbours are shown, or ends the line. In names for people; joiners and
/// variation selectors are part of many scripts and of emoji.
pub fn is_control_or_bidi(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Whether a text is a media type (RFC 9110, 8.3.1), with parameters or without, of at most 127 bytes.
pub fn is_media_type(text: &str) -> bool {
    let is_token = |token: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !token.is_empty() && token.bytes().all(fits)
    };
    let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
    let is_kind = kind.trim_end_matches(' ').split_once('/').is_some_and(|(kind, sub)| is_token(kind) && is_token(sub));
    let is_parameter = |parameter: &str| {
        let parameter = parameter.split_once('=');
        parameter.is_some_and(|(name, value)| is_token(name) && is_token(value.trim_matches('"')))
    };
    let has_parameters = text.contains(';');
    text.len() <= MAX_MEDIA_TYPE
        && is_kind
        && (!has_parameters || parameters.split(';').all(|parameter| is_parameter(parameter.trim_matches(' '))))
}

/// Whether this can be the name of a kind of work.
pub fn is_kind(kind: &str) -> bool {
    (1..=MAX_KIND).contains(&kind.len())
        && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_part_of_a_script_is_kept() {
        for text in ["Bericht", "отчёт", "نامه\u{200C}ها.pdf", "👩\u{200D}🔬.pdf", "e\u{301}", "\u{301}", "𝒳", "報告書"]
        {
            assert!(!text.chars().any(is_control_or_bidi), "{text}");
        }
        assert!("a\u{202E}fdp.exe".chars().any(is_control_or_bidi) && "a\0".chars().any(is_control_or_bidi));
        assert!("a\u{200B}".chars().any(is_invisible) && "a\u{E0041}".chars().any(is_invisible));
        assert!(!"déjà-vu_報告".chars().any(is_invisible));
    }
}
