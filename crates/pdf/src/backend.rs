//! The one seam between the pipeline and a PDF library.
//!
//! Everything above speaks in these types: points from the top left corner of the page as it is seen, blocks in reading
//! order. Runs in the isolated child only. A back end must never write, open other files or reach the network; it may
//! panic or run out of memory, which costs a page.

pub mod frame;
mod grid;
pub mod hayro;
pub mod header_footer;
pub mod pdfboss;
mod vertical;

use serde::{Deserialize, Serialize};

use crate::artifact::Bbox;
use crate::picture::Gray;

pub trait PdfDocument: Sized {
    /// Opens a document. A password that is not needed does no harm.
    fn open(bytes: Vec<u8>, password: Option<&str>) -> Result<Self, OpenError>;

    /// How many pages can be asked for.
    fn page_count(&self) -> u32;
}

/// What can read the pages of an open document.
pub trait PdfBackend: PdfDocument {
    /// A page as it was read, before its layout is known.
    type Raw;

    /// Reads a page, counted from 1.
    fn read(&self, number: u32) -> Result<Self::Raw, PageError>;

    /// Takes the text out of a page that is drawn invisibly.
    fn exclude_hidden_text(&self, raw: &mut Self::Raw);

    /// What a page tells about the whole document.
    fn hints(&self, raw: &Self::Raw) -> PageHints;

    /// Finds the blocks of a page.
    fn layout(&self, raw: Self::Raw, context: &Context) -> Layout;
}

/// What can draw the pages of an open document.
pub trait PageRenderer {
    /// Draws a page, counted from 1, as it is seen, so many pixels to a point.
    fn render(&self, number: u32, scale: f32) -> Result<Gray, PageError>;
}

/// How bright a pixel of red, green, blue and opacity is on white paper.
fn gray(pixel: &[u8]) -> u8 {
    let [red, green, blue, alpha] = [0, 1, 2, 3].map(|at| u32::from(pixel.get(at).copied().unwrap_or(255)));
    let bright = (299 * red + 587 * green + 114 * blue) / 1000;
    u8::try_from((bright * alpha + 255 * (255 - alpha)) / 255).unwrap_or(255)
}

/// Why a document cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not a PDF at all.
    #[error("there is no PDF header")]
    NotPdf,
    /// Encrypted, and neither the password given nor the empty one opens it.
    #[error("the document is encrypted")]
    Encrypted,
    /// A PDF whose structure cannot be read, not even leniently.
    #[error("the document is damaged: {0}")]
    Damaged(String),
}

/// Why a page cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PageError(pub String);

/// What one page tells about the whole document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PageHints {
    /// Characters by size of type, in half points.
    pub sizes: Vec<(i32, usize)>,
    pub edges: Vec<EdgeLine>,
}

/// One of the outermost lines of a page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EdgeLine {
    /// At the top or at the foot.
    pub edge: Edge,
    /// Lower case, white space folded, every digit a `#`.
    pub shape: String,
    /// Its base line, in points from the top of the page.
    pub y: f64,
    /// The height of the page.
    pub page_height: f64,
    /// The document itself marks it as a page header, page footer or page number, or it is the number of its page.
    pub marked: bool,
    /// Empty space divides it from the body of the page.
    pub apart: bool,
}

/// An end of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Edge {
    Top,
    Foot,
}

/// What the rest of the document says about a page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Context {
    /// Characters by size of type, in half points, over a sample of pages.
    pub sizes: Vec<(i32, usize)>,
    /// The lines of this page that are its running header or footer.
    pub headers_footers: Vec<EdgeLine>,
}

/// A page with its blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Width in points, as the page is seen.
    pub width: f64,
    /// Height in points, as the page is seen.
    pub height: f64,
    /// The size of type that most of the document has, in points; 0 where it has no text.
    pub body_size: f64,
    /// In reading order.
    pub blocks: Vec<Block>,
    /// Placed pictures, in drawing order.
    pub images: Vec<Image>,
    /// Parts of the page that could not be read, for people.
    pub losses: Vec<String>,
}

/// A block of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    pub bbox: Bbox,
    pub content: Content,
    /// Its text is drawn invisibly: the work of an earlier OCR under a scan.
    pub invisible: bool,
}

/// What a block holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A heading of level 1 to 6.
    Heading(u8, Vec<Line>),
    Paragraph(Vec<Line>),
    /// Text in a fixed pitch.
    Preformatted(Vec<Line>),
    List(Vec<ListItem>),
    /// A table, and what speaks for it.
    Table(Vec<Vec<TableCell>>, Grid),
    Header(Vec<Line>),
    Footer(Vec<Line>),
}

/// What speaks for a table, each from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// The share of its lines that are drawn.
    pub drawn: f64,
    /// The share of its cells that stand in line with the others of their column.
    pub aligned: f64,
    /// The share of its cells that hold something.
    pub filled: f64,
}

/// A line of text.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub text: String,
    /// Where it begins, in points.
    pub x: f64,
    /// Size of type in points.
    pub size: f64,
}

/// An item of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListItem {
    /// Its number; none for a bullet.
    pub number: Option<u32>,
    /// Its lines, without the marker.
    pub lines: Vec<Line>,
}

/// A cell of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableCell {
    pub text: String,
    pub colspan: u8,
    pub rowspan: u8,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Image {
    /// Where it is; may reach over the edge of the page.
    pub bbox: Bbox,
    /// Its own size in pixels; 0 where the document does not say.
    pub pixels: [u32; 2],
}
