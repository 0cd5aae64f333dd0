//! Pages as grey pictures, for OCR. Runs in the isolated child only.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::backend::{PageError, PageRenderer};
use crate::protocol::PictureSize;

/// Points of an inch.
const POINTS: f64 = 72.0;
/// Pixels that differ from the page's ground by more than this are ink.
const INK: u8 = 48;
/// A page with less ink than one pixel in this many is blank.
const BLANK: usize = 20_000;

/// How a page looks.
pub(crate) enum PageAppearance {
    /// Nothing is on it.
    Blank,
    Picture {
        width: u32,
        height: u32,
        dpi: u32,
        png: String,
    },
}

/// A grey picture, row by row from the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gray {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// One byte a pixel, 0 is black.
    pub pixels: Vec<u8>,
}

/// Draws a page that is so wide and high, in points.
pub(crate) fn draw(
    from: &impl PageRenderer,
    number: u32,
    points: (f64, f64),
    size: &PictureSize,
) -> Result<PageAppearance, PageError> {
    let scale = scale(points, size);
    #[allow(clippy::cast_possible_truncation)]
    let gray = from.render(number, scale as f32)?;
    if gray.width > size.max_side + 1 || gray.height > size.max_side + 1 {
        return Err(PageError(format!("{} × {} pixels is more than was asked for", gray.width, gray.height)));
    }
    if is_blank(&gray) {
        return Ok(PageAppearance::Blank);
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let dpi = (scale * POINTS).round().max(1.0) as u32;
    let png = png(&gray, dpi).map_err(|error| PageError(error.to_string()))?;
    Ok(PageAppearance::Picture { width: gray.width, height: gray.height, dpi, png: STANDARD.encode(png) })
}

/// Pixels for a point: as asked, unless the picture would be too large.
fn scale((width, height): (f64, f64), size: &PictureSize) -> f64 {
    let wanted = f64::from(size.dpi) / POINTS;
    let longer = width.max(height).max(1.0);
    wanted.min(f64::from(size.max_side) / longer)
}

fn is_blank(gray: &Gray) -> bool {
    let mut histogram = [0usize; 256];
    for &pixel in &gray.pixels {
        histogram[usize::from(pixel)] += 1;
    }
    let ground = (0..=255u8).max_by_key(|level| histogram[usize::from(*level)]).unwrap_or(255);
    let ink = |level: &u8| level.abs_diff(ground) > INK;
    let inked: usize = (0..=255u8).filter(ink).map(|level| histogram[usize::from(level)]).sum();
    inked * BLANK < gray.pixels.len()
}

fn png(gray: &Gray, dpi: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, gray.width, gray.height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let per_metre = u32::try_from(u64::from(dpi) * 10_000 / 254).unwrap_or(u32::MAX);
    let density = png::PixelDimensions { xppu: per_metre, yppu: per_metre, unit: png::Unit::Meter };
    encoder.set_pixel_dims(Some(density));
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&gray.pixels)?;
    writer.finish()?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: PictureSize = PictureSize { dpi: 200, max_side: 4000, max_source_pixels: 1 };

    /// Draws a bar as wide as the page in its middle.
    struct Bar(u8);

    impl PageRenderer for Bar {
        fn render(&self, _: u32, scale: f32) -> Result<Gray, PageError> {
            let (width, height) = ((100.0 * scale) as u32, (50.0 * scale) as u32);
            let mut pixels = vec![250; (width * height) as usize];
            let at = pixels.len() / 2;
            pixels[at..at + width as usize].fill(self.0);
            Ok(Gray { width, height, pixels })
        }
    }

    #[test]
    fn a_picture_is_as_large_as_asked_and_no_larger_than_allowed() {
        assert_eq!((scale((612.0, 792.0), &SIZE) * POINTS).round(), 200.0);
        assert!((scale((14_400.0, 100.0), &SIZE) * 14_400.0 - 4000.0).abs() < 1e-6);
        assert!(scale((0.0, f64::NAN), &SIZE).is_finite());
    }

    #[test]
    fn what_has_no_ink_is_blank() {
        let Ok(PageAppearance::Picture { width, height, dpi, png }) = draw(&Bar(10), 1, (100.0, 50.0), &SIZE) else {
            panic!("a picture")
        };
        assert_eq!((width, height, dpi), (277, 138, 200));
        let bytes = STANDARD.decode(png).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels.iter().filter(|pixel| **pixel == 10).count(), 277);
        assert!(matches!(draw(&Bar(240), 1, (100.0, 50.0), &SIZE), Ok(PageAppearance::Blank)));
    }
}
