//! Log lines on standard error, the same for all programs: one event is one line, whatever text is in it.
//!
//! Users, documents and other services choose some of the text. Fields and messages are therefore escaped here, for every line
//! there is, and not where each is written: control characters, line ends and what changes the direction of writing cannot
//! make up lines or move a terminal.

use std::fmt::{self, Debug, Write as _};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use tracing::field::Field;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::request::{self, Context};

/// Between two lines about the same trouble.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "command-line", derive(clap::ValueEnum))]
pub enum Format {
    #[default]
    Text,
    /// One JSON object per line
    // JSON escapes by itself.
    Json,
}

/// A value of `--log-filter` that is no filter.
#[derive(Debug, thiserror::Error)]
#[error(
    "--log-filter {text:?} is not a filter ({cause}); write a level, or levels by module: warn,courant_server=debug"
)]
pub struct FilterError {
    text: String,
    cause: ParseError,
}

/// What to log: a level, or levels by module.
pub fn filter(text: &str) -> Result<EnvFilter, FilterError> {
    EnvFilter::try_new(text).map_err(|cause| FilterError { text: text.to_owned(), cause })
}

/// The NATS client logs each try to connect; what matters of that is logged by the log on NATS.
const BY_DEFAULT: &str = "info,async_nats=warn";

/// What `RUST_LOG` says; `info` where it is missing or no filter.
pub fn default_filter() -> EnvFilter {
    EnvFilter::try_from_env("RUST_LOG").unwrap_or_else(|_| EnvFilter::new(BY_DEFAULT))
}

/// Starts logging for the rest of the process.
pub(crate) fn start(filter: EnvFilter, format: Format) {
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    match format {
        Format::Text => lines
            .compact()
            .fmt_fields(debug_fn(write_field).delimited(" "))
            .map_event_format(|line| WithContext::text(line.with_ansi(colours)))
            .init(),
        Format::Json => lines.json().map_event_format(WithContext::json).init(),
    }
}

/// Rate limits a log line that anybody can cause as often as they like: one in [`LINE_EVERY`]; those left out are counted.
#[derive(Debug, Default)]
pub struct Occasional {
    last: Option<Instant>,
    left_out: u64,
}

impl Occasional {
    /// Writes the line when it is time for one. It is given how many were left out before.
    pub fn log(&mut self, line: impl FnOnce(u64)) {
        if self.last.is_some_and(|last| last.elapsed() < LINE_EVERY) {
            self.left_out += 1;
            return;
        }
        self.last = Some(Instant::now());
        line(std::mem::take(&mut self.left_out));
    }
}

/// Lines with what the work at hand belongs to: `request`, `job` and `trace`, where that is known.
struct WithContext<F> {
    inner: F,
    format: Format,
}

impl<F> WithContext<F> {
    fn text(inner: F) -> Self {
        Self { inner, format: Format::Text }
    }

    fn json(inner: F) -> Self {
        Self { inner, format: Format::Json }
    }
}

impl<S, N, F> FormatEvent<S, N> for WithContext<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, of: &FmtContext<'_, S, N>, mut into: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let fields = request::with_current(|context| self.fields(context, event)).unwrap_or_default();
        if fields.is_empty() {
            return self.inner.format_event(of, into, event);
        }
        let mut line = String::new();
        self.inner.format_event(of, Writer::new(&mut line), event)?;
        let line = line.trim_end_matches('\n');
        match self.format {
            Format::Text => writeln!(into, "{line}{fields}"),
            Format::Json => writeln!(into, "{}{fields}}}", line.strip_suffix('}').unwrap_or(line)),
        }
    }
}

impl<F> WithContext<F> {
    /// What the line has at its end: those that it does not have by itself. None of them needs escaping.
    fn fields(&self, context: &Context, event: &Event<'_>) -> String {
        let own_job = event.metadata().fields().field("job").is_some();
        let trace = context.trace.map(|trace| trace.trace_id().to_string());
        let job = context.job.as_deref().filter(|_| !own_job);
        let mut fields = String::new();
        for (name, value) in [("job", job), ("request", context.request.as_deref()), ("trace", trace.as_deref())] {
            let Some(value) = value else { continue };
            // Writing to a string does not fail.
            let _ = match self.format {
                Format::Text => write!(fields, " {name}={value}"),
                Format::Json => write!(fields, ",\"{name}\":\"{value}\""),
            };
        }
        fields
    }
}

