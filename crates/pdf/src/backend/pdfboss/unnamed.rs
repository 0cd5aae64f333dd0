//! Letters that pdfboss cannot name, looked up by their places in what hayro makes of the page.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pdfboss_text::TextSpan;

use super::Pdfboss;
use crate::backend::PdfDocument;
use crate::backend::hayro::Hayro;

/// What stands for a letter that has no name.
const UNNAMED: char = '\u{FFFD}';

impl Pdfboss {
    /// Replaces letters without a name where hayro knows them. A page is not lost when that fails.
    pub(super) fn name_letters(&self, number: u32, spans: &mut [TextSpan]) {
        if !spans.iter().any(can_be_named) {
            return;
        }
        let looked_up = catch_unwind(AssertUnwindSafe(|| {
            let open = || Hayro::open(self.document.bytes().to_vec(), self.password.as_deref()).ok();
            self.second.get_or_init(open).as_ref().map(|second| second.letters(number))
        }));
        let Ok(Some(letters)) = looked_up else { return };
        for span in spans.iter_mut().filter(|span| can_be_named(span)) {
            let (mut text, mut places) = (String::new(), Vec::new());
            for (c, x) in span.text.chars().zip(&*span.glyph_x) {
                let found = if c == UNNAMED { letters.at(*x, span.y) } else { None };
                let before = text.chars().count();
                match found {
                    Some(found) => text.push_str(found),
                    None => text.push(c),
                }
                places.extend(std::iter::repeat_n(*x, text.chars().count() - before));
            }
            (span.text, span.glyph_x) = (text, places.into());
        }
    }
}

/// Only of upright, horizontal text is it known where each glyph stands.
fn can_be_named(span: &TextSpan) -> bool {
    span.rotate == 0 && !span.vertical && !span.logical && span.text.contains(UNNAMED) && !span.glyph_x.is_empty()
}
