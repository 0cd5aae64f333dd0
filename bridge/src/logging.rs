//! How fields are written in text logs: what would end a line, steer a terminal or turn text round is escaped, whoever
//! chose it. Names of users, topics and files come from outside, and error messages may quote them.

use std::fmt::{self, Write};

use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use crate::presence::device::is_unruly;

/// For `tracing_subscriber::fmt().fmt_fields(…)`.
pub fn fields() -> impl for<'writer> FormatFields<'writer> + Send + Sync + 'static {
    debug_fn(|writer: &mut Writer<'_>, field, value| {
        let mut escaped = Escaped(writer);
        match field.name() {
            "message" => write!(escaped, "{value:?}"),
            name => write!(escaped, "{name}={value:?}"),
        }
    })
    .delimited(" ")
}

struct Escaped<'a, 'writer>(&'a mut Writer<'writer>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !text.chars().any(is_unruly) {
            return self.0.write_str(text);
        }
        text.chars().try_for_each(|letter| match letter {
            letter if is_unruly(letter) => write!(self.0, "{}", letter.escape_default()),
            letter => self.0.write_char(letter),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_writes_a_line_of_their_own() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .fmt_fields(fields())
            .with_writer(move || writer.clone())
            .finish();
        let evil = "bob\n2026-11-21T08:30:00Z  INFO forged\r\u{1b}[2J\u{202e}\u{2028}\u{85}ü";
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(user = evil, shown = %evil, debugged = ?evil, some = Some(evil), number = 7, "said {evil}");
        });
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert!(!text.trim_end().chars().any(is_unruly), "{text:?}");
        assert!(text.contains(r"shown=bob\n2026") && text.contains("ü") && text.contains("number=7"), "{text}");
    }
}
