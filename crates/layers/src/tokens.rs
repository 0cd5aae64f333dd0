//! Rust sources as a flat list of the tokens that matter to paths: words, `::` and punctuation. Comments, texts and numbers
//! are left out.

/// One token and its line, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) line: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Word(String),
    /// `::`
    Path,
    Mark(char),
}

impl Token {
    pub(crate) fn is(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }

    pub(crate) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            Kind::Path | Kind::Mark(_) => None,
        }
    }
}

/// Reads all tokens of a file. What is no Rust gives some tokens, too.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut reader = Reader { rest: text, line: 1, found: Vec::new() };
    while reader.step() {}
    reader.found
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    found: Vec<Token>,
}

impl Reader<'_> {
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else { return false };
        if first.is_whitespace() {
            self.skip(first.len_utf8());
        } else if self.rest.starts_with("//") {
            self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("/*") {
            self.skip(comment(self.rest));
        } else if let Some(length) = raw_text(self.rest) {
            self.skip(length);
        } else if first == '"' || self.rest.starts_with("b\"") || self.rest.starts_with("c\"") {
            self.skip(text(self.rest));
        } else if first == '\'' {
            self.skip(letter_or_lifetime(self.rest));
        } else if first.is_alphabetic() || first == '_' {
            let length = self.rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
            let length = length.unwrap_or(self.rest.len());
            self.push(Kind::Word(self.rest[..length].to_owned()), length);
        } else if self.rest.starts_with("::") {
            self.push(Kind::Path, 2);
        } else if first.is_ascii_digit() {
            let length = self.rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
            self.skip(length.unwrap_or(self.rest.len()));
        } else {
            self.push(Kind::Mark(first), first.len_utf8());
        }
        true
    }

    fn push(&mut self, kind: Kind, length: usize) {
        self.found.push(Token { kind, line: self.line });
        self.skip(length);
    }

    fn skip(&mut self, length: usize) {
        let (skipped, rest) = self.rest.split_at(length);
        self.line += skipped.matches('\n').count();
        self.rest = rest;
    }
}

/// The length of a block comment, with those inside of it.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of `r"…"`, `r#"…"#` and the like with a `b` or `c` before it.
fn raw_text(text: &str) -> Option<usize> {
    let start = text.strip_prefix(['b', 'c']).unwrap_or(text).strip_prefix('r')?;
    let inner = start.trim_start_matches('#');
    let end = format!("\"{}", "#".repeat(start.len() - inner.len()));
    let inner = inner.strip_prefix('"')?;
    let length = inner.find(&end).map_or(inner.len(), |at| at + end.len());
    Some(text.len() - inner.len() + length)
}

/// The length of `"…"`, maybe with one letter before it.
fn text(text: &str) -> usize {
    let mut escaped = false;
    let begin = text.find('"').unwrap_or_default() + 1;
    for (at, letter) in text[begin..].char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return begin + at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of `'x'`, `'\n'` or `'name`.
fn letter_or_lifetime(text: &str) -> usize {
    let inner = &text[1..];
    let first = inner.chars().next().map_or(0, char::len_utf8);
    if inner.starts_with('\\') {
        return 2 + first.max(1) + inner.get(2..).and_then(|rest| rest.find('\'')).unwrap_or_default() + 1;
    }
    if inner[first..].starts_with('\'') { first + 2 } else { 1 }
}
