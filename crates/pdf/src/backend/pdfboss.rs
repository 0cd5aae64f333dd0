//! The back end on pdfboss: text spans, drawn lines and placed pictures in, blocks out.
//!
//! Sizes of type are ranked over a sample of the document, not the page alone: the sample goes into the layout as a
//! second page that holds nothing but the right number of characters of each size.

mod annotations;
mod blocks;
mod direction;
mod edges;
mod evidence;
mod pinned_thread;
mod render;
mod unnamed;
mod values;

use std::cell::OnceCell;
use std::sync::Arc;

use pdfboss_core::{Document, Error, Immediate, Object, OcState, Page, block_on};
use pdfboss_output::{
    BBox, Block as FoundBlock, LayoutOptions, document_layout_opts, retain_rulings_on_page, retain_spans_on_page,
};
use pdfboss_render::RenderCache;
use pdfboss_text::{ExtractReport, FontCache, PlacedImage, ReadingOrder, Ruling, SkipCause, SkippedTextKind, TextSpan};

use super::frame::Frame;
use super::hayro::Hayro;
use super::{Block, Context, Edge, Image, Layout, OpenError, PageError, PageHints, PdfBackend, PdfDocument};
use crate::artifact::Bbox;
use blocks::body_blocks;
use edges::{edges, header_footer_blocks, on_line};
use pinned_thread::PinnedThread;
use values::Values;

const ORDER: ReadingOrder = ReadingOrder::Content;
/// How much more the sample weighs than the page.
const SAMPLE_WEIGHT: usize = 3;
/// Reports of lost parts of one page; more of them say nothing new.
const MAX_LOSSES: usize = 8;

/// A document opened with pdfboss.
pub struct Pdfboss {
    document: Document,
    fonts: FontCache,
    layers: Option<OcState>,
    drawn: Arc<RenderCache>,
    password: Option<String>,
    /// Opened when it is needed for the first time; none when it cannot be.
    second: OnceCell<Option<Hayro>>,
    /// What is filled in, by the objects of the fields' places; read when it is needed for the first time.
    values: OnceCell<Values>,
}

/// A page as pdfboss reads it.
pub struct RawPage {
    number: u32,
    frame: Frame,
    rotate: i32,
    spans: Vec<TextSpan>,
    rulings: Vec<Ruling>,
    images: Vec<PlacedImage>,
    report: ExtractReport,
}

impl PdfDocument for Pdfboss {
    fn open(bytes: Vec<u8>, password: Option<&str>) -> Result<Self, OpenError> {
        let head = &bytes[..bytes.len().min(1024)];
        if !head.windows(5).any(|window| window == b"%PDF-") {
            return Err(OpenError::NotPdf);
        }
        let document = match password {
            Some(password) => load(bytes.clone(), password).or_else(|_| load(bytes, ""))?,
            None => load(bytes, "")?,
        };
        let layers = document.oc_state();
        Ok(Self {
            document,
            fonts: FontCache::default(),
            layers,
            drawn: Arc::default(),
            password: password.map(str::to_owned),
            second: OnceCell::new(),
            values: OnceCell::new(),
        })
    }

    fn page_count(&self) -> u32 {
        u32::try_from(self.document.flattened_page_count()).unwrap_or(u32::MAX)
    }
}

impl PdfBackend for Pdfboss {
    type Raw = RawPage;

    fn read(&self, number: u32) -> Result<RawPage, PageError> {
        let page = self.document.page(number.saturating_sub(1) as usize).map_err(failed)?;
        let (mut spans, mut rulings, mut report) = self.content(&page)?;
        let mut written = Vec::new();
        if let Some(shown) = annotations::shown(&self.document, &page, self.layers.as_ref()) {
            let (more, _, lost) = self.content(&shown)?;
            written.extend(annotations::set_apart(more));
            report.skipped.extend(lost.skipped);
        }
        self.fill_in(&page, &spans, &mut written);
        spans.extend(written);
        self.name_letters(number, &mut spans);
        spans.iter_mut().for_each(direction::to_drawing_order);
        retain_spans_on_page(&mut spans, &page);
        retain_rulings_on_page(&mut rulings, &page);
        let images = if self.may_have_pictures(&page) { self.pictures(&page)? } else { Vec::new() };
        let rotate = page.rotate.rem_euclid(360);
        Ok(RawPage { number, frame: frame(&page), rotate, spans, rulings, images, report })
    }

