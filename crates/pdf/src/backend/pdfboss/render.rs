//! Drawing pages with pdfboss.

use std::sync::Arc;

use pdfboss_core::Error;
use pdfboss_render::{GlyphPainting, RenderOptions, SubstituteSource, render_page_with_options};

use super::Pdfboss;
use crate::backend::{PageError, PageRenderer};
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

/// How bright a pixel is on white paper.
fn gray(pixel: &[u8]) -> u8 {
    let [red, green, blue, alpha] = [0, 1, 2, 3].map(|at| u32::from(pixel.get(at).copied().unwrap_or(255)));
    let bright = (299 * red + 587 * green + 114 * blue) / 1000;
    u8::try_from((bright * alpha + 255 * (255 - alpha)) / 255).unwrap_or(255)
}
