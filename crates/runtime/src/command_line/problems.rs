//! What a check of a configuration found.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

/// The exit code of a program whose configuration is wrong, the same that wrong flags have.
pub(super) const WRONG: u8 = 2;

/// What is wrong with a configuration, each with the flag it is about.
#[derive(Debug, Default)]
pub struct Problems(Vec<String>);

impl Problems {
    /// Notes an error of what a flag says. An error that names a flag itself is left as it is.
    pub fn check<T>(&mut self, flag: &str, result: Result<T, impl Display>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                let error = format!("{error:#}");
                self.0.push(if names_flag(&error) { error } else { format!("{flag}: {error}") });
                None
            }
        }
    }

    /// The same of several files that are used together: an error is about the flag whose file it names, or else the first.
    pub fn check_files<T>(&mut self, files: &[(&str, Option<&Path>)], result: Result<T, impl Display>) -> Option<T> {
        let text = result.as_ref().err().map(|error| format!("{error:#}")).unwrap_or_default();
        let named =
            |(_, file): &&(&str, Option<&Path>)| file.is_some_and(|file| text.contains(&*file.to_string_lossy()));
        let flag = files.iter().find(named).or(files.first()).map_or("configuration", |(flag, _)| flag);
        self.check(flag, result)
    }

    pub fn found(&self) -> &[String] {
        &self.0
    }

    /// Writes what was found, one problem a line, and says how the program ends.
    pub fn report(self, program: &str) -> ExitCode {
        for problem in &self.0 {
            eprintln!("{program}: {problem}");
        }
        if self.0.is_empty() {
            println!("{program}: the configuration can be used");
            return ExitCode::SUCCESS;
        }
        ExitCode::from(WRONG)
    }
}

/// Whether a word of it is a flag. What PEM files begin with is none.
fn names_flag(error: &str) -> bool {
    let flag = |word: &str| {
        word.strip_prefix("--").is_some_and(|name| name.starts_with(|first: char| first.is_ascii_lowercase()))
    };
    error.split_whitespace().any(flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_names_its_flag_once() {
        let mut problems = Problems::default();
        assert_eq!(problems.check("--port", Ok::<_, String>(1)), Some(1));
        assert_eq!(problems.check("--key", Err::<(), _>("no such file")), None);
        assert_eq!(problems.check("--key", Err::<(), _>("--retries must be 1 to 9")), None);
        let files = [("--cert", Some(Path::new("/a/cert"))), ("--ca", None), ("--cert-key", Some(Path::new("/a/key")))];
        problems.check_files(&files, Err::<(), _>("/a/key cannot be read"));
        problems.check_files(&files, Err::<(), _>("the two do not match"));
        problems.check_files(&files, Err::<(), _>("no certificate (-----BEGIN CERTIFICATE-----)"));
        let of_files = ["--cert-key: /a/key cannot be read", "--cert: the two do not match"];
        assert_eq!(problems.found()[2..4], of_files);
        assert_eq!(problems.found()[4], "--cert: no certificate (-----BEGIN CERTIFICATE-----)");
        assert_eq!(problems.found()[..2], ["--key: no such file", "--retries must be 1 to 9"]);
    }
}
