//! Drawing pages with pdfboss.

use std::sync::Arc;

use pdfboss_core::Error;
use pdfboss_render::{GlyphPainting, RenderOptions, SubstituteSource, render_page_with_options};

use super::Pdfboss;
use crate::backend::{PageError, PageRenderer, gray};
use crate::picture::Gray;

impl PageRenderer for Pdfboss {
    fn render(&self, number: u32, scale: f32) -> Result<Gray, PageError> {
        let failed = |error: Error| PageError(error.to_string());
        let page = self.document.page(number.saturating_sub(1) as usize).map_err(failed)?;
        let options = RenderOptions {
            glyph_painting: GlyphPainting::AllEmbedded,
            substitutes: SubstituteSource::None,
            oc: None,
            cache: Some(Arc::clone(&self.drawn)),
        };
        let drawn = render_page_with_options(&self.document, &page, scale, &options).map_err(failed)?;
        Ok(Gray { width: drawn.width, height: drawn.height, pixels: drawn.data.chunks_exact(4).map(gray).collect() })
    }
}
