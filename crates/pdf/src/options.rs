//! The pipeline's options on the command line and in the environment, the same for every program that has it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::isolation;
use crate::ocr::mistral::{MistralConfig, MistralError};
use crate::ocr::tesseract::{TesseractConfig, TesseractError};
use crate::secret::SecretText;
use crate::{Allowance, ChildCommand, OcrChoice, PdfConfig};

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "PDF processing")]
pub struct PdfOptions {
    /// The most pages of a document.
    #[arg(long = "pdf-max-pages",
        visible_alias = "max-pages", env = "COURANT_PDF_MAX_PAGES", default_value_t = 5_000,
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max_pages: u32,
    /// The largest document, in MiB.
    #[arg(long = "pdf-max-document-mib",
        visible_alias = "max-document-mib", env = "COURANT_PDF_MAX_DOCUMENT_MIB",
        default_value_t = 512, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    max_document_mib: u64,
    /// How many processes parse PDFs at once. Default: the processors of the machine.
    #[arg(long = "pdf-children", env = "COURANT_PDF_CHILDREN", value_parser = clap::value_parser!(u32).range(1..=1024))]
    children: Option<u32>,
    /// The most pages that one of these processes is given at once.
    #[arg(long = "pdf-chunk-pages", env = "COURANT_PDF_CHUNK_PAGES", default_value_t = 32,
        value_parser = clap::value_parser!(u32).range(1..=5_000))]
    chunk_pages: u32,
    /// Documents with more pages than this left to do are offered to other workers in parts, which help when no job waits
    /// for them. With 0 this worker neither offers parts nor takes them.
    #[arg(long = "pdf-split-pages", visible_alias = "split-pages", env = "COURANT_PDF_SPLIT_PAGES", default_value_t = 400,
        value_parser = clap::value_parser!(u32).range(0..=100_000))]
    split_pages: u32,
    /// The most pages of such a part.
    #[arg(long = "pdf-part-pages", visible_alias = "part-pages", env = "COURANT_PDF_PART_PAGES", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=5_000))]
    part_pages: u32,
    /// How long one page may take, in seconds.
    #[arg(long = "pdf-page-timeout-seconds",
        visible_alias = "page-timeout-seconds",
        env = "COURANT_PDF_PAGE_TIMEOUT_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    page_timeout_seconds: u64,
    /// Memory of a process that parses a document, in MiB.
    #[arg(long = "pdf-child-memory-mib",
        visible_alias = "child-memory-mib", env = "COURANT_PDF_CHILD_MEMORY_MIB",
        default_value_t = 1024, value_parser = clap::value_parser!(u64).range(64..=1 << 20))]
    child_memory_mib: u64,
    /// Processor time of a process that parses a document, in seconds.
    #[arg(long = "pdf-child-cpu-seconds",
        visible_alias = "child-cpu-seconds", env = "COURANT_PDF_CHILD_CPU_SECONDS",
        default_value_t = 1_800, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    child_cpu_seconds: u64,
    /// How many of these processes may die over one document before its job fails.
    #[arg(long = "pdf-child-restarts", env = "COURANT_PDF_CHILD_RESTARTS", default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(0..=10_000))]
    child_restarts: u32,
    /// How long one attempt at a document may take, for example 30m; more for its pages, see --max-job-duration-per-page. A job
    /// that takes longer has failed (JOB_TIMED_OUT).
    #[arg(long, env = "COURANT_MAX_JOB_DURATION", default_value = "30m", value_parser = duration)]
    max_job_duration: Duration,
    /// How much longer it may take for each page of the document.
    #[arg(long, env = "COURANT_MAX_JOB_DURATION_PER_PAGE", default_value = "10s", value_parser = duration)]
    max_job_duration_per_page: Duration,
    /// Processor time that all processes of one document may use, over all attempts on this worker; more for its pages. A
    /// document that uses more has failed (DOCUMENT_TOO_EXPENSIVE).
    #[arg(long, env = "COURANT_PDF_MAX_CPU", default_value = "5m", value_parser = duration)]
    pdf_max_cpu: Duration,
    /// How much more of it for each page.
    #[arg(long, env = "COURANT_PDF_MAX_CPU_PER_PAGE", default_value = "200ms", value_parser = duration)]
    pdf_max_cpu_per_page: Duration,
    /// How much more of it for each page that is read by OCR.
    #[arg(long, env = "COURANT_PDF_MAX_CPU_PER_OCR_PAGE", default_value = "20s", value_parser = duration)]
    pdf_max_cpu_per_ocr_page: Duration,
    /// Where temporary files go. Default: the system's directory for them.
    #[arg(long, env = "COURANT_WORK_DIR")]
    work_dir: Option<PathBuf>,
    #[command(flatten)]
    ocr: OcrOptions,
}

