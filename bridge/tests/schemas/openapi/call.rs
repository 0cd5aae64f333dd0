//! What the document says of a call.

use courant_bridge::bodies::Parameter;

/// One call over HTTP.
pub struct Call {
    pub method: &'static str,
    pub path: &'static str,
    /// Its name in generated clients.
    pub id: &'static str,
    pub tag: &'static str,
    pub summary: &'static str,
    pub query: &'static [&'static [Parameter]],
    pub headers: &'static [Header],
    pub body: Body,
    pub answer: Answer,
    /// Statuses of refusals beside those that all calls have.
    pub refusals: &'static [u16],
}

/// A header of a request.
pub struct Header {
    pub name: &'static str,
    pub required: bool,
    pub kind: HeaderKind,
    pub about: &'static str,
}

pub enum HeaderKind {
    Text,
    /// This value alone.
    Exactly(&'static str),
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A whole number of at least this.
    AtLeast(i64),
}

#[derive(Clone, Copy)]
pub enum Body {
    Nothing,
    Json(&'static str),
    /// JSON that may be left out.
    MayBeJson(&'static str),
    /// A document by itself, or in a form.
    Document,
    /// The same, for a conversion.
    Conversion,
    /// Bytes of an upload.
    Piece,
    /// Bytes of an upload, or nothing.
    MayBePiece,
}

/// What a good answer is.
#[derive(Clone, Copy)]
pub enum Answer {
    Json(u16, &'static str),
    /// JSON of a job that was made, and where it is.
    Created(&'static str),
    /// The result of a job that has ended in time.
    Converted,
    Empty,
    /// Bytes, or a part of them; the text says which media type they have.
    File(&'static str),
    /// JSON that a worker wrote.
    Page,
    Events,
    Text(&'static str),
    /// Whether the bridge can serve.
    Ready,
    Upload(u16),
    /// What of tus there is.
    UploadOptions,
}

impl Call {
    /// A call without parameters and body.
    pub const fn new(
        (method, path): (&'static str, &'static str),
        (tag, id): (&'static str, &'static str),
        summary: &'static str,
        answer: Answer,
    ) -> Self {
        Self { method, path, id, tag, summary, query: &[], headers: &[], body: Body::Nothing, answer, refusals: &[] }
    }

    pub const fn query(self, query: &'static [&'static [Parameter]]) -> Self {
        Self { query, ..self }
    }

    pub const fn headers(self, headers: &'static [Header]) -> Self {
        Self { headers, ..self }
    }

    pub const fn body(self, body: Body) -> Self {
        Self { body, ..self }
    }

    pub const fn refuses(self, refusals: &'static [u16]) -> Self {
        Self { refusals, ..self }
    }

    pub fn needs_token(&self) -> bool {
        (self.path.starts_with("/v1") || self.path == "/metrics") && self.method != "options" && self.id != "endSession"
    }
}
