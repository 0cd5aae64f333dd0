//! JSON: one object, every page on a line of its own. `RESULTS.md` describes it.

use std::io::{Result, Write};

use serde::Serialize;

use super::{Document, Export};
use crate::artifact::{PageArtifact, VERSION};

#[derive(Default)]
pub(super) struct Json {
    pages: u32,
}

#[derive(Serialize)]
struct About<'a> {
    filename: &'a str,
    bytes: u64,
    sha256: &'a str,
    pages: u32,
}

impl Export for Json {
    fn begin(&mut self, out: &mut dyn Write, document: &Document) -> Result<()> {
        let Document { filename, bytes, sha256, pages, warnings, .. } = document;
        let about = About { filename, bytes: *bytes, sha256, pages: *pages };
        writeln!(out, "{{\"version\":{VERSION},\"generator\":\"courant-pdf {}\",", env!("CARGO_PKG_VERSION"))?;
        writeln!(out, "\"document\":{},", serde_json::to_string(&about)?)?;
        write!(out, "\"warnings\":{},\n\"pages\":[", serde_json::to_string(warnings)?)
    }

    fn page(&mut self, out: &mut dyn Write, page: &PageArtifact) -> Result<()> {
        out.write_all(if self.pages == 0 { b"\n" } else { b",\n" })?;
        self.pages += 1;
        out.write_all(&serde_json::to_vec(page)?)
    }

    fn end(&mut self, out: &mut dyn Write, _: &Document) -> Result<()> {
        out.write_all(b"\n]}\n")
    }
}