/// What reads scanned pages.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "OCR")]
struct OcrOptions {
    /// What reads pages without usable text. `auto` is tesseract when it is installed. With `mistral`, pictures of pages
    /// go to that service.
    #[arg(long, env = "COURANT_OCR", default_value = "auto")]
    ocr: OcrName,
    /// The languages tesseract looks for, in its own names joined by `+`, for example eng+deu.
    #[arg(long, env = "COURANT_OCR_LANGUAGES", default_value = "eng")]
    ocr_languages: String,
    /// The tesseract program, by name or path.
    #[arg(long, env = "COURANT_TESSERACT", default_value = "tesseract")]
    tesseract: PathBuf,
    /// The folder with tesseract's language data. Default: its own.
    #[arg(long, env = "COURANT_TESSDATA")]
    tessdata: Option<PathBuf>,
    /// How fine pages are drawn for OCR, in dots per inch.
    #[arg(long, env = "COURANT_OCR_DPI", default_value_t = 200, value_parser = clap::value_parser!(u32).range(72..=600))]
    ocr_dpi: u32,
    /// The longer side of a drawn page, in pixels; larger pages are drawn coarser.
    #[arg(long, env = "COURANT_OCR_MAX_SIDE", default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(500..=10_000))]
    ocr_max_side: u32,
    /// Pages with a picture of more megapixels than this are not drawn.
    #[arg(long, env = "COURANT_OCR_MAX_MEGAPIXELS", default_value_t = 150, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    ocr_max_megapixels: u64,
    /// How many pages are read at once, of all documents together, which take turns. Default: the processors of the machine.
    #[arg(long, env = "COURANT_OCR_AT_ONCE", value_parser = clap::value_parser!(u32).range(1..=1024))]
    ocr_at_once: Option<u32>,
    /// The most pages of one document that are read.
    #[arg(long, env = "COURANT_OCR_MAX_PAGES", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    ocr_max_pages: u32,
    /// How long reading one page may take, in seconds.
    #[arg(long, env = "COURANT_OCR_TIMEOUT_SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    ocr_timeout_seconds: u64,
    /// The key of Mistral's service.
    #[arg(long = "mistral-key", env = "COURANT_MISTRAL_API_KEY", hide_env_values = true, hide = true)]
    mistral_key: Option<Key>,
    /// The address of Mistral's service.
    #[arg(long, env = "COURANT_MISTRAL_URL", default_value = "https://api.mistral.ai")]
    mistral_url: String,
    /// The model of Mistral's service.
    #[arg(long, env = "COURANT_MISTRAL_MODEL", default_value = "mistral-ocr-latest")]
    mistral_model: String,
    /// What a thousand pages cost there, in US dollars, to be added up in the log.
    #[arg(long, env = "COURANT_MISTRAL_USD_PER_1000_PAGES", default_value_t = 0.0)]
    mistral_usd_per_1000_pages: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OcrName {
    /// Tesseract, if it is installed.
    Auto,
    /// None.
    Off,
    /// Tesseract.
    Tesseract,
    /// Mistral's service.
    Mistral,
}

/// A key, which shows nowhere.
#[derive(Clone, Debug)]
struct Key(SecretText);

impl std::str::FromStr for Key {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(SecretText::new(text)))
    }
}

/// Why the options cannot work.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    #[error("{0} is not a directory; make it, or give another with --work-dir")]
    WorkDir(PathBuf),
    #[error(transparent)]
    Tesseract(#[from] TesseractError),
    #[error(transparent)]
    Mistral(#[from] MistralError),
    #[error("--mistral-usd-per-1000-pages must be 0 or more, not {0}")]
    Price(f64),
}

/// A time of at least a millisecond and at most a year, so that sums of them stay times.
fn duration(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| format!("{error}; write it like 30m or 200ms"))?;
    let range = Duration::from_millis(1)..=Duration::from_secs(366 * 24 * 3600);
    if range.contains(&time) { Ok(time) } else { Err("it must be 1ms to 1year".into()) }
}

impl PdfOptions {
    /// The settings, checked. Asks tesseract for its languages when it is wanted, and logs how children are isolated.
    pub fn config(&self, child: ChildCommand) -> Result<PdfConfig, OptionsError> {
        let mut config = PdfConfig::new(child);
        config.max_pages = self.max_pages;
        config.max_document_bytes = self.max_document_mib << 20;
        config.children = self.children.unwrap_or(config.children);
        config.chunk_pages = self.chunk_pages;
        config.split_pages = self.split_pages;
        config.part_pages = self.part_pages;
        config.page_timeout = Duration::from_secs(self.page_timeout_seconds);
        config.child_memory_bytes = self.child_memory_mib << 20;
        config.child_cpu_seconds = self.child_cpu_seconds;
        config.child_restarts = self.child_restarts;
        config.allowance = Allowance {
            cpu: self.pdf_max_cpu,
            cpu_per_page: self.pdf_max_cpu_per_page,
            cpu_per_ocr_page: self.pdf_max_cpu_per_ocr_page,
            time: self.max_job_duration,
            time_per_page: self.max_job_duration_per_page,
        };
        if let Some(dir) = &self.work_dir {
            if !dir.is_dir() {
                return Err(OptionsError::WorkDir(dir.clone()));
            }
            config.work_dir.clone_from(dir);
        }
        config.picture.dpi = self.ocr.ocr_dpi;
        config.picture.max_side = self.ocr.ocr_max_side;
        config.picture.max_source_pixels = self.ocr.ocr_max_megapixels * 1_000_000;
        config.ocr_at_once = self.ocr.ocr_at_once.unwrap_or(config.ocr_at_once);
        config.ocr_max_pages = self.ocr.ocr_max_pages;
        config.ocr = self.ocr.choice()?;
        isolation::log(&config);
        Ok(config)
    }
}

