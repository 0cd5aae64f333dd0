//! The table of a corpus run.

use std::collections::BTreeMap;
use std::fmt;

use super::{End, Row};

/// All rows, and what they come to.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    pub(super) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Whether no child died or hung.
    pub fn is_clean(&self) -> bool {
        self.rows.iter().all(|row| matches!(row.end, End::Ok | End::Refused(_)))
    }

    /// The worst of them by a measure, the largest first.
    fn largest(&self, count: usize, of: impl Fn(&Row) -> f64) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.sort_by(|a, b| of(b).total_cmp(&of(a)));
        rows.truncate(count);
        rows
    }
}

/// Rounded to whole MiB.
fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ends: BTreeMap<&str, usize> = BTreeMap::from([("ok", 0), ("failed", 0), ("crashed", 0), ("hung", 0)]);
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for row in &self.rows {
            let (name, reason) = match &row.end {
                End::Ok => ("ok", None),
                End::Refused(why) => ("failed", Some(why)),
                End::Crashed(_) => ("crashed", None),
                End::Hung(_) => ("hung", None),
            };
            *ends.entry(name).or_default() += 1;
            if let Some(why) = reason {
                *reasons.entry(why.split(':').next().unwrap_or(why)).or_default() += 1;
            }
        }
        let pages: u64 = self.rows.iter().map(|row| u64::from(row.pages)).sum();
        let unreadable: u64 = self.rows.iter().map(|row| u64::from(row.unreadable)).sum();
        let cpu: f64 = self.rows.iter().map(|row| row.cpu.as_secs_f64()).sum();
        writeln!(f, "\n{:<12} {:>8}", "documents", self.rows.len())?;
        for name in ["ok", "failed", "crashed", "hung"] {
            writeln!(f, "{name:<12} {:>8}", ends[name])?;
        }
        for (reason, count) in &reasons {
            writeln!(f, "  {reason:<20} {count:>6}")?;
        }
        writeln!(f, "{:<12} {pages:>8}  ({unreadable} unreadable)", "pages")?;
        #[allow(clippy::cast_precision_loss)]
        let rate = pages as f64 / cpu.max(0.001);
        writeln!(f, "{:<12} {rate:>8.1}  a second of processor time ({cpu:.1} s)", "pages")?;
        self.beside_bare(f)?;
        self.peaks(f)?;
        self.words(f)
    }
}

impl Table {
    /// What pdfboss alone costs for the documents that it was measured on.
    fn beside_bare(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measured: Vec<(&Row, f64, u64)> =
            self.rows.iter().filter_map(|row| row.bare.map(|(cpu, peak)| (row, cpu.as_secs_f64(), peak))).collect();
        if measured.is_empty() {
            return Ok(());
        }
        let ours: f64 = measured.iter().map(|(row, ..)| row.cpu.as_secs_f64()).sum();
        let bare: f64 = measured.iter().map(|(_, cpu, _)| cpu).sum();
        let peak = measured.iter().map(|(.., peak)| *peak).max().unwrap_or(0);
        let ratio = ours / bare.max(0.001);
        writeln!(f, "{:<12} {ratio:>8.2}  times pdfboss alone ({ours:.2} s, {bare:.2} s, {} MiB)", "cost", mib(peak))
    }

    fn peaks(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[allow(clippy::cast_precision_loss)]
        for row in self.largest(3, |row| row.peak_bytes as f64) {
            writeln!(f, "{:<12} {:>8}  MiB  {}", "most memory", mib(row.peak_bytes), row.name)?;
        }
        for row in self.largest(3, |row| row.wall.as_secs_f64()) {
            writeln!(f, "{:<12} {:>8.1}  s    {}", "longest", row.wall.as_secs_f64(), row.name)?;
        }
        Ok(())
    }

    /// The words, all and those where poppler is to be believed.
    fn words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let compared = |row: &Row| row.compared.as_ref().map(|compared| compared.f1);
        self.scores(f, "word F1", compared)?;
        let agreed = |row: &Row| row.compared.as_ref().filter(|c| c.agreed == Some(true)).map(|compared| compared.f1);
        self.scores(f, "where agreed", agreed)
    }

    fn scores(&self, f: &mut fmt::Formatter<'_>, name: &str, of: impl Fn(&Row) -> Option<f64>) -> fmt::Result {
        let mut scores: Vec<f64> = self.rows.iter().filter_map(&of).collect();
        if scores.is_empty() {
            return Ok(());
        }
        scores.sort_by(f64::total_cmp);
        #[allow(clippy::cast_precision_loss)]
        let count = scores.len() as f64;
        #[allow(clippy::cast_precision_loss)]
        let bad = 100.0 * scores.iter().filter(|score| **score < 0.5).count() as f64 / count;
        let (mean, median) = (scores.iter().sum::<f64>() / count, scores[scores.len() / 2]);
        writeln!(f, "{name:<12} {mean:>8.3}  mean, {median:.3} median, {bad:.1} % below 0.5, of {count} documents")?;
        for row in self.largest(10, |row| of(row).map_or(f64::NEG_INFINITY, |f1| -f1)) {
            if let Some(f1) = of(row) {
                writeln!(f, "{:<12} {f1:>8.3}       {}", "  worst", row.name)?;
            }
        }
        Ok(())
    }
}
