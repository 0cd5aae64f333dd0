//! Credentials of S3 from a file, in the format that AWS' programs share. It is read again while the server runs: who
//! replaces it need not restart anything.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::open_error::OpenError;

/// How often the file is looked at while requests are made.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// More than this is not credentials but a mistaken path.
const MAX_BYTES: u64 = 64 << 10;
/// Which part of the file is used, unless the variable says otherwise.
const PROFILE: (&str, &str) = ("AWS_PROFILE", "default");
/// The values looked for in it. The last may be missing.
const KEY_ID: &str = "aws_access_key_id";
const SECRET_KEY: &str = "aws_secret_access_key";
const TOKEN: &str = "aws_session_token";

/// A file with credentials, and what was in it last.
#[derive(Debug)]
pub(super) struct CredentialsFile {
    source: Source,
    last: Mutex<LastRead>,
}

#[derive(Clone, Debug)]
struct Source {
    path: PathBuf,
    profile: String,
}

#[derive(Debug)]
struct LastRead {
    credential: Arc<AwsCredential>,
    at: Instant,
    /// Why the file could not be used then, if it could not. The credential is older in that case.
    problem: Option<String>,
}

impl CredentialsFile {
    /// Reads it for the first time. `named_by` is what an operator has to change where it cannot be used.
    pub fn open(named_by: &'static str, path: &Path) -> Result<Self, OpenError> {
        let profile = std::env::var(PROFILE.0).unwrap_or_else(|_| PROFILE.1.to_owned());
        let source = Source { path: path.to_owned(), profile };
        let refuse = |reason| OpenError::Credentials { named_by, path: path.display().to_string(), reason };
        let credential = Arc::new(source.read().map_err(refuse)?);
        if fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o007 != 0) {
            tracing::warn!(path = %path.display(), "everybody on this machine can read the credentials of the store");
        }
        Ok(Self { source, last: Mutex::new(LastRead { credential, at: Instant::now(), problem: None }) })
    }

    /// The newest credential; `None` when it is time to look at the file. Who is told so is the only one.
    fn known(&self) -> Option<Arc<AwsCredential>> {
        let mut last = self.last.lock();
        if last.at.elapsed() < CHECK_EVERY {
            return Some(last.credential.clone());
        }
        last.at = Instant::now();
        None
    }

    /// Takes in what was read. A file that cannot be used may be one that is being replaced: the last credential stays.
    fn update(&self, read: Result<AwsCredential, String>) -> Arc<AwsCredential> {
        let mut last = self.last.lock();
        let path = self.source.path.display();
        match read {
            Ok(found) => {
                if *last.credential != found {
                    tracing::info!(%path, "the credentials of the store were replaced");
                    last.credential = Arc::new(found);
                }
                last.problem = None;
            }
            Err(problem) if last.problem.as_ref() != Some(&problem) => {
                tracing::warn!(%path, problem, "the credentials of the store cannot be read; the last ones are used");
                last.problem = Some(problem);
            }
            Err(_) => {}
        }
        last.credential.clone()
    }
}

#[async_trait]
impl CredentialProvider for CredentialsFile {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        if let Some(credential) = self.known() {
            return Ok(credential);
        }
        let source = self.source.clone();
        let read = tokio::task::spawn_blocking(move || source.read()).await;
        Ok(self.update(read.unwrap_or_else(|ended| Err(ended.to_string()))))
    }
}

impl Source {
    /// What is in the file, or why it cannot be used. Says nothing of the values in it.
    fn read(&self) -> Result<AwsCredential, String> {
        let io = |error: std::io::Error| error.to_string();
        if !fs::metadata(&self.path).map_err(io)?.is_file() {
            return Err("it is not a file".into());
        }
        let mut text = Vec::new();
        File::open(&self.path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text)).map_err(io)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(format!("it is larger than {MAX_BYTES} bytes"));
        }
        let text = String::from_utf8(text).map_err(|_| "it is not a text in UTF-8".to_owned())?;
        parse(text.trim_start_matches('\u{feff}'), &self.profile)
    }
}

