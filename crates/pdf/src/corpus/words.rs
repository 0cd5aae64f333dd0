//! Words counted, so that readers can be compared whatever order they read in.

use std::collections::BTreeMap;

use unicode_normalization::UnicodeNormalization;

use crate::text::{is_wide, join};

/// Marks of writing direction, and others that show nothing.
const UNSEEN: [char; 14] = [
    '\u{200B}', '\u{200C}', '\u{200D}', '\u{200E}', '\u{200F}', '\u{202A}', '\u{202B}', '\u{202C}', '\u{202D}',
    '\u{202E}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
];

/// Words, each counted as often as it occurs. A character of a script without spaces is a word of its own; what has
/// neither letter nor digit (bullets, leaders, rules) is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words(BTreeMap<String, u64>);

impl Words {
    /// Adds the words of a text in which no word is divided.
    pub(super) fn add(&mut self, text: &str) {
        let text: String = text.nfkc().filter(|c| !UNSEEN.contains(c)).collect();
        let mut word = String::new();
        for c in text.chars() {
            if c.is_whitespace() || is_wide(c) {
                self.add_word(std::mem::take(&mut word));
            }
            if is_wide(c) {
                self.add_word(c.into());
            } else if !c.is_whitespace() {
                word.push(c);
            }
        }
        self.add_word(word);
    }

    /// Adds the words of lines as a program prints them, joined as we join ours: a word divided at a line end is one.
    pub(super) fn add_lines(&mut self, text: &str) {
        for paragraph in text.split("\n\n") {
            self.add(&join(paragraph.lines()));
        }
    }

    fn add_word(&mut self, word: String) {
        if word.chars().any(char::is_alphanumeric) {
            *self.0.entry(word).or_default() += 1;
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// Twice what both have by what they have in all.
    pub(super) fn f1(&self, other: &Self) -> f64 {
        let common: u64 = self.0.iter().map(|(word, count)| *count.min(other.0.get(word).unwrap_or(&0))).sum();
        let all = self.count() + other.count();
        #[allow(clippy::cast_precision_loss)]
        if all == 0 { 1.0 } else { 2.0 * common as f64 / all as f64 }
    }

    /// Up to `most` words that are here more often than there, the most frequent first.
    pub(super) fn without(&self, other: &Self, most: usize) -> Vec<String> {
        let surplus = |(word, count): (&String, &u64)| {
            let more = count.saturating_sub(*other.0.get(word).unwrap_or(&0));
            (more > 0).then(|| (more, word.clone()))
        };
        let mut words: Vec<(u64, String)> = self.0.iter().filter_map(surplus).collect();
        words.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        words.truncate(most);
        words.into_iter().map(|(count, word)| if count > 1 { format!("{word}×{count}") } else { word }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Words {
        let mut words = Words::default();
        words.add(text);
        words
    }

    #[test]
    fn f1_counts_words_as_often_as_they_occur() {
        assert_eq!(words("a b c").f1(&words("a b c")), 1.0);
        assert_eq!(words("a a b").f1(&words("a c")), 0.4);
        assert_eq!(words("\u{FB01}sh").f1(&words("fish")), 1.0);
        assert_eq!(words("a").f1(&words("b")), 0.0);
        assert_eq!(words("• a — b").f1(&words("a b")), 1.0);
    }

    #[test]
    fn scripts_without_spaces_are_counted_by_character_and_marks_of_direction_not_at_all() {
        assert_eq!(words("吾輩は 猫").count(), 4);
        assert_eq!(words("\u{202B}حبيبي\u{202C}"), words("حبيبي"));
    }

    #[test]
    fn divided_words_are_one() {
        let mut printed = Words::default();
        printed.add_lines("an exam-\nple\n\nof soft\u{AD}\nware");
        assert_eq!(printed, words("an example of software"));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(words("a a b c").without(&words("a c"), 5), ["a", "b"]);
        assert_eq!(words("a a a").without(&words("b"), 5), ["a×3"]);
    }
}
