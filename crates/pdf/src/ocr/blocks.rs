//! What engines have in common.

use super::ReadWord;

/// The mean over all words, each weighing as much as it is long.
pub(super) fn mean_confidence<'a>(words: impl IntoIterator<Item = &'a ReadWord>) -> f64 {
    let (mut sum, mut all) = (0.0, 0.0);
    for word in words {
        #[allow(clippy::cast_precision_loss)]
        let weight = word.text.chars().count() as f64;
        sum += weight * word.confidence;
        all += weight;
    }
    if all > 0.0 { sum / all } else { 0.0 }
}