/// The credential of a profile: lines of `NAME = VALUE` below a line of `[PROFILE]`.
fn parse(text: &str, profile: &str) -> Result<AwsCredential, String> {
    let (mut found, mut in_profile) = (false, false);
    let [mut key_id, mut secret_key, mut token] = [None, None, None];
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            in_profile = name.trim() == profile;
            found |= in_profile;
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(format!("line {number} is neither [PROFILE] nor NAME = VALUE"));
        };
        let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        match name.trim().to_ascii_lowercase().as_str() {
            _ if !in_profile => {}
            KEY_ID => key_id = value,
            SECRET_KEY => secret_key = value,
            TOKEN => token = value,
            _ => {}
        }
    }
    if !found {
        return Err(format!("it has no line [{profile}]; {} names another profile", PROFILE.0));
    }
    let need = |value: Option<String>, name: &str| value.ok_or_else(|| format!("it has no {name} below [{profile}]"));
    let credential = AwsCredential { key_id: need(key_id, KEY_ID)?, secret_key: need(secret_key, SECRET_KEY)?, token };
    // They become parts of headers.
    let is_plain = |value: &str| value.bytes().all(|byte| byte.is_ascii_graphic());
    for (name, value) in [(KEY_ID, &credential.key_id), (SECRET_KEY, &credential.secret_key)]
        .into_iter()
        .chain(credential.token.as_ref().map(|token| (TOKEN, token)))
    {
        if !is_plain(value) {
            return Err(format!("{name} below [{profile}] has spaces or other characters that no key has"));
        }
    }
    Ok(credential)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# ours\n[other]\naws_access_key_id=no\n\n[default]\r\nAWS_ACCESS_KEY_ID = id\n region = eu\n\
                        aws_secret_access_key = a=b/c+d\naws_session_token = t\n[last]\naws_access_key_id = no\n";

    #[test]
    fn a_profile_is_found_among_others() {
        let found = parse(FILE, "default").unwrap();
        assert_eq!((&*found.key_id, &*found.secret_key, found.token.as_deref()), ("id", "a=b/c+d", Some("t")));
    }

    #[test]
    fn what_is_wrong_is_said_without_a_secret() {
        let problem = |text: &str| parse(text, "default").unwrap_err();
        assert_eq!(problem(""), "it has no line [default]; AWS_PROFILE names another profile");
        assert_eq!(problem("[default]\nhush"), "line 2 is neither [PROFILE] nor NAME = VALUE");
        assert_eq!(problem("[default]\naws_access_key_id = id"), "it has no aws_secret_access_key below [default]");
        let spaced = "[default]\naws_access_key_id = id\naws_secret_access_key = hu sh";
        let said = problem(spaced);
        assert!(said.starts_with("aws_secret_access_key below [default] has spaces") && !said.contains("hu"), "{said}");
        assert!(!format!("{:?}", parse(FILE, "default").unwrap()).contains("a=b"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_replaced_file_counts_and_one_that_is_half_written_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        let write = |text: &str| fs::write(&path, text).unwrap();
        let with = |id: &str| format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = secret\n");
        write(&with("first"));
        let file = CredentialsFile::open("--objects-credentials-file", &path).unwrap();
        let steps = [
            (with("second"), "second"),
            (with("third")[..40].to_owned(), "second"),
            (String::new(), "second"),
            (with("third"), "third"),
        ];
        for (text, id) in steps {
            write(&text);
            tokio::time::advance(CHECK_EVERY).await;
            assert_eq!(file.get_credential().await.unwrap().key_id, id);
        }
        fs::remove_file(&path).unwrap();
        tokio::time::advance(CHECK_EVERY).await;
        assert_eq!(file.get_credential().await.unwrap().key_id, "third");
    }
}
