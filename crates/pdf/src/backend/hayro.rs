//! The back end on hayro: draws pages that pdfboss cannot draw, and names letters that pdfboss cannot name. It knows glyphs
//! and their places, but neither words nor layout.

mod letters;

use hayro::hayro_interpret::InterpreterSettings;
use hayro::hayro_syntax::{DecryptionError, LoadPdfError, Pdf};
use hayro::vello_cpu::color::palette::css::WHITE;
use hayro::{PixmapSettings, RenderCache, RenderSettings, render};

use super::{OpenError, PageError, PageRenderer, PdfDocument, gray};
use crate::picture::Gray;

/// A document opened with hayro.
pub struct Hayro {
    document: Pdf,
}

impl PdfDocument for Hayro {
    fn open(bytes: Vec<u8>, password: Option<&str>) -> Result<Self, OpenError> {
        let document = match password {
            Some(password) => {
                let bytes = std::sync::Arc::new(bytes);
                load(bytes.clone(), password).or_else(|_| load(bytes, ""))?
            }
            None => load(std::sync::Arc::new(bytes), "")?,
        };
        Ok(Self { document })
    }

    fn page_count(&self) -> u32 {
        u32::try_from(self.document.pages().len()).unwrap_or(u32::MAX)
    }
}

impl PageRenderer for Hayro {
    fn render(&self, number: u32, scale: f32) -> Result<Gray, PageError> {
        let page = number.checked_sub(1).and_then(|index| self.document.pages().get(index as usize));
        let page = page.ok_or_else(|| PageError("there is no such page".into()))?;
        let (width, height) = page.render_dimensions();
        // The sides of its pictures are 16 bits wide.
        let fits = |side: f32| (1.0..=f32::from(u16::MAX)).contains(&(side * scale));
        if !fits(width) || !fits(height) {
            return Err(PageError(format!("a page of {width} × {height} points cannot be drawn at this size")));
        }
        let size = PixmapSettings { x_scale: scale, y_scale: scale, bg_color: WHITE };
        let cache = RenderCache::new();
        let drawn = render(page, &cache, &InterpreterSettings::default(), &RenderSettings::default(), &size);
        let pixels = drawn.data_as_u8_slice().chunks_exact(4).map(gray).collect();
        Ok(Gray { width: drawn.width().into(), height: drawn.height().into(), pixels })
    }
}

fn load(bytes: std::sync::Arc<Vec<u8>>, password: &str) -> Result<Pdf, OpenError> {
    Pdf::new_with_password(bytes, password).map_err(|error| match error {
        LoadPdfError::Decryption(DecryptionError::PasswordProtected) => OpenError::Encrypted,
        LoadPdfError::Decryption(other) => OpenError::Damaged(format!("{other:?}")),
        LoadPdfError::Invalid => OpenError::Damaged("its structure cannot be read".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::pdfboss::Pdfboss;

    fn fixture(name: &str) -> Vec<u8> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/pdf");
        std::fs::read(folder.join(name)).unwrap()
    }

    fn drawn<B: PdfDocument + PageRenderer>(name: &str, password: Option<&str>) -> Gray {
        B::open(fixture(name), password).unwrap().render(1, 0.5).unwrap()
    }

    /// The share of dark pixels in each of 8 × 8 fields.
    fn ink(picture: &Gray) -> Vec<f64> {
        let mut fields = vec![(0.0, 0.0); 64];
        for (at, pixel) in picture.pixels.iter().enumerate() {
            let (x, y) = (at % picture.width as usize, at / picture.width as usize);
            let field = &mut fields[y * 8 / picture.height as usize * 8 + x * 8 / picture.width as usize];
            *field = (field.0 + f64::from(255 - pixel) / 255.0, field.1 + 1.0);
        }
        fields.into_iter().map(|(dark, all)| dark / all).collect()
    }

    #[test]
    fn both_back_ends_draw_the_same() {
        for (name, password) in [
            ("gfdl-or-cc-by-sa-3.0/scan.pdf", None),
            ("gfdl-or-cc-by-sa-3.0/scan-rotated-skewed.pdf", None),
            ("cc-by-sa-4.0/two-columns.pdf", None),
            ("cc-by-sa-4.0/password-openpassword.pdf", Some("openpassword")),
        ] {
            let (ours, theirs) = (drawn::<Pdfboss>(name, password), drawn::<Hayro>(name, password));
            assert!(ours.width.abs_diff(theirs.width) <= 1 && ours.height.abs_diff(theirs.height) <= 1, "{name}");
            let (a, b) = (ink(&ours), ink(&theirs));
            assert!(a.iter().sum::<f64>() > 0.01, "{name} is not blank");
            let apart = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart < 0.05, "{name}: {apart}");
        }
    }

    #[test]
    fn documents_that_cannot_be_opened_are_told_apart() {
        let open = |name: &str, password| Hayro::open(fixture(name), password).map(|_| ()).unwrap_err();
        assert_eq!(open("mit/password-usersecret-aes256.pdf", None), OpenError::Encrypted);
        assert_eq!(open("mit/password-usersecret-aes256.pdf", Some("wrong")), OpenError::Encrypted);
        assert!(matches!(open("cc-by-sa-4.0/invalid.pdf", None), OpenError::Damaged(_)));
        let document = Hayro::open(fixture("cc-by-sa-4.0/pages-120.pdf"), Some("not needed")).unwrap();
        assert_eq!(document.page_count(), 120);
        assert!(document.render(121, 1.0).is_err() && document.render(0, 1.0).is_err());
        assert!(document.render(1, 1e6).is_err(), "larger than any picture");
    }
}
