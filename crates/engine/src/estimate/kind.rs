//! What is known of one kind of work.

use std::collections::HashMap;

use courant_joblog::ids::WorkerId;
use courant_joblog::job::{Lane, Page};

use super::average::{Average, LinearFit};
use crate::view::Load;

/// Pages a worker's own speed is measured over, and as many times as it counts those of all workers.
const WORKER_PAGES: f64 = 500.0;
/// How many pages of a worker it takes until its own speed counts as much as that of all.
const PRIOR_PAGES: f64 = 20.0;
/// Jobs that averages of whole jobs are measured over.
const JOBS: f64 = 20.0;
/// Workers whose speed is remembered, of each kind. With more, the one that finished no page for longest goes.
const MAX_WORKERS: usize = 1024;
/// How wrong estimates are taken to be before it was measured (as a logarithm, squared), and how many times that counts.
const MISS: (f64, f64) = (0.25, 3.0);
/// One miss says no more than this (as a logarithm): a machine that slept must not spoil the band for long.
const WORST_MISS: f64 = 1.5;
/// What is too short to be missed, in milliseconds.
const NOTHING: f64 = 100.0;
/// Before so many pages of a kind are done, or of a reading that a document needs, nothing is said of them.
const FEW_PAGES: f64 = 3.0;
/// How many pages of a document the usual mix counts as: much where all documents have the same, little where each is of
/// one reading, and the middle where that is not known.
const MIX_PAGES: (f64, f64, f64) = (0.02, 0.2, 20.0);

/// The parts of a job at whose beginning an estimate is compared with what came: by the share of finished pages.
pub const PARTS: usize = 4;

/// How a page is read: what that costs differs by a factor of a hundred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadMethod {
    /// By its text layer.
    Text,
    Ocr,
}

impl ReadMethod {
    /// How this page was read.
    pub fn of(page: &Page) -> Self {
        if page.zones.iter().any(|zone| zone.tool.starts_with("ocr")) { Self::Ocr } else { Self::Text }
    }
}

/// What was measured of a kind of work. Times are milliseconds.
#[derive(Debug)]
pub struct KindModel {
    /// Pages of a document.
    pub pages: Average,
    /// From the start to the first page.
    pub head: Average,
    /// From the last page to the end: merging and writing results; the whole of a job without pages.
    pub tail: LinearFit,
    /// What workers say they spent on a page, by its reading.
    spent: [Average; 2],
    /// Which share of its pages a document has for OCR.
    ocr_share: Average,
    /// Pages on any worker.
    page_times: PageTimes,
    workers: HashMap<WorkerId, (PageTimes, u64)>,
    /// Counts pages: when a worker last finished one.
    tick: u64,
    /// How wrong estimates were, by the part of the job they were made in.
    errors: [Average; PARTS],
    /// How long jobs had waited, by lane.
    waits: [Average; Lane::ALL.len()],
}

impl Default for KindModel {
    fn default() -> Self {
        Self {
            pages: Average::over(JOBS),
            head: Average::over(JOBS),
            tail: LinearFit::default(),
            spent: [Average::over(WORKER_PAGES); 2],
            ocr_share: Average::over(JOBS),
            page_times: PageTimes::over(4.0 * WORKER_PAGES),
            workers: HashMap::new(),
            tick: 0,
            errors: [Average::over(JOBS); PARTS],
            waits: [Average::over(JOBS); Lane::ALL.len()],
        }
    }
}

/// How long pages take against what is spent on such pages elsewhere: less than 1 where a worker is fast, or has several
/// under way.
#[derive(Clone, Copy, Debug)]
struct PageTimes {
    took: Average,
    usual: Average,
}

impl PageTimes {
    fn over(pages: f64) -> Self {
        Self { took: Average::over(pages), usual: Average::over(pages) }
    }

    fn add(&mut self, took: f64, usual: f64) {
        self.took.add(took);
        self.usual.add(usual);
    }