fn write_field(into: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    match field.name() {
        "message" => write!(Escaping(into), "{value:?}"),
        // What the `log` crate says of itself.
        name if name.starts_with("log.") => Ok(()),
        name => {
            write!(into, "{name}=")?;
            write!(Escaping(into), "{value:?}")
        }
    }
}

/// Passes text on with everything escaped that is not a printed letter.
struct Escaping<'a, 'b>(&'a mut Writer<'b>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_dangerous) {
            let (good, tail) = rest.split_at(at);
            self.0.write_str(good)?;
            let mut letters = tail.chars();
            for escaped in letters.next().into_iter().flat_map(char::escape_default) {
                self.0.write_char(escaped)?;
            }
            rest = letters.as_str();
        }
        self.0.write_str(rest)
    }
}

/// Control characters, line and paragraph separators, and marks that change the direction of writing.
fn is_dangerous(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_left_out_are_counted_until_the_next() {
        let (mut lines, mut written) = (Occasional::default(), Vec::new());
        for _ in 0..3 {
            lines.log(|left_out| written.push(left_out));
        }
        lines.last = Instant::now().checked_sub(LINE_EVERY);
        lines.log(|left_out| written.push(left_out));
        assert_eq!(written, [0, 2]);
    }

    #[test]
    fn what_is_no_filter_is_refused_with_an_example() {
        let refused = filter("a=b=c").unwrap_err().to_string();
        assert!(refused.contains("--log-filter \"a=b=c\" is not a filter") && refused.contains("warn,"), "{refused}");
        assert!(filter("warn,courant_server=debug").is_ok());
    }

    #[test]
    fn what_a_client_chose_stays_within_its_line() {
        let sink = Sink::default();
        let (out, evil) = (sink.clone(), "a\n2026-01-01 INFO all is well\r\u{1b}[2J\u{9b}31m\u{202e}é");
        let lines = tracing_subscriber::fmt()
            .with_writer(move || out.clone())
            .with_ansi(false)
            .fmt_fields(debug_fn(write_field).delimited(" "))
            .finish();
        tracing::subscriber::with_default(lines, || {
            let span = tracing::info_span!("call", user = %evil);
            let _in = span.enter();
            tracing::info!(by = %evil, name = evil, shown = ?evil, count = 7, "said {evil}");
        });
        let bytes = sink.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.trim_end().chars().any(is_dangerous), "{text:?}");
        for kept in [r"said a\n2026", r"\u{1b}[2J", r"by=a\n2026", "count=7", "é"] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }

    fn written(format: Format, write: impl FnOnce()) -> String {
        let sink = Sink::default();
        let out = sink.clone();
        let lines = tracing_subscriber::fmt().with_writer(move || out.clone()).with_ansi(false);
        match format {
            Format::Text => {
                let lines = lines.compact().fmt_fields(debug_fn(write_field).delimited(" "));
                tracing::subscriber::with_default(lines.map_event_format(WithContext::text).finish(), write);
            }
            Format::Json => {
                tracing::subscriber::with_default(lines.json().map_event_format(WithContext::json).finish(), write);
            }
        }
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_says_what_it_belongs_to() {
        let context = Context { request: Some("r-1".into()), job: Some("J".into()), trace: None };
        let both = || {
            request::sync_scope(context, || {
                tracing::info!(count = 7, "one");
                tracing::info!(job = "K", "two");
            });
            tracing::info!("three");
        };
        let text = written(Format::Text, both.clone());
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with("one count=7 job=J request=r-1"), "{text}");
        assert!(lines[1].ends_with("two job=\"K\" request=r-1"), "{text}");
        assert!(lines[2].ends_with("three"), "{text}");
        let json = written(Format::Json, both);
        let lines: Vec<&str> = json.lines().collect();
        assert!(lines[0].ends_with(r#","job":"J","request":"r-1"}"#), "{json}");
        assert!(lines[1].contains(r#""job":"K""#) && lines[1].ends_with(r#","request":"r-1"}"#), "{json}");
        assert!(lines[2].ends_with("}") && !lines[2].contains("request"), "{json}");
    }
}
