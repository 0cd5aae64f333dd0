//! One attempt while it runs: what is measured of it, and how long it may still take.

use courant_joblog::ids::WorkerId;
use courant_joblog::job::{Job, State};

use super::kind::{KindModel, PARTS, PageMix, ReadMethod, mean_of};
use crate::clock::Moment;

/// How many of its own pages count as much as all that is known of its worker: pages of one document are alike.
const PRIOR_PAGES: f64 = 5.0;
/// What is due still takes this share of what it usually takes.
const OVERDUE: f64 = 0.05;
/// What takes so many times as long as expected, and this many milliseconds more, is overdue: nobody knows when it comes.
const FAR_OVERDUE: (f64, f64) = (3.0, 1_000.0);
/// A guess whose deviation is a larger share of it than this is not used.
const TOO_UNSURE: f64 = 0.7;

/// An attempt under way.
#[derive(Debug)]
pub struct AttemptMeasurement {
    attempt: u32,
    worker: WorkerId,
    started: Moment,
    /// When the pages began, or the last one was finished.
    mark: Option<Moment>,
    pages: u32,
    /// Of these, pages that needed OCR.
    ocr: u32,
    /// How long its pages took, one after the other, and what is usually spent on such pages.
    took_ms: f64,
    usual_ms: f64,
    /// What was estimated at the beginning of each part, and when.
    estimates: [Option<(Moment, f64)>; PARTS],
}

/// How long something may take.
#[derive(Clone, Copy, Debug)]
pub struct RawEstimate {
    /// Milliseconds.
    pub ms: f64,
    /// The deviation, as a share of it, that comes from not knowing how the pages are read.
    pub spread: f64,
}

impl RawEstimate {
    fn sure(ms: f64) -> Self {
        Self { ms, spread: 0.0 }
    }
}

impl AttemptMeasurement {
    /// A worker has started on the job.
    pub fn start(job: &Job, worker: WorkerId, at: Moment) -> Self {
        let (attempt, estimates) = (job.attempt, [None; PARTS]);
        Self { attempt, worker, started: at, mark: None, pages: 0, ocr: 0, took_ms: 0.0, usual_ms: 0.0, estimates }
    }

    /// Whether it is of this attempt.
    pub fn is_of(&self, job: &Job) -> bool {
        self.attempt == job.attempt && job.state.is_held()
    }

    /// The document is open, pages begin.
    pub fn planned(&mut self, at: Moment) {
        self.mark = Some(at);
    }

    /// A page is finished. A page that nothing came before is measured by the duration it reports.
    pub fn page(&mut self, kind: &mut KindModel, at: Moment, reading: ReadMethod, spent_ms: u64) {
        let spent = spent_ms.max(1) as f64;
        let took = self.mark.map_or(spent, |mark| at.ms_since(mark) as f64);
        self.mark = Some(at);
        self.pages += 1;
        self.ocr += u32::from(reading == ReadMethod::Ocr);
        self.took_ms += took;
        self.usual_ms += kind.learn_page(&self.worker, reading, spent, took);
    }

    /// Remembers what is estimated now, at the beginning of a part of the job.
    pub fn estimated(&mut self, job: &Job, at: Moment, guess: Option<RawEstimate>) {
        let (estimates, Some(guess)) = (&mut self.estimates[part(job)], guess) else { return };
        estimates.get_or_insert((at, guess.ms));
    }

    /// The job has ended well: what it took is learned.
    pub fn succeeded(&self, kind: &mut KindModel, job: &Job, at: Moment) {
        let whole = at.ms_since(self.started) as f64;
        let pages = f64::from(job.pages.total.unwrap_or(0));
        match self.mark {
            None => kind.tail.add(pages, whole),
            Some(mark) => {
                let tail = at.ms_since(mark) as f64;
                kind.head.add((whole - tail - self.took_ms).max(0.0));
                kind.tail.add(pages, tail);
            }
        }
        kind.learn_mix(self.pages, self.ocr);
        for (part, (then, ms)) in
            self.estimates.iter().enumerate().filter_map(|(part, estimates)| Some((part, (*estimates)?)))
        {
            kind.learn_error(part, ms, at.ms_since(then) as f64);
        }
    }