    fn factor(&self) -> Option<f64> {
        Some(self.took.mean()? / self.usual.mean()?.max(f64::MIN_POSITIVE))
    }

    /// The factor if it had been `prior` for so many pages before.
    fn factor_with(&self, prior: f64, times: f64) -> f64 {
        let usual = self.usual.mean().unwrap_or(1.0);
        self.took.mean_with(prior * usual, times) / self.usual.mean_with(usual, times).max(f64::MIN_POSITIVE)
    }
}

/// Which share of a document's pages needs OCR, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub struct PageMix {
    /// The share, 0 to 1.
    pub ocr: f64,
    /// The variance of that.
    pub variance: f64,
}

/// What jobs cost where they are done: so much each, and so much a page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Milliseconds of a job without its pages.
    pub job: f64,
    /// Milliseconds of a page.
    pub page: f64,
    /// Pages of a job whose pages are not known, and the mean of their squares.
    pub pages: (f64, f64),
}

impl Cost {
    /// Milliseconds that a load takes one slot.
    pub fn of(&self, load: Load) -> f64 {
        load.jobs as f64 * self.job + self.pages_of(load) * self.page
    }

    /// The sum of the squares of what each job takes.
    pub fn squares_of(&self, load: Load) -> f64 {
        let squares = load.squares as f64 + load.unknown as f64 * self.pages.1;
        load.jobs as f64 * self.job.powi(2)
            + 2.0 * self.job * self.page * self.pages_of(load)
            + self.page.powi(2) * squares
    }

    fn pages_of(&self, load: Load) -> f64 {
        load.pages as f64 + load.unknown as f64 * self.pages.0
    }
}

impl KindModel {
    /// A page was finished on which the worker spent some time, so long after what came before it. Gives what is usually
    /// spent on such a page.
    pub fn learn_page(&mut self, worker: &WorkerId, reading: ReadMethod, spent: f64, took: f64) -> f64 {
        let average = &mut self.spent[reading as usize];
        average.add(spent);
        let usual = average.mean().unwrap_or(spent);
        self.page_times.add(took, usual);
        self.tick += 1;
        if self.workers.len() >= MAX_WORKERS && !self.workers.contains_key(worker) {
            let idle = self.workers.iter().min_by_key(|(_, (_, used))| *used).map(|(worker, _)| worker.clone());
            idle.and_then(|idle| self.workers.remove(&idle));
        }
        let (page_times, used) =
            self.workers.entry(worker.clone()).or_insert_with(|| (PageTimes::over(WORKER_PAGES), 0));
        page_times.add(took, usual);
        *used = self.tick;
        usual
    }

    /// So many pages of a document needed OCR.
    pub fn learn_mix(&mut self, pages: u32, ocr: u32) {
        if pages > 0 {
            self.ocr_share.add(f64::from(ocr) / f64::from(pages));
        }
    }

    /// The mix of a document of which so many pages are done: like that of other documents, and more and more like its own.
    pub fn mix(&self, pages: u32, ocr: u32) -> PageMix {
        let (least, usual, most) = MIX_PAGES;
        let (pages, ocr) = (f64::from(pages), f64::from(ocr));
        let Some((mean, square)) = self.ocr_share.mean().zip(self.ocr_share.mean_square()) else {
            // No document is done yet: this one is its own measure.
            let share = if pages > 0.0 { ocr / pages } else { 0.0 };
            return PageMix { ocr: share, variance: 0.0 };
        };
        let (mean, one) = (mean.clamp(0.0, 1.0), (mean * (1.0 - mean)).max(0.0));
        let among = (square - mean * mean).clamp(0.0, one);
        if pages == 0.0 {
            return PageMix { ocr: mean, variance: among };
        }
        let like = if one < 0.01 { usual } else { (one / among.max(1e-9) - 1.0).clamp(least, most) };
        let share = (ocr + like * mean) / (pages + like);
        PageMix { ocr: share, variance: share * (1.0 - share) / (pages + like + 1.0) }
    }

