//! Right-to-left letters in the order they are drawn, which is what the layout turns into reading order.
//!
//! pdfboss gives text glyph by glyph, the leftmost first, and its layout turns right-to-left lines round. Where a single
//! glyph stands for several letters (a ligature, a whole word), the file says them in reading order; they must be turned
//! round before, or they would come out backwards.

use pdfboss_text::TextSpan;
use unicode_normalization::char::is_combining_mark;

/// Puts the letters of each glyph in drawing order.
pub(super) fn to_drawing_order(span: &mut TextSpan) {
    let chars: Vec<char> = span.text.chars().collect();
    if span.logical || span.glyph_x.len() != chars.len() || !chars.iter().any(|c| is_right_to_left(*c)) {
        return;
    }
    let mut ordered = String::with_capacity(span.text.len());
    let mut from = 0;
    for glyph in span.glyph_x.chunk_by(|a, b| a == b) {
        push_glyph(&mut ordered, &chars[from..from + glyph.len()]);
        from += glyph.len();
    }
    span.text = ordered;
}

/// The characters of a glyph, each run of right-to-left letters turned round.
fn push_glyph(out: &mut String, chars: &[char]) {
    let is_of_run = |c: char| is_right_to_left(c) || is_combining_mark(c);
    for run in chars.chunk_by(|a, b| is_of_run(*a) == is_of_run(*b)) {
        if run.iter().filter(|c| is_right_to_left(**c)).count() < 2 {
            out.extend(run);
        } else {
            // Marks stay behind their letter.
            run.chunk_by(|_, next| is_combining_mark(*next)).rev().for_each(|letter| out.extend(letter));
        }
    }
}

/// Letters of Hebrew, Arabic and their kin; their digits are read from the left.
fn is_right_to_left(c: char) -> bool {
    let is_digit = matches!(c, '\u{0660}'..='\u{0669}' | '\u{06F0}'..='\u{06F9}');
    let is_letter = matches!(c, '\u{0590}'..='\u{08FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}');
    is_letter && !is_digit && !is_combining_mark(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(glyphs: &[&str]) -> String {
        let mut out = String::new();
        for glyph in glyphs {
            push_glyph(&mut out, &glyph.chars().collect::<Vec<_>>());
        }
        out
    }

    #[test]
    fn only_the_letters_of_one_glyph_are_turned_round() {
        assert_eq!(ordered(&["\u{644}\u{627}"]), "\u{627}\u{644}", "lam and alef");
        assert_eq!(ordered(&["\u{644}", "\u{627}"]), "\u{644}\u{627}", "drawn one by one");
        assert_eq!(ordered(&["\u{62D}\u{64E}\u{628} h"]), "\u{628}\u{62D}\u{64E} h", "the mark stays with its letter");
        assert_eq!(ordered(&["fi", "\u{661}\u{662}"]), "fi\u{661}\u{662}", "left to right");
    }
}
