//! Our words beside those of other readers: poppler, and a second one that says how far poppler is to be believed.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::words::Words;

/// Documents with fewer words say nothing.
const MIN_WORDS: u64 = 20;
/// Two readers agree from this F1.
const AGREEMENT: f64 = 0.8;
/// How long another reader may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Words named of a difference.
const NAMED: usize = 12;

/// How our words compare.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// F1 of the multisets of words against poppler's.
    pub f1: f64,
    /// Whether the second reader has about the same words as poppler; none without one.
    pub agreed: Option<bool>,
    /// Words that poppler has and we have not.
    pub missing: Vec<String>,
    /// Words that we have and poppler has not.
    pub surplus: Vec<String>,
}

/// Compares; none where poppler fails or finds too little.
pub(super) async fn compare(path: &Path, ours: &Words, second: Option<&Path>) -> Option<Compared> {
    let mut poppler = Command::new("pdftotext");
    poppler.args(["-q", "-enc", "UTF-8"]).arg(path).arg("-");
    let poppler = read(poppler).await.filter(|words| words.count() >= MIN_WORDS)?;
    let agreed = match second {
        Some(program) => {
            let mut command = Command::new(program);
            command.arg(path);
            Some(read(command).await.is_some_and(|words| words.f1(&poppler) >= AGREEMENT))
        }
        None => None,
    };
    let (missing, surplus) = (poppler.without(ours, NAMED), ours.without(&poppler, NAMED));
    Some(Compared { f1: ours.f1(&poppler), agreed, missing, surplus })
}

/// What a program prints; none when it fails.
async fn read(mut command: Command) -> Option<Words> {
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let out = timeout(PATIENCE, command.output()).await.ok()?.ok().filter(|out| out.status.success())?;
    let mut words = Words::default();
    words.add_lines(&String::from_utf8_lossy(&out.stdout));
    Some(words)
}