    /// What is spent on a page of each reading. A reading that was never seen is taken to cost what the other does.
    pub fn spent(&self) -> Option<[f64; 2]> {
        let [text, ocr] = [0, 1].map(|reading: usize| self.spent[reading].mean());
        Some([text.or(ocr)?, ocr.or(text)?])
    }

    /// Whether enough pages of this mix are done to say what they take.
    pub fn is_measured(&self, mix: PageMix) -> bool {
        let [text, ocr] = [0, 1].map(|reading: usize| self.spent[reading].count());
        let enough = |share: f64, pages: f64| share < 0.2 || pages >= FEW_PAGES;
        text + ocr >= FEW_PAGES && enough(mix.ocr, ocr) && enough(1.0 - mix.ocr, text)
    }

    /// What was estimated in a part of a job, and what came.
    pub fn learn_error(&mut self, part: usize, estimated: f64, came: f64) {
        let error = ((came + NOTHING) / (estimated + NOTHING)).ln();
        self.errors[part.min(PARTS - 1)].add(error.clamp(-WORST_MISS, WORST_MISS));
    }

    /// How long a job of this lane had waited when it started.
    pub fn learn_wait(&mut self, lane: Lane, ms: f64) {
        self.waits[lane as usize].add(ms);
    }

    /// How long jobs of a lane had waited.
    pub fn average_wait(&self, lane: Lane) -> Option<f64> {
        self.waits[lane as usize].mean()
    }

    /// How long pages take this worker, against what is usually spent on them.
    pub fn factor(&self, worker: &WorkerId) -> Option<f64> {
        let all = self.page_times.factor()?;
        Some(self.workers.get(worker).map_or(all, |(own, _)| own.factor_with(all, PRIOR_PAGES)))
    }

    /// Milliseconds a page of the usual mix takes this worker.
    pub fn ms_per_page(&self, worker: &WorkerId) -> Option<f64> {
        Some(self.factor(worker)? * mean_of(self.spent()?, self.mix(0, 0)))
    }

    /// Workers whose speed is remembered.
    #[cfg(test)]
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Whether pages of this kind were ever finished.
    pub fn has_pages(&self) -> bool {
        self.page_times.factor().is_some()
    }

    /// How much documents differ in what their pages take, as a share of that.
    pub fn unevenness(&self) -> f64 {
        let (Some(spent), mix) = (self.spent(), self.mix(0, 0)) else { return 0.0 };
        (spent[1] - spent[0]).abs() * mix.variance.sqrt() / mean_of(spent, mix).max(f64::MIN_POSITIVE)
    }

    /// Pages of a job whose pages are not known.
    pub fn usual_pages(&self) -> Option<f64> {
        self.pages.mean()
    }

    /// How far off an estimate made in this part of a job may be, as the deviation of its logarithm.
    pub fn error(&self, part: usize) -> f64 {
        self.errors[part.min(PARTS - 1)].mean_square_with(MISS.0, MISS.1).sqrt()
    }

    /// What jobs cost where a page takes so long (`None` where nobody has finished one). `None` before any job has ended or
    /// finished a page.
    pub fn cost(&self, ms_per_page: Option<f64>) -> Option<Cost> {
        if ms_per_page.is_none() && self.tail.line().is_none() {
            return None;
        }
        let (tail, tail_page) = self.tail.line().unwrap_or_default();
        let pages = self.pages.mean().zip(self.pages.mean_square()).unwrap_or_default();
        Some(Cost { job: self.head.mean().unwrap_or(0.0) + tail, page: ms_per_page.unwrap_or(0.0) + tail_page, pages })
    }
}

/// What is spent on an average page of this mix.
pub fn mean_of([text, ocr]: [f64; 2], mix: PageMix) -> f64 {
    text + mix.ocr * (ocr - text)
}
