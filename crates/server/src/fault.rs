//! What is wrong with the object store, as far as it matters to who waits for it: whether trying again helps, and what
//! an operator has to do.

use std::error::Error;
use std::io;

/// A kind of failure of the object store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What was asked for is not there.
    Missing,
    /// It will not work before somebody changes a setting. Says which.
    Misconfigured(&'static str),
    /// It asks for fewer requests.
    Overloaded,
    /// It did not answer in time.
    Timeout,
    /// It has no space left.
    Full,
    /// It cannot be reached, or failed by itself.
    Unavailable,
}

/// A store without conditional writes.
pub const NOT_CONDITIONAL: &str = "If-None-Match is not honoured";

/// Signs of wrong settings in what stores answer, and what they mean. The library keeps the answer's status and text, but
/// only as text.
const SETTINGS: [(&str, &str); 12] = [
    (NOT_CONDITIONAL, "it writes over what is there although it is asked not to (If-None-Match)"),
    ("169.254.169.254", "there are no credentials for it"),
    ("status code: 501", "it cannot do what is needed"),
    ("NoSuchBucket", "there is no such bucket"),
    ("The specified bucket does not exist", "there is no such bucket"),
    ("ContainerNotFound", "there is no such container"),
    ("URL scheme is not allowed", "plain http is not allowed (AWS_ALLOW_HTTP=true allows it)"),
    ("incorrectly configured region", "the region is wrong"),
    ("AuthorizationHeaderMalformed", "the region is wrong"),
    ("PermanentRedirect", "the bucket is at another address"),
    ("status code: 403", "access is denied"),
    ("status code: 401", "the credentials are wrong"),
];

impl Fault {
    /// What an error means.
    pub fn of(error: &object_store::Error) -> Self {
        use object_store::Error as E;
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        let mut text = String::new();
        let mut timeout = false;
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => return Self::Full,
                    io::ErrorKind::TimedOut => timeout = true,
                    io::ErrorKind::PermissionDenied => return Self::Misconfigured("its folder may not be written"),
                    io::ErrorKind::ReadOnlyFilesystem => return Self::Misconfigured("its folder is read-only"),
                    _ => {}
                }
            }
            timeout |= is_timeout(error);
            text.push_str(&error.to_string());
            text.push('\n');
            cause = error.source();
        }
        if let Some((_, meaning)) = SETTINGS.iter().find(|(sign, _)| text.contains(sign)) {
            return Self::Misconfigured(meaning);
        }
        match error {
            E::NotFound { .. } => Self::Missing,
            E::PermissionDenied { .. } => Self::Misconfigured("access is denied"),
            E::Unauthenticated { .. } => Self::Misconfigured("the credentials are wrong"),
            E::NotSupported { .. } | E::NotImplemented { .. } | E::UnknownConfigurationKey { .. } => {
                Self::Misconfigured("it cannot do what is needed")
            }
            _ if timeout => Self::Timeout,
            _ if ["status code: 503", "status code: 429", "SlowDown"].iter().any(|sign| text.contains(sign)) => {
                Self::Overloaded
            }
            _ if text.contains("status code: 507") => Self::Full,
            _ => Self::Unavailable,
        }
    }

    /// Whether the same may work a moment later, without anybody doing anything.
    pub const fn may_pass(self) -> bool {
        matches!(self, Self::Overloaded | Self::Timeout | Self::Unavailable)
    }

    /// For callers. Says nothing of addresses and names: these are the operator's.
    pub fn client_message(self) -> String {
        let store = "the store of documents and results";
        match self {
            Self::Missing => format!("{store} does not have what should be there; the server's log says more"),
            Self::Misconfigured(why) => format!("{store} cannot be used: {why}; tell the operator of this service"),
            Self::Overloaded => format!("{store} has too much to do; try again"),
            Self::Timeout => format!("{store} did not answer in time; try again"),
            Self::Full => format!("{store} has no space left; try again when the operator has made some"),
            Self::Unavailable => format!("{store} cannot be reached; try again"),
        }
    }
}