impl OcrOptions {
    fn choice(&self) -> Result<OcrChoice, OptionsError> {
        match self.ocr {
            OcrName::Off => Ok(OcrChoice::Off),
            OcrName::Tesseract => Ok(OcrChoice::Tesseract(self.tesseract()?)),
            OcrName::Mistral => Ok(OcrChoice::Mistral(self.mistral()?)),
            OcrName::Auto => match self.tesseract() {
                Ok(tesseract) => Ok(OcrChoice::Tesseract(tesseract)),
                Err(error @ TesseractError::Languages(_)) => Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, "scanned pages are not read");
                    Ok(OcrChoice::Off)
                }
            },
        }
    }

    fn tesseract(&self) -> Result<TesseractConfig, TesseractError> {
        let program = TesseractConfig::find(&self.tesseract)?;
        let mut config = TesseractConfig::new(program, self.ocr_languages.clone());
        config.data.clone_from(&self.tessdata);
        config.page_timeout = Duration::from_secs(self.ocr_timeout_seconds);
        config.check()?;
        Ok(config)
    }

    fn mistral(&self) -> Result<MistralConfig, OptionsError> {
        let key = self.mistral_key.as_ref().map(|key| key.0.clone()).ok_or(MistralError::NoKey)?;
        let mut config = MistralConfig::new(key, &self.mistral_url)?;
        config.model.clone_from(&self.mistral_model);
        config.timeout = Duration::from_secs(self.ocr_timeout_seconds);
        if !(0.0..=1e6).contains(&self.mistral_usd_per_1000_pages) {
            return Err(OptionsError::Price(self.mistral_usd_per_1000_pages));
        }
        config.usd_per_1000_pages = self.mistral_usd_per_1000_pages;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        pdf: PdfOptions,
    }

    fn config(args: &[&str]) -> Result<PdfConfig, String> {
        let program = Program::try_parse_from(["program"].iter().chain(args)).map_err(|error| error.to_string())?;
        let child = ChildCommand { program: "/bin/true".into(), args: vec![] };
        program.pdf.config(child).map_err(|error| error.to_string())
    }

    #[test]
    fn options_reach_the_settings() {
        let made =
            config(&["--ocr", "off", "--pdf-max-pages", "7", "--max-document-mib", "3", "--ocr-dpi", "300"]).unwrap();
        assert_eq!(made.allowance, Allowance::default());
        let short = config(&["--ocr", "off", "--max-job-duration", "90s", "--pdf-max-cpu", "1m"]).unwrap();
        assert_eq!((short.allowance.time.as_secs(), short.allowance.cpu.as_secs()), (90, 60));
        assert_eq!((made.max_pages, made.max_document_bytes, made.picture.dpi), (7, 3 << 20, 300));
        assert!(matches!(made.ocr, OcrChoice::Off));
    }

    #[test]
    fn nonsense_is_refused_with_what_to_do() {
        let cases: [(&[&str], &str); 8] = [
            (&["--ocr", "off", "--max-job-duration", "0s"], "1ms to 1year"),
            (&["--ocr", "off", "--pdf-max-cpu", "5"], "200ms"),
            (&["--ocr", "off", "--pdf-chunk-pages", "0"], "1..=5000"),
            (&["--ocr", "off", "--work-dir", "/no/such/folder"], "--work-dir"),
            (&["--ocr", "tesseract", "--tesseract", "no-such-program"], "apt-get install tesseract-ocr"),
            (&["--ocr", "mistral", "--mistral-key", ""], "COURANT_MISTRAL_API_KEY"),
            (&["--ocr", "mistral", "--mistral-key", "k", "--mistral-url", "http://example.com"], "https://"),
            (&["--ocr", "mistral", "--mistral-key", "k", "--mistral-usd-per-1000-pages", "NaN"], "0 or more"),
        ];
        for (args, words) in cases {
            let error = config(args).expect_err("nonsense");
            assert!(error.contains(words), "{args:?}: {error}");
        }
        assert!(matches!(config(&["--tesseract", "no-such-program"]).map(|made| made.ocr), Ok(OcrChoice::Off)));
    }
}
