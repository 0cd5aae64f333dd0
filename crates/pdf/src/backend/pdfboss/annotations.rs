//! What annotations show: filled-in form fields, free text, stamps. pdfboss reads the content of a page only, so the
//! appearances of its annotations are given to it as the content of a page made for them.

use pdfboss_core::{Dict, Document, Name, Object, OcState, Page, Stream, block_on};
use pdfboss_text::TextSpan;

/// More annotations than this on a page are not looked at.
const MAX_ANNOTATIONS: usize = 2_000;
/// The flags of annotations that are not seen: hidden and "no view".
const UNSEEN: i64 = (1 << 1) | (1 << 5);
/// Annotations whose appearance is a window of the viewer, not a part of the page.
const WINDOWS: [&str; 1] = ["Popup"];

/// Text that goes on within this part of the size of type was drawn in one go.
const ADJACENT: f32 = 0.4;

/// A page that shows what the annotations of this one show; none when they show nothing.
pub(super) fn shown(document: &Document, page: &Page, layers: Option<&OcState>) -> Option<Page> {
    let Object::Array(annotations) = document.resolve(page.dict().get("Annots")?).ok()? else { return None };
    let (mut content, mut drawn) = (String::new(), Dict::new());
    for annotation in annotations.iter().take(MAX_ANNOTATIONS) {
        let Some(appearance) = appearance(document, annotation, layers) else { continue };
        let name = format!("Annotation{}", drawn.len());
        let [a, b, c, d, e, f] = appearance.place;
        content.push_str(&format!("q {a} {b} {c} {d} {e} {f} cm /{name} Do Q\n"));
        drawn.insert(Name(name), appearance.form);
    }
    if drawn.is_empty() {
        return None;
    }
    let mut resources = page.resources.clone();
    resources.insert(Name("XObject".into()), Object::Dict(drawn));
    let mut dict = Dict::new();
    dict.insert(Name("Contents".into()), Object::Stream(Stream { dict: Dict::new(), data: content.into_bytes() }));
    Some(Page::from_parts(page.index, page.media_box, page.crop_box, page.rotate, resources, dict, None))
}

/// Text of annotations with spaces around what is not drawn in one go: it may lie so close to the text of the page that it
/// would be taken for a part of its words.
pub(super) fn set_apart(mut spans: Vec<TextSpan>) -> Vec<TextSpan> {
    let follows = |a: &TextSpan, b: &TextSpan| {
        let reach = a.size * ADJACENT;
        (a.end_x - b.x).abs() <= reach && (a.end_y - b.y).abs() <= reach
    };
    let joined: Vec<bool> = spans.windows(2).map(|pair| follows(&pair[0], &pair[1])).collect();
    for (at, span) in spans.iter_mut().enumerate() {
        let is_joined = |at: Option<usize>| at.and_then(|at| joined.get(at)).copied().unwrap_or(false);
        let (before, after) = (is_joined(at.checked_sub(1)), is_joined(Some(at)));
        let mut places = span.glyph_x.to_vec();
        if !before {
            span.text.insert(0, ' ');
            places.splice(0..0, places.first().copied());
        }
        if !after {
            span.text.push(' ');
            places.extend(places.last().copied());
        }
        span.glyph_x = places.into();
    }
    spans
}

/// How an annotation looks: a form, and what places it on the page.
struct Appearance {
    form: Object,
    place: [f64; 6],
}

fn appearance(document: &Document, annotation: &Object, layers: Option<&OcState>) -> Option<Appearance> {
    let annotation = document.resolve(annotation).ok()?;
    let annotation = annotation.as_dict()?;
    if is_unseen(annotation) || is_hidden(document, annotation, layers) {
        return None;
    }
    let appearances = document.resolve(annotation.get("AP")?).ok()?;
    let mut form = appearances.as_dict()?.get("N")?.clone();
    let mut stream = document.resolve(&form).ok()?;
    if let Object::Dict(states) = &stream {
        // One appearance for each state, for example of a check box.
        let state = document.resolve(annotation.get("AS")?).ok()?;
        form = states.get(&state.as_name()?.0)?.clone();
        stream = document.resolve(&form).ok()?;
    }
    let stream = stream.as_stream()?;
    let bounds = corners(document, stream.dict.get("BBox")?)?;
    let matrix = stream.dict.get("Matrix").and_then(|matrix| numbers::<6>(document, matrix));
    let place = place(bounds, matrix.unwrap_or(IDENTITY), corners(document, annotation.get("Rect")?)?)?;
    if stream.dict.get("Subtype").is_none() {
        let mut named = stream.clone();
        named.dict.insert(Name("Subtype".into()), Object::Name(Name("Form".into())));
        form = Object::Stream(named);
    }
    Some(Appearance { form, place })
}

