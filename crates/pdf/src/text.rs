//! Text as people expect it: ligatures and presentation forms resolved, lines joined, hyphens at line ends removed.

use unicode_normalization::UnicodeNormalization;

/// Replaces what is only a way of drawing (ligatures, Arabic and Hebrew presentation forms) by the letters meant, and
/// removes what has no meaning in text. Compatibility forms that do carry meaning (full width, superscript, circled
/// digits, compatibility ideographs) stay.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if let Some(letter) = chars.peek().and_then(|&next| accented(c, next)) {
            chars.next();
            out.push(letter);
            continue;
        }
        match c {
            '\u{FB00}'..='\u{FB4F}' | '\u{FB50}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}' => {
                out.extend(std::iter::once(c).nfkc());
            }
            '\u{FE10}'..='\u{FE19}' | '\u{FE30}'..='\u{FE4F}' => out.push(upright(c)),
            '\t' | '\n' => out.push(' '),
            '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    // Accents drawn as characters of their own become one with their letter.
    if out.is_ascii() { out } else { out.nfc().collect() }
}

/// The letter that TeX draws as an accent before a letter.
fn accented(accent: char, letter: char) -> Option<char> {
    let combining = match accent {
        '¨' => '\u{308}',
        // Also stands for an apostrophe, as in `it´s`.
        '´' if "aeiouyAEIOUY".contains(letter) => '\u{301}',
        'ˆ' => '\u{302}',
        '˜' => '\u{303}',
        'ˇ' => '\u{30C}',
        '˚' => '\u{30A}',
        '˝' => '\u{30B}',
        _ => return None,
    };
    let mut composed = [letter, combining].into_iter().nfc();
    composed.next().filter(|_| letter.is_alphabetic() && composed.next().is_none())
}

/// The punctuation of horizontal text for that of vertical text.
fn upright(c: char) -> char {
    const FORMS: &str = "︐，︑、︒。︓：︔；︕！︖？︗〖︘〗︙…︰‥︱—︲–︵（︶）︷｛︸｝︹〔︺〕︻【︼】︽《︾》︿〈﹀〉﹁「﹂」﹃『﹄』﹇［﹈］";
    let mut chars = FORMS.chars();
    while let (Some(form), Some(plain)) = (chars.next(), chars.next()) {
        if form == c {
            return plain;
        }
    }
    c
}

/// Share of characters that stand for nothing readable, 0 to 1: replacement characters and private use.
pub fn unreadable_share(text: &str) -> f64 {
    let (mut all, mut bad) = (0u32, 0u32);
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        all += 1;
        let private = matches!(c, '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..='\u{10FFFF}');
        bad += u32::from(c == '\u{FFFD}' || private);
    }
    if all == 0 { 0.0 } else { f64::from(bad) / f64::from(all) }
}

/// Share of words that look like words: letters, or a number, in whatever punctuation; not both in one, and nothing else
/// between. What an OCR has misread often does not.
pub fn wordlike_share(text: &str) -> f64 {
    const INNER: [char; 6] = ['\'', '’', '-', '.', ',', '/'];
    let looks_like_one = |word: &str| {
        let core = word.trim_matches(|c: char| !c.is_alphanumeric());
        let all = |kind: fn(char) -> bool| core.chars().all(|c| kind(c) || INNER.contains(&c));
        !core.is_empty() && (all(|c| c.is_alphabetic() || is_mark(c)) || all(char::is_numeric))
    };
    let (mut all, mut good) = (0u32, 0u32);
    for word in text.split_whitespace() {
        all += 1;
        good += u32::from(looks_like_one(word));
    }
    if all == 0 { 1.0 } else { f64::from(good) / f64::from(all) }
}

fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

/// Joins the lines of running text: a word divided at a line end becomes whole, other lines are joined by a space, or
/// by nothing between ideographs.
pub fn join(lines: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut out = String::new();
    for line in lines {
        let line = squeeze(&clean(line.as_ref()));
        if line.is_empty() {
            continue;
        }
        let (line, leads) = without_leaders(line);
        match (out.chars().next_back(), line.chars().next()) {
            (None | Some('\n'), _) | (_, None) => {}
            (Some(hyphen), Some(next)) if divides(&out, hyphen, next) => {
                out.pop();
            }
            (Some(_), Some(next)) if next.is_alphanumeric() && ends_inside_word(&out) => {}
            (Some(last), Some(next)) if is_wide(last) && is_wide(next) => {}
            _ => out.push(' '),
        }
        out.push_str(&line);
        if leads {
            out.push('\n');
        }
    }
    out.retain(|c| c != '\u{AD}');
    out.truncate(out.trim_end().len());
    out
}

