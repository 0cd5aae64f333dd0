//! Our words beside poppler's.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;
use unicode_normalization::UnicodeNormalization;

/// Documents with fewer words say nothing.
const MIN_WORDS: u64 = 20;
/// How long poppler may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Words, each counted as often as it occurs.
#[derive(Debug, Default)]
pub(super) struct Words(HashMap<String, u64>);

impl Words {
    pub(super) fn add(&mut self, text: &str) {
        let text: String = text.nfkc().collect();
        for word in text.split_whitespace() {
            *self.0.entry(word.to_owned()).or_default() += 1;
        }
    }

    fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// Twice what both have by what they have in all.
    fn f1(&self, other: &Self) -> f64 {
        let common: u64 = self.0.iter().map(|(word, count)| *count.min(other.0.get(word).unwrap_or(&0))).sum();
        let all = self.count() + other.count();
        #[allow(clippy::cast_precision_loss)]
        if all == 0 { 1.0 } else { 2.0 * common as f64 / all as f64 }
    }
}

/// F1 against `pdftotext`; none where it fails or finds too little.
pub(super) async fn with_poppler(path: &Path, ours: &Words) -> Option<f64> {
    let mut command = Command::new("pdftotext");
    command
        .args(["-q", "-enc", "UTF-8"])
        .arg(path)
        .arg("-")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let out = timeout(PATIENCE, command.output()).await.ok()?.ok().filter(|out| out.status.success())?;
    // Joined as we join: a word divided at a line end is one.
    let mut theirs = Words::default();
    let text = String::from_utf8_lossy(&out.stdout);
    for paragraph in text.split("\n\n") {
        theirs.add(&crate::text::join(paragraph.lines()));
    }
    (theirs.count() >= MIN_WORDS).then(|| ours.f1(&theirs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f1_counts_words_as_often_as_they_occur() {
        let words = |text: &str| {
            let mut words = Words::default();
            words.add(text);
            words
        };
        assert_eq!(words("a b c").f1(&words("a b c")), 1.0);
        assert_eq!(words("a a b").f1(&words("a c")), 0.4);
        assert_eq!(words("\u{FB01}sh").f1(&words("fish")), 1.0);
        assert_eq!(words("a").f1(&words("b")), 0.0);
    }
}
