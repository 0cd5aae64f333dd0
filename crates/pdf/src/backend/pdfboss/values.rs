//! What is filled in forms whose fields do not say how that looks. Viewers draw it themselves.

use std::collections::HashMap;

use pdfboss_core::{Dict, ObjRef, Object, Page};
use pdfboss_text::TextSpan;

use super::Pdfboss;
use super::annotations::{corners, is_unseen};

/// What is filled in, by the object of the place on a page.
pub(super) type Values = HashMap<ObjRef, String>;

/// The longest value that is taken over, in bytes.
const MAX_VALUE: usize = 100_000;
/// The largest type in which a value is written, and the part of its place that it takes, as viewers do it.
const MAX_SIZE: f64 = 12.0;
const PART_OF_PLACE: f64 = 0.7;

impl Pdfboss {
    /// Adds the values of fields on a page in whose places nothing is written. `page_text` lends its type.
    pub(super) fn fill_in(&self, page: &Page, page_text: &[TextSpan], written: &mut Vec<TextSpan>) {
        let values = self.values.get_or_init(|| self.values());
        if values.is_empty() {
            return;
        }
        let Some(Ok(Object::Array(annotations))) = page.dict().get("Annots").map(|list| self.document.resolve(list))
        else {
            return;
        };
        let Some(model) = page_text.first().or(written.first()).cloned() else { return };
        for annotation in &annotations {
            let Object::Ref(place) = annotation else { continue };
            let Ok(Object::Dict(widget)) = self.document.resolve(annotation) else { continue };
            if widget.get_name("Subtype").is_none_or(|name| name.0 != "Widget") || is_unseen(&widget) {
                continue;
            }
            let Some(value) = values.get(place) else { continue };
            if let Some(span) = self.value_span(&widget, value, &model, written) {
                written.push(span);
            }
        }
    }

    /// The values of all fields; not those of passwords and files.
    fn values(&self) -> Values {
        let mut values = Values::new();
        for field in self.document.form_fields() {
            if field.flags.password() || field.flags.file_select() {
                continue;
            }
            let value = field.text().unwrap_or_else(|| field.selected().join(" "));
            if value.trim().is_empty() || value.len() > MAX_VALUE {
                continue;
            }
            values.extend(field.widgets.iter().map(|widget| (widget.object, value.clone())));
        }
        values
    }

    fn value_span(&self, widget: &Dict, value: &str, model: &TextSpan, written: &[TextSpan]) -> Option<TextSpan> {
        let [x0, y0, x1, y1] = corners(&self.document, widget.get("Rect")?)?;
        #[allow(clippy::cast_possible_truncation)]
        let [left, bottom, right, top] = [x0, y0, x1, y1].map(|side| side as f32);
        let inside = |span: &&TextSpan| (left..=right).contains(&span.x) && (bottom..=top).contains(&span.y);
        if written.iter().filter(inside).any(|span| !span.text.trim().is_empty()) {
            return None;
        }
        #[allow(clippy::cast_possible_truncation)]
        let size = ((y1 - y0) * PART_OF_PLACE).clamp(1.0, MAX_SIZE) as f32;
        let mut span = model.clone();
        span.text = format!(" {} ", crate::text::squeeze(value));
        span.glyph_x = span.text.chars().map(|_| left).collect();
        (span.size, span.rotate, span.vertical, span.invisible, span.logical) = (size, 0, false, false, true);
        span.y = (bottom + top - size) / 2.0;
        (span.x, span.end_x, span.end_y) = (left, right, span.y);
        (span.bbox.x0, span.bbox.y0, span.bbox.x1, span.bbox.y1) = (left, bottom, right, top);
        (span.artifact, span.structure, span.alt, span.expansion) = (None, None, None, None);
        Some(span)
    }
}