    fn exclude_hidden_text(&self, raw: &mut RawPage) {
        raw.spans.retain(|span| !span.invisible);
    }

    fn hints(&self, raw: &RawPage) -> PageHints {
        PageHints { sizes: sizes(&raw.spans), edges: edges(raw) }
    }

    fn layout(&self, mut raw: RawPage, context: &Context) -> Layout {
        let (width, height) = raw.frame.size();
        let mut body = std::mem::take(&mut raw.spans);
        let is_header_or_footer =
            |span: &mut TextSpan| context.headers_footers.iter().any(|line| on_line(&raw, span, line));
        let spans: Vec<TextSpan> = body.extract_if(.., is_header_or_footer).collect();
        let mut blocks: Vec<Block> = header_footer_blocks(&raw, &spans, context, Edge::Top);
        blocks.extend(body_blocks(&raw, body, context));
        blocks.extend(header_footer_blocks(&raw, &spans, context, Edge::Foot));
        let image = |image: &PlacedImage| Image {
            bbox: raw.frame.rect([image.bbox.x0, image.bbox.y0, image.bbox.x1, image.bbox.y1]),
            pixels: [image.width, image.height],
        };
        Layout {
            width,
            height,
            body_size: body_size(context),
            blocks,
            images: raw.images.iter().map(image).collect(),
            losses: losses(&raw.report),
        }
    }
}

impl Pdfboss {
    fn content(&self, page: &Page) -> Result<(Vec<TextSpan>, Vec<Ruling>, ExtractReport), PageError> {
        let (source, layers) = (Immediate(&self.document), self.layers.as_ref());
        let read = pdfboss_text::extract_spans_and_rulings_reporting_cached_with(
            source,
            page,
            &self.fonts,
            layers,
            None,
            ORDER,
        );
        block_on(read).map_err(failed)
    }
}

impl Pdfboss {
    /// Pictures are objects of the page or stand in its content. Most pages of text have neither, and looking for them
    /// costs as much as reading the text.
    fn may_have_pictures(&self, page: &Page) -> bool {
        let objects = page.resources.get("XObject").and_then(|objects| self.document.resolve(objects).ok());
        let has_objects = objects.as_ref().and_then(Object::as_dict).is_some_and(|objects| !objects.is_empty());
        has_objects || page.content(&self.document).is_ok_and(|content| content.windows(2).any(|two| two == b"BI"))
    }

    fn pictures(&self, page: &Page) -> Result<Vec<PlacedImage>, PageError> {
        let found = pdfboss_text::placed_images_reporting_cached(&self.document, page, &self.fonts);
        found.map(|(images, _)| images).map_err(failed)
    }
}

fn failed(error: Error) -> PageError {
    PageError(error.to_string())
}

fn load(bytes: Vec<u8>, password: &str) -> Result<Document, OpenError> {
    let document = Document::load_with_password(bytes, password).map_err(|error| match error {
        Error::Encrypted => OpenError::Encrypted,
        other => OpenError::Damaged(other.to_string()),
    })?;
    if document.is_locked() { Err(OpenError::Encrypted) } else { Ok(document) }
}

fn frame(page: &Page) -> Frame {
    let crop = page.crop_box;
    Frame::new([crop.x0, crop.y0, crop.x1, crop.y1], page.rotate)
}

fn seen_bbox(raw: &RawPage, found: &FoundBlock) -> Bbox {
    let BBox { x0, y0, x1, y1 } = match found {
        FoundBlock::Heading { bbox, .. }
        | FoundBlock::Paragraph { bbox, .. }
        | FoundBlock::List { bbox, .. }
        | FoundBlock::Table { bbox, .. } => bbox,
    };
    raw.frame.rect([*x0, *y0, *x1, *y1])
}