    /// How long it may still take. `None` while there is nothing to estimate from, or what there is says nothing.
    pub fn remaining(&self, kind: &KindModel, job: &Job, now: Moment) -> Option<RawEstimate> {
        let elapsed = now.ms_since(self.started) as f64;
        if !kind.has_pages() {
            let whole = kind.tail.at(0.0)?;
            return (!far_overdue(elapsed, whole)).then(|| RawEstimate::sure((whole - elapsed).max(OVERDUE * whole)));
        }
        let total = job.pages.total.or(job.pages.expected).map(f64::from).or(kind.usual_pages())?;
        let left = (total - f64::from(job.pages.done_count())).max(0.0);
        let tail = kind.tail.at(total).unwrap_or(0.0);
        let since = self.mark.map(|mark| now.ms_since(mark) as f64);
        if left == 0.0
            && let Some(since) = since
        {
            return (!far_overdue(since, tail)).then(|| RawEstimate::sure((tail - since).max(OVERDUE * tail)));
        }
        let mix = kind.mix(self.pages, self.ocr);
        let one = longest_page(kind.spent()?, mix);
        let pages = self.pages_left(kind, mix, left, since)?;
        let ms = match since {
            None => {
                let head = kind.head.mean().unwrap_or(0.0);
                if far_overdue(elapsed, head) {
                    return None;
                }
                (head - elapsed).max(0.0) + pages.ms + tail
            }
            Some(since) => {
                let page = pages.ms / left;
                if since > (FAR_OVERDUE.0 * page.min(one)).max(2.0 * one) + FAR_OVERDUE.1 {
                    return None;
                }
                // Pages that are read side by side come in bursts.
                let under_way = since.min(page.max(one)).min((1.0 - OVERDUE) * pages.ms);
                pages.ms - under_way + tail
            }
        };
        let spread = pages.ms * pages.spread / ms.max(f64::MIN_POSITIVE);
        (spread <= TOO_UNSURE).then_some(RawEstimate { ms, spread })
    }

    /// How long so many pages of this document take this worker, when the last one was finished so long ago.
    fn pages_left(&self, kind: &KindModel, mix: PageMix, left: f64, since: Option<f64>) -> Option<RawEstimate> {
        /// What takes so many times as long as a page of text is none.
        const NO_TEXT: f64 = 3.0;
        if !kind.is_measured(mix) {
            return None;
        }
        let (spent, worker) = (kind.spent()?, kind.factor(&self.worker)?);
        let [text, ocr] = spent;
        let usual = mean_of(spent, mix);
        // Its own pages say how it compares with others of the same reading.
        let own = if self.pages > 0 { self.usual_ms / f64::from(self.pages) } else { usual };
        let prior = PRIOR_PAGES * own;
        let factor = (worker * prior + self.took_ms) / (prior + self.usual_ms).max(f64::MIN_POSITIVE);
        // The page under way may say by itself that it is no text.
        let slow = ocr > NO_TEXT * text && since.is_some_and(|since| since > NO_TEXT * text * factor.max(1.0));
        let known = if slow && mix.ocr > 0.0 { 1.0f64.min(left) } else { 0.0 };
        // Of pages that are read side by side the last ones are not: a quarter of a page more on average.
        let end = 0.25 * (1.0 - factor).max(0.0) * longest_page(spent, mix);
        let ms = ((left - known) * usual + known * ocr) * factor + end;
        let open = left - known;
        let variance = (open * open * mix.variance + open * mix.ocr * (1.0 - mix.ocr)) * (ocr - text).powi(2);
        Some(RawEstimate { ms, spread: variance.sqrt() * factor / ms.max(f64::MIN_POSITIVE) })
    }
}

/// What is spent on the longest page there may well be.
fn longest_page([text, ocr]: [f64; 2], mix: PageMix) -> f64 {
    /// A share of pages that is as good as none.
    const FEW: f64 = 0.05;
    if mix.ocr > FEW { ocr.max(text) } else { text }
}

fn far_overdue(since: f64, expected: f64) -> bool {
    since > FAR_OVERDUE.0 * expected + FAR_OVERDUE.1
}

/// The part of its work a job is in.
pub fn part(job: &Job) -> usize {
    let total = job.pages.total.unwrap_or(0).max(1) as usize;
    (job.pages.done_count() as usize * PARTS / total).min(PARTS - 1)
}

/// Milliseconds a job may still take by its own percent alone, which say little: for kinds without pages.
pub fn by_percent(job: &Job, percent: f64, elapsed_ms: u64) -> Option<f64> {
    /// Below this percent too little is done to guess from.
    const MIN_GAIN: f64 = 2.0;
    if job.state != State::Running {
        return None;
    }
    let total = f64::from(job.pages.total.unwrap_or(0)).max(1.0);
    let earlier = job.pages.done_count() - job.pages.done_by(job.attempt);
    // What earlier attempts' pages gave this one for nothing.
    let gain = percent - 60.0 * f64::from(earlier) / total;
    (gain >= MIN_GAIN && percent > 15.0).then(|| elapsed_ms as f64 * (100.0 - percent) / gain)
}