#[cfg(feature = "cloud")]
fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    use object_store::client::{HttpError, HttpErrorKind};
    error.downcast_ref::<HttpError>().is_some_and(|error| error.kind() == HttpErrorKind::Timeout)
}

/// A folder answers with errors of the operating system, which are looked at before.
#[cfg(not(feature = "cloud"))]
const fn is_timeout(_: &(dyn Error + 'static)) -> bool {
    false
}

/// Whether the connection went away after the request was sent and before it was answered: it may have been carried out.
#[cfg(feature = "cloud")]
pub fn was_cut_off(error: &object_store::Error) -> bool {
    use object_store::client::{HttpError, HttpErrorKind};
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<HttpError>() {
            return matches!(error.kind(), HttpErrorKind::Interrupted | HttpErrorKind::Unknown);
        }
        cause = error.source();
    }
    false
}

/// A folder has no connection.
#[cfg(not(feature = "cloud"))]
pub const fn was_cut_off(_: &object_store::Error) -> bool {
    false
}

/// An error with all its causes, for the log. Of a long answer in XML only what it says: the rest may repeat what the
/// request was signed with.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    shorten(&text)
}

/// A text with `CODE: MESSAGE` in place of an answer of S3.
fn shorten(text: &str) -> String {
    let Some((before, answer)) = text.split_once("<?xml").or_else(|| text.split_once("<Error>")) else {
        return text.to_owned();
    };
    let (answer, after) = answer.rsplit_once("</Error>").unwrap_or((answer, ""));
    let part = |name: &str| {
        let (_, rest) = answer.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(part, _)| part)
    };
    match (part("Code"), part("Message")) {
        (Some(code), Some(message)) => format!("{before}{code}: {message}{}", after.trim_end()),
        (Some(said), None) | (None, Some(said)) => format!("{before}{said}{}", after.trim_end()),
        (None, None) => before.trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(source: impl Into<Box<dyn Error + Send + Sync>>) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: source.into() }
    }

    #[cfg(feature = "cloud")]
    #[test]
    fn what_an_error_means_shows_in_its_causes() {
        let full = io::Error::from_raw_os_error(28);
        assert_eq!(Fault::of(&generic(full)), Fault::Full);
        let answer = |text: &str| Fault::of(&generic(format!("Server returned non-2xx status code: {text}")));
        assert_eq!(answer("503 Service Unavailable: <Code>SlowDown</Code>"), Fault::Overloaded);
        assert_eq!(answer("500 Internal Server Error"), Fault::Unavailable);
        assert!(matches!(answer("403 Forbidden"), Fault::Misconfigured(_)));
        let missing =
            |text: &str| Fault::of(&object_store::Error::NotFound { path: "a".into(), source: text.to_owned().into() });
        assert_eq!(missing("404 Not Found: <Code>NoSuchKey</Code>"), Fault::Missing);
        assert_eq!(missing("<Code>NoSuchBucket</Code>"), Fault::Misconfigured("there is no such bucket"));
        use object_store::client::{HttpError, HttpErrorKind};
        let timeout = HttpError::new(HttpErrorKind::Timeout, io::Error::other("slow"));
        assert_eq!(Fault::of(&generic(timeout)), Fault::Timeout);
    }

    #[test]
    fn of_an_answer_in_xml_the_log_has_what_it_says_and_not_what_it_repeats() {
        let answer = "status code: 403 Forbidden: <?xml version=\"1.0\"?>\n<Error><Code>SignatureDoesNotMatch</Code>\
                      <Message>Wrong key</Message><CanonicalRequest>x-amz-security-token:hush</CanonicalRequest></Error>";
        let said = error_chain(&generic(answer));
        assert!(said.ends_with("status code: 403 Forbidden: SignatureDoesNotMatch: Wrong key"), "{said}");
        assert_eq!(shorten("<Error><AWSAccessKeyId>hush"), "");
        assert_eq!(shorten("as it is"), "as it is");
    }
}