fn span_seen(raw: &RawPage, span: &TextSpan) -> Bbox {
    raw.frame.rect([span.bbox.x0, span.bbox.y0, span.bbox.x1, span.bbox.y1])
}

fn sizes(spans: &[TextSpan]) -> Vec<(i32, usize)> {
    let mut sizes = std::collections::BTreeMap::new();
    for span in spans.iter().filter(|span| span.size.is_finite()) {
        #[allow(clippy::cast_possible_truncation)]
        let half_points = (span.size.clamp(0.0, 1000.0) * 2.0).round() as i32;
        *sizes.entry(half_points).or_insert(0) += span.text.chars().count();
    }
    sizes.into_iter().collect()
}

fn body_size(context: &Context) -> f64 {
    context.sizes.iter().max_by_key(|(_, count)| *count).map_or(0.0, |(half_points, _)| f64::from(*half_points) / 2.0)
}

/// The blocks of spans, and the spans again.
fn laid_out(spans: Vec<TextSpan>, rulings: &[Ruling], sizes: &[(i32, usize)]) -> (Vec<FoundBlock>, Vec<TextSpan>) {
    let Some(first) = spans.first() else { return (Vec::new(), spans) };
    let sample = (sample_page(first, &spans, sizes), Vec::new(), ORDER);
    let mut pages = [(spans, rulings.to_vec(), ORDER), sample];
    let alone = PinnedThread::here();
    let mut layouts = document_layout_opts(&pages, &LayoutOptions::default());
    drop(alone);
    layouts.truncate(1);
    let blocks = layouts.pop().map(|layout| layout.blocks).unwrap_or_default();
    (blocks, std::mem::take(&mut pages[0].0))
}

/// A page with as many characters of each size as the sampled pages have, scaled to outweigh the page itself.
fn sample_page(model: &TextSpan, spans: &[TextSpan], sizes: &[(i32, usize)]) -> Vec<TextSpan> {
    let total: usize = sizes.iter().map(|(_, count)| count).sum();
    let wanted = SAMPLE_WEIGHT * spans.iter().map(|span| span.text.len()).sum::<usize>();
    let span = |(index, &(half_points, count)): (usize, &(i32, usize))| {
        let share = (wanted as u128 * count as u128 / total.max(1) as u128) as usize;
        #[allow(clippy::cast_precision_loss)]
        let (size, y) = (half_points as f32 / 2.0, -1000.0 * index as f32);
        let mut span = model.clone();
        span.text = "x".repeat(share.max(1));
        (span.size, span.x, span.y, span.end_x, span.end_y) = (size, 0.0, y, 100.0, y);
        (span.bbox.x0, span.bbox.y0, span.bbox.x1, span.bbox.y1) = (0.0, y, 100.0, y + size);
        span.rotate = 0;
        span.glyph_x = Box::default();
        span
    };
    sizes.iter().enumerate().map(span).collect()
}

fn ruling_seen(raw: &RawPage, ruling: &Ruling) -> Bbox {
    raw.frame.rect([ruling.start.x, ruling.start.y, ruling.end.x, ruling.end.y])
}

fn losses(report: &ExtractReport) -> Vec<String> {
    let loss = |skipped: &pdfboss_text::SkippedText| {
        let what = match skipped.kind {
            SkippedTextKind::PageContents => "the content of this page",
            SkippedTextKind::Form => "a part of this page",
            SkippedTextKind::XObject => "an object on this page",
            SkippedTextKind::FontEncoding => "the encoding of a font on this page",
        };
        match &skipped.cause {
            SkipCause::UnsupportedFilter(name) => format!("{what} is compressed in a way not supported ({name})"),
            SkipCause::Unreadable => format!("{what} cannot be decoded"),
            SkipCause::Parse => format!("{what} is not valid"),
            SkipCause::Missing => format!("{what} is missing from the file"),
            SkipCause::LimitExceeded => format!("{what} is nested too deeply"),
        }
    };
    let mut losses: Vec<String> = report.skipped.iter().map(loss).collect();
    losses.dedup();
    losses.truncate(MAX_LOSSES);
    losses
}
