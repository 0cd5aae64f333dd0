//! What a parameter of a query, or a text part of a form, may be: values are checked by it, and the OpenAPI document is made of it.

use crate::api_error::ApiError;

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// As it stands in the query.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What it means, for people.
    pub about: &'static str,
}

/// What a parameter may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Any text of at most so many bytes. The server may know more about it.
    Text(usize),
    /// A text that the server takes if it fits this pattern (ECMA-262).
    Pattern(&'static str),
    /// A whole number from the first to the second.
    Integer(i64, i64),
    /// Seconds, whole or not, 0 or more.
    Seconds,
    /// `true` or `false`.
    Boolean,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Any of these words: with commas between them, or each by itself.
    AnyOf(&'static [&'static str]),
    /// `key:value`, any number of times.
    Labels,
    /// A text, any number of times.
    Texts,
}

impl Kind {
    /// Whether it may be there more than once.
    pub fn may_repeat(self) -> bool {
        matches!(self, Self::AnyOf(_) | Self::Labels | Self::Texts)
    }
}

impl Parameter {
    /// Refuses a value that it may not have, with one message for each kind of mistake.
    pub fn check(&self, value: &str) -> Result<(), ApiError> {
        let wrong = |problem: String| Err(ApiError::field(self.name, problem));
        match self.kind {
            Kind::Text(most) if value.len() > most => wrong(format!("must have at most {most} bytes")),
            Kind::Text(_) | Kind::Pattern(_) | Kind::Texts => Ok(()),
            Kind::Integer(least, most) => match whole_number(value) {
                Some(number) if (least..=most).contains(&number) => Ok(()),
                _ if most == i64::MAX => wrong(format!("must be a whole number, at least {least}")),
                _ => wrong(format!("must be a whole number from {least} to {most}")),
            },
            Kind::Seconds => match value.parse() {
                Ok(seconds) if std::time::Duration::try_from_secs_f64(seconds).is_ok() => Ok(()),
                _ => wrong("must be a number of seconds, 0 or more".to_owned()),
            },
            Kind::Boolean if matches!(value, "true" | "false") => Ok(()),
            Kind::Boolean => wrong("must be true or false".to_owned()),
            Kind::OneOf(known) if known.contains(&value) => Ok(()),
            Kind::OneOf(known) => wrong(format!("must be one of {}", known.join(", "))),
            Kind::AnyOf(known) if words(value).all(|word| known.contains(&word)) => Ok(()),
            Kind::AnyOf(known) => wrong(format!("must be of {}", known.join(", "))),
            Kind::Labels if value.contains(':') => Ok(()),
            Kind::Labels => wrong("must be key:value".to_owned()),
        }
    }
}

/// The words of a comma list.
pub fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty())
}

/// In digits alone, as all languages write it.
fn whole_number(value: &str) -> Option<i64> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_another_type_are_refused() {
        const WORDS: &[&str] = &["md", "json"];
        for (kind, good, bad) in [
            (Kind::Text(3), &["", "abc", "é"][..], &["abcd", "éé"][..]),
            (Kind::Integer(1, 9), &["1", "9"], &["", "0", "10", "+1", "1.0", "1e0", " 1", "x", "-"]),
            (Kind::Integer(0, i64::MAX), &["0", "9223372036854775807"], &["-1", "9223372036854775808"]),
            (Kind::Seconds, &["0", "0.5", "1e3"], &["", "-1", "NaN", "inf", "1e300", "x"]),
            (Kind::Boolean, &["true", "false"], &["", "1", "True"]),
            (Kind::OneOf(WORDS), &["md"], &["", "MD", "md,json"]),
            (Kind::AnyOf(WORDS), &["md", "md, json", ""], &["html", "md,html"]),
            (Kind::Labels, &["a:b", "a:b:c"], &["", "a"]),
            (Kind::Texts, &["", "a"], &[]),
        ] {
            let parameter = Parameter { name: "p", kind, about: "" };
            assert!(good.iter().all(|value| parameter.check(value).is_ok()), "{kind:?}");
            for value in bad {
                assert_eq!(parameter.check(value).unwrap_err().fields[0].0, "p", "{kind:?} {value}");
            }
        }
    }
}
