//! The `tesseract` program.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;

use super::program::Program;
use super::{OcrEngine, OcrError, Picture, Reading, tsv};
use crate::jail::Limits;
use crate::process::ChildCommand;
use crate::supervisor::Supervisor;

/// The tool of zones read by tesseract.
pub const TOOL: &str = "ocr:tesseract";
/// Orientation and script detection, then automatic segmentation: scans may lie on their side.
const SEGMENTATION: &str = "1";
/// Files it opens at once: libraries and language data.
const OPEN_FILES: u64 = 64;

/// How tesseract is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TesseractConfig {
    pub program: PathBuf,
    /// Languages as tesseract names them, joined by `+`, for example `eng+deu`.
    pub languages: String,
    /// Those that are installed; empty before [`TesseractConfig::check`].
    pub installed: Vec<String>,
    /// The folder of the language data. Default: the program's own.
    pub data: Option<PathBuf>,
    /// How long one page may take. Default 120 s.
    pub page_timeout: Duration,
    /// Address space in bytes. Default 2 GiB.
    pub memory_bytes: u64,
    /// The most it may say of one page, in bytes. Default 16 MiB.
    pub output_bytes: u64,
}

/// Why tesseract cannot be used as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TesseractError {
    #[error(
        "the program tesseract is not there; install it (on Debian: apt-get install tesseract-ocr) or do without OCR"
    )]
    Missing,
    /// It does not answer.
    #[error("{0} does not say which languages it has: {1}")]
    Silent(PathBuf, String),
    /// Not a list of languages.
    #[error("{0:?} is no list of languages; write it like eng or eng+deu")]
    Languages(String),
    /// A language is not installed.
    #[error(
        "tesseract has no data for the language {language:?} (on Debian: apt-get install tesseract-ocr-{language}); \
         it has: {installed}"
    )]
    Language {
        /// The one asked for.
        language: String,
        installed: String,
    },
}

impl TesseractConfig {
    /// This program, with the defaults.
    pub fn new(program: PathBuf, languages: impl Into<String>) -> Self {
        Self {
            program,
            languages: languages.into(),
            installed: Vec::new(),
            data: None,
            page_timeout: Duration::from_secs(120),
            memory_bytes: 2 << 30,
            output_bytes: 16 << 20,
        }
    }

    /// The program of this name among those of the system.
    pub fn find(name: &Path) -> Result<PathBuf, TesseractError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut candidates: Vec<PathBuf> = std::env::split_paths(&path).map(|dir| dir.join(name)).collect();
        if name.components().count() > 1 {
            candidates = vec![name.to_owned()];
        }
        candidates
            .into_iter()
            .find_map(|path| path.canonicalize().ok().filter(|path| path.is_file()))
            .ok_or(TesseractError::Missing)
    }

    /// Whether it is there and has the languages. Notes which are installed.
    pub fn check(&mut self) -> Result<(), TesseractError> {
        let asked = languages(&self.languages)?;
        let silent = |why: String| TesseractError::Silent(self.program.clone(), why);
        let mut command = Command::new(&self.program);
        command.arg("--list-langs");
        if let Some(data) = &self.data {
            command.arg("--tessdata-dir").arg(data);
        }
        let said = command.output().map_err(|error| silent(error.to_string()))?;
        // Version 3 answers on standard error.
        let text = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
        if !said.status.success() {
            return Err(silent(text));
        }
        let installed: Vec<&str> = text.lines().skip(1).map(str::trim).filter(|line| !line.is_empty()).collect();
        if let Some(language) = asked.into_iter().find(|language| !installed.contains(language)) {
            return Err(TesseractError::Language { language: language.into(), installed: installed.join(", ") });
        }
        self.installed = installed.into_iter().map(str::to_owned).collect();
        Ok(())
    }
}

/// Takes a list of languages apart, as it is given to the program.
pub(crate) fn languages(list: &str) -> Result<Vec<&str>, TesseractError> {
    let asked: Vec<&str> = list.split('+').collect();
    let is_name =
        |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if asked.iter().all(is_name) { Ok(asked) } else { Err(TesseractError::Languages(list.to_owned())) }
}

#[derive(Clone, Debug)]
pub struct Tesseract {
    config: TesseractConfig,
    child: ChildCommand,
    work_dir: PathBuf,
}

impl Tesseract {
    /// With pictures in this folder while they are read; `child` is what becomes tesseract in its jail.
    pub fn new(config: TesseractConfig, child: ChildCommand, work_dir: PathBuf) -> Self {
        Self { config, child, work_dir }
    }

    /// Starts it in its jail to say its version, for `isolation`.
    pub(crate) fn probe(&self) -> std::io::Result<Command> {
        self.program(vec!["--version".into()]).probe()
    }

    /// Reads a picture of this fineness from standard input.
    fn args(&self, picture: &Picture, languages: &[String]) -> Vec<String> {
        let TesseractConfig { languages: usual, data, .. } = &self.config;
        let languages = if languages.is_empty() { usual.clone() } else { languages.join("+") };
        let mut args: Vec<String> = vec!["stdin".into(), "stdout".into()];
        let dpi = picture.dpi.to_string();
        args.extend(["--psm", SEGMENTATION, "--dpi", &dpi, "-l", &languages].map(str::to_owned));
        if let Some(data) = data {
            args.extend(["--tessdata-dir".into(), data.display().to_string()]);
        }
        args.extend(["-c", "tessedit_create_tsv=1"].map(str::to_owned));
        args
    }

    fn program(&self, args: Vec<String>) -> Program<'_> {
        let TesseractConfig { program, data, page_timeout, memory_bytes, output_bytes, .. } = &self.config;
        Program {
            child: &self.child,
            program: program.clone(),
            args,
            read: data.iter().cloned().chain(program.parent().map(Path::to_owned)).collect(),
            env: [("OMP_THREAD_LIMIT", "1"), ("LC_ALL", "C.UTF-8")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            limits: Limits {
                memory_bytes: *memory_bytes,
                cpu_seconds: page_timeout.as_secs().max(1),
                open_files: OPEN_FILES,
            },
            time: *page_timeout,
            output_bytes: *output_bytes,
        }
    }
}

#[async_trait]
impl OcrEngine for Tesseract {
    fn tool(&self) -> &'static str {
        TOOL
    }

    fn languages(&self) -> Option<&[String]> {
        Some(&self.config.installed).filter(|installed| !installed.is_empty()).map(Vec::as_slice)
    }

    async fn read(
        &self,
        picture: &Picture,
        languages: &[String],
        supervisor: &Supervisor,
    ) -> Result<Reading, OcrError> {
        let disk = |error: std::io::Error| OcrError::Unavailable(error.to_string());
        // Without a name from the beginning: nothing is left behind, whatever ends this process.
        let mut file = tempfile::tempfile_in(&self.work_dir).map_err(disk)?;
        file.write_all(&picture.png).and_then(|()| file.seek(SeekFrom::Start(0))).map_err(disk)?;
        let table = self.program(self.args(picture, languages)).run(file, supervisor).await?;
        tsv::parse(&table, picture.width, picture.height)
    }
}