/// Whether an annotation is no part of the page as it is seen.
pub(super) fn is_unseen(annotation: &Dict) -> bool {
    let is_window = annotation.get_name("Subtype").is_some_and(|subtype| WINDOWS.contains(&subtype.0.as_str()));
    is_window || annotation.get_int("F").unwrap_or(0) & UNSEEN != 0
}

fn is_hidden(document: &Document, annotation: &Dict, layers: Option<&OcState>) -> bool {
    let (Some(layers), Some(layer)) = (layers, annotation.get("OC")) else { return false };
    !block_on(layers.visible_with(&pdfboss_core::Immediate(document), layer))
}

const IDENTITY: [f64; 6] = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0];

/// What takes the form, turned by its own matrix, into the rectangle of its annotation (ISO 32000-1, 12.5.5).
fn place(bounds: [f64; 4], [a, b, c, d, e, f]: [f64; 6], rect: [f64; 4]) -> Option<[f64; 6]> {
    let [x0, y0, x1, y1] = bounds;
    let turned = [(x0, y0), (x1, y0), (x0, y1), (x1, y1)].map(|(x, y)| (a * x + c * y + e, b * x + d * y + f));
    let range = |values: [f64; 4]| {
        values.into_iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (left, right) = range(turned.map(|(x, _)| x));
    let (bottom, top) = range(turned.map(|(_, y)| y));
    let scale = |from: f64, to: f64| if from > 0.0 { to / from } else { 1.0 };
    let (sx, sy) = (scale(right - left, rect[2] - rect[0]), scale(top - bottom, rect[3] - rect[1]));
    let placed = [sx, 0.0, 0.0, sy, rect[0] - left * sx, rect[1] - bottom * sy];
    placed.iter().all(|value| value.is_finite() && value.abs() < 1e7).then_some(placed)
}

/// A rectangle, its lower left corner first.
pub(super) fn corners(document: &Document, object: &Object) -> Option<[f64; 4]> {
    let [x0, y0, x1, y1] = numbers::<4>(document, object)?;
    Some([x0.min(x1), y0.min(y1), x0.max(x1), y0.max(y1)])
}

fn numbers<const COUNT: usize>(document: &Document, object: &Object) -> Option<[f64; COUNT]> {
    let object = document.resolve(object).ok()?;
    let number = |item: &Object| document.resolve(item).ok()?.as_f64();
    let numbers: Vec<f64> = object.as_array()?.iter().take(COUNT).map(number).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_scaled_and_moved_into_its_rectangle() {
        let unturned = place([0.0, 0.0, 10.0, 5.0], IDENTITY, [100.0, 200.0, 120.0, 210.0]).unwrap();
        assert_eq!(unturned, [2.0, 0.0, 0.0, 2.0, 100.0, 200.0]);
        // A quarter turn to the left: what was wide is high, left of the origin.
        let turned = place([0.0, 0.0, 10.0, 5.0], [0.0, 1.0, -1.0, 0.0, 0.0, 0.0], [100.0, 200.0, 105.0, 210.0]);
        assert_eq!(turned.unwrap(), [1.0, 0.0, 0.0, 1.0, 105.0, 200.0]);
        let empty = place([0.0; 4], IDENTITY, [1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(empty, [1.0, 0.0, 0.0, 1.0, 1.0, 2.0]);
        assert_eq!(place([0.0, 0.0, 1.0, 1.0], IDENTITY, [0.0, 0.0, f64::INFINITY, 1.0]), None);
    }
}