/// A line of a table of contents: the dots that lead to the page number become one, and the line stays a line.
fn without_leaders(line: String) -> (String, bool) {
    const DOTS: usize = 4;
    let words: Vec<&str> = line.split(' ').collect();
    let is_dots = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte == b'.');
    let dots: usize = words.iter().filter(|word| is_dots(word)).map(|word| word.len()).sum();
    if dots < DOTS {
        return (line, false);
    }
    let mut kept: Vec<&str> = words.into_iter().map(|word| if is_dots(word) { "…" } else { word }).collect();
    kept.dedup_by(|a, b| *a == "…" && *b == "…");
    (kept.join(" "), true)
}

pub fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether the hyphen at the end of `text` is there only because the line ended: letters on both sides, the next one
/// small, and at least two letters before it (so not `e-` of `e-mail`).
fn divides(text: &str, hyphen: char, next: char) -> bool {
    if hyphen == '\u{AD}' {
        return true;
    }
    if !matches!(hyphen, '-' | '\u{2010}') || !next.is_lowercase() {
        return false;
    }
    let word: Vec<char> = text.chars().rev().skip(1).take_while(|c| c.is_alphanumeric() || *c == '-').collect();
    word.len() >= 2 && word.iter().all(|c| c.is_alphabetic()) && word[0].is_lowercase()
}

/// Whether the text ends with a hyphen or slash that hangs on a word.
fn ends_inside_word(text: &str) -> bool {
    let mut last = text.chars().rev();
    matches!(last.next(), Some('-' | '\u{2010}' | '/')) && last.next().is_some_and(char::is_alphanumeric)
}

/// Scripts written without spaces.
pub(crate) fn is_wide(c: char) -> bool {
    matches!(c,
        '\u{2E80}'..='\u{303F}' | '\u{3040}'..='\u{30FF}' | '\u{3100}'..='\u{312F}' | '\u{31A0}'..='\u{31FF}'
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{FF00}'..='\u{FFEF}'
        | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_of_drawing_become_letters_and_meaning_stays() {
        assert_eq!(clean("\u{FB01}nd o\u{FB03}ce"), "find office");
        assert_eq!(clean("\u{FEDF}\u{FE8E}"), "\u{0644}\u{0627}", "Arabic presentation forms");
        assert_eq!(clean("\u{FEFB}"), "\u{0644}\u{0627}", "lam-alef");
        assert_eq!(clean("ＡＢ① x² 豈 ｶﾞ"), "ＡＢ① x² 豈 ｶﾞ".nfc().collect::<String>());
        assert_eq!(clean("︵序︶︑︿"), "（序）、〈", "forms for vertical text");
        assert_eq!(clean("Br¨oker P´eter it´s ¨ x"), "Bröker Péter it´s ¨ x", "accents as TeX draws them");
        assert_eq!(clean("e\u{301}te\u{0} \u{7}"), "éte ");
    }

    #[test]
    fn lines_are_joined_as_they_are_read() {
        assert_eq!(join(["The quick  brown", "fox"]), "The quick brown fox");
        assert_eq!(join(["an exam-", "ple of it"]), "an example of it");
        assert_eq!(join(["the e-", "mail"]), "the e-mail");
        assert_eq!(join(["state-of-the-", "art"]), "state-of-the-art");
        assert_eq!(join(["Jean-", "Paul"]), "Jean-Paul");
        assert_eq!(join(["soft\u{AD}", "ware, hard\u{AD}ware"]), "software, hardware");
        assert_eq!(join(["吾輩は猫で", "ある。名前は"]), "吾輩は猫である。名前は");
        assert_eq!(join(["dash -", "then"]), "dash - then");
        assert_eq!(join(["", "  ", "a"]), "a");
        assert_eq!(join(["One . . . . . 3", "Two ...... 4", "text"]), "One … 3\nTwo … 4\ntext");
        assert_eq!(join(["and so on ...", "or not"]), "and so on ... or not");
    }

    #[test]
    fn words_look_like_words() {
        assert_eq!(wordlike_share("\"Don't,\" said Mr. O’Neill (1864): 3,000."), 1.0);
        assert_eq!(wordlike_share("T~e y|ear l8b4 read"), 0.25);
        assert_eq!(wordlike_share(""), 1.0);
    }

    #[test]
    fn unreadable_characters_count() {
        assert_eq!(unreadable_share("abc d"), 0.0);
        assert_eq!(unreadable_share("a\u{FFFD} \u{E001}b"), 0.5);
        assert_eq!(unreadable_share(""), 0.0);
    }
}
