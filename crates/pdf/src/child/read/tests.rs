use super::*;
use crate::backend::pdfboss::RawPage;
use crate::backend::{Context, Layout, PageError, PageHints};
use crate::picture::Gray;

/// Reads like pdfboss and cannot draw: it says so or, when it is to `PANIC`, panics.
struct CannotRender<const PANIC: bool>(Pdfboss);

impl<const PANIC: bool> PdfDocument for CannotRender<PANIC> {
    fn open(bytes: Vec<u8>, password: Option<&str>) -> Result<Self, OpenError> {
        Pdfboss::open(bytes, password).map(Self)
    }

    fn page_count(&self) -> u32 {
        self.0.page_count()
    }
}

impl<const PANIC: bool> PdfBackend for CannotRender<PANIC> {
    type Raw = RawPage;

    fn read(&self, number: u32) -> Result<RawPage, PageError> {
        self.0.read(number)
    }

    fn exclude_hidden_text(&self, raw: &mut RawPage) {
        self.0.exclude_hidden_text(raw);
    }

    fn hints(&self, raw: &RawPage) -> PageHints {
        self.0.hints(raw)
    }

    fn layout(&self, raw: RawPage, context: &Context) -> Layout {
        self.0.layout(raw, context)
    }
}

impl<const PANIC: bool> PageRenderer for CannotRender<PANIC> {
    fn render(&self, _: u32, _: f32) -> Result<Gray, PageError> {
        assert!(!PANIC, "nothing can be seen");
        Err(PageError("nothing can be seen".into()))
    }
}

const SIZE: PictureSize = PictureSize { dpi: 72, max_side: 2000, max_source_pixels: 100_000_000 };

fn reader<B: PdfBackend>(name: &str) -> Reader<B> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/pdf").join(name);
    let source = Source { file: File::open(path).unwrap(), length: 0, password: None };
    let document: B = source.open().unwrap_or_else(|(_, detail)| panic!("{detail}"));
    let pages = document.page_count();
    Reader { source, document, pages, picture: Some(SIZE), rules: TextRules::default(), window: Window::default() }
}

fn first_page<B: PdfBackend + PageRenderer>(reader: &mut Reader<B>) -> PageArtifact {
    reader.look_at(1, &[]).unwrap();
    reader.page(1, false).unwrap()
}

fn drawn_by_the_other<const PANIC: bool>() {
    let mut seeing = reader::<Pdfboss>("gfdl-or-cc-by-sa-3.0/scan.pdf");
    let page = first_page(&mut seeing);
    let Some(PageAppearance::Picture { width, height, .. }) = seeing.drawn(&page, &SIZE).unwrap() else {
        panic!("pdfboss draws this page");
    };

    let mut blind = reader::<CannotRender<PANIC>>("gfdl-or-cc-by-sa-3.0/scan.pdf");
    let Some(PageAppearance::Picture { width: w, height: h, .. }) = blind.drawn(&page, &SIZE).unwrap() else {
        panic!("hayro draws this page");
    };
    assert!(w.abs_diff(width) <= 1 && h.abs_diff(height) <= 1, "{w} × {h}, not {width} × {height}");
    // And the document can be read on.
    assert_eq!(first_page(&mut blind).zones.len(), page.zones.len());
}

#[test]
fn a_page_that_pdfboss_cannot_draw_is_drawn_by_hayro() {
    drawn_by_the_other::<false>();
}

#[test]
fn a_panic_while_drawing_costs_nothing_but_the_way_round() {
    drawn_by_the_other::<true>();
}

#[test]
fn a_page_that_nobody_can_draw_says_so() {
    let mut blind = reader::<CannotRender<false>>("gfdl-or-cc-by-sa-3.0/scan.pdf");
    let page = first_page(&mut blind);
    // Nothing of it is left for the other either.
    blind.source.file = tempfile::tempfile().unwrap();
    assert!(blind.drawn(&page, &SIZE).unwrap().is_none());
}
