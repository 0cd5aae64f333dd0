//! From the page's own coordinates (origin anywhere, y upwards, unturned) to those of the page as it is seen.

use crate::artifact::Bbox;

/// Larger than any page: 14,400 points is the most that PDF 1.7 allows.
const MAX_SIDE: f64 = 1_000_000.0;
/// US Letter, for pages whose box makes no sense.
const FALLBACK: (f64, f64) = (612.0, 792.0);

/// How a page is seen: its crop box, turned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    left: f64,
    bottom: f64,
    width: f64,
    height: f64,
    turn: QuarterTurn,
}

/// A quarter turn, clockwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QuarterTurn {
    None,
    Right,
    Half,
    Left,
}

impl Frame {
    /// From two corners of the crop box and the page's rotation in degrees.
    pub fn new(corners: [f32; 4], rotate: i32) -> Self {
        let [x0, y0, x1, y1] = corners.map(f64::from);
        let (width, height) = ((x1 - x0).abs(), (y1 - y0).abs());
        let turn = match rotate.rem_euclid(360) {
            90 => QuarterTurn::Right,
            180 => QuarterTurn::Half,
            270 => QuarterTurn::Left,
            _ => QuarterTurn::None,
        };
        let sane = |side: f64| side.is_finite() && side > 0.0 && side <= MAX_SIDE;
        if sane(width) && sane(height) && x0.is_finite() && y0.is_finite() {
            Self { left: x0.min(x1), bottom: y0.min(y1), width, height, turn }
        } else {
            Self { left: 0.0, bottom: 0.0, width: FALLBACK.0, height: FALLBACK.1, turn }
        }
    }

    /// Width and height as seen.
    pub fn size(&self) -> (f64, f64) {
        match self.turn {
            QuarterTurn::None | QuarterTurn::Half => (self.width, self.height),
            QuarterTurn::Right | QuarterTurn::Left => (self.height, self.width),
        }
    }

    /// The page as seen.
    pub fn page(&self) -> Bbox {
        let (x1, y1) = self.size();
        Bbox { x0: 0.0, y0: 0.0, x1, y1 }
    }

    /// A point as seen.
    pub fn point(&self, x: f32, y: f32) -> (f64, f64) {
        let (x, y) = (f64::from(x) - self.left, f64::from(y) - self.bottom);
        match self.turn {
            QuarterTurn::None => (x, self.height - y),
            QuarterTurn::Right => (y, x),
            QuarterTurn::Half => (self.width - x, y),
            QuarterTurn::Left => (self.height - y, self.width - x),
        }
    }

    /// A rectangle as seen. What is not a number becomes 0.
    pub fn rect(&self, corners: [f32; 4]) -> Bbox {
        let (ax, ay) = self.point(corners[0], corners[1]);
        let (bx, by) = self.point(corners[2], corners[3]);
        let clean = |value: f64| if value.is_finite() { (value * 100.0).round() / 100.0 } else { 0.0 };
        Bbox { x0: clean(ax.min(bx)), y0: clean(ay.min(by)), x1: clean(ax.max(bx)), y1: clean(ay.max(by)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mark near the top left corner of an unturned page of 200 × 100 whose box begins at (10, 20).
    const MARK: [f32; 4] = [15.0, 100.0, 35.0, 110.0];

    fn seen(rotate: i32) -> ((f64, f64), [f64; 4]) {
        let frame = Frame::new([10.0, 20.0, 210.0, 120.0], rotate);
        let Bbox { x0, y0, x1, y1 } = frame.rect(MARK);
        (frame.size(), [x0, y0, x1, y1])
    }

    #[test]
    fn a_mark_moves_with_the_page() {
        assert_eq!(seen(0), ((200.0, 100.0), [5.0, 10.0, 25.0, 20.0]));
        assert_eq!(seen(90), ((100.0, 200.0), [80.0, 5.0, 90.0, 25.0]), "top left goes to top right");
        assert_eq!(seen(180), ((200.0, 100.0), [175.0, 80.0, 195.0, 90.0]), "to bottom right");
        assert_eq!(seen(-90), ((100.0, 200.0), [10.0, 175.0, 20.0, 195.0]), "to bottom left");
    }

    #[test]
    fn senseless_boxes_become_a_letter_page() {
        for corners in [[0.0, 0.0, f32::NAN, 1.0], [0.0, 0.0, 0.0, 500.0], [0.0, 0.0, 1e30, 10.0]] {
            assert_eq!(Frame::new(corners, 0).size(), FALLBACK);
        }
        assert_eq!(Frame::new([0.0, 0.0, 10.0, 10.0], 0).rect([f32::NAN, 0.0, 5.0, f32::INFINITY]).x1, 5.0);
    }
}
