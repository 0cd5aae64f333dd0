//! The tokens of a filter, each with its position.

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidFilter {
    /// Where, in bytes from 1.
    pub at: usize,
    /// What is wrong there, and what would be possible.
    pub problem: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `:`
    Has,
}

impl Comparator {
    /// As it is written.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
            Self::Has => ":",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// `(`
    Open,
    /// `)`
    Close,
    /// `-` in front of something.
    Minus,
    /// `AND`
    And,
    /// `OR`
    Or,
    /// `NOT`
    Not,
    Compare(Comparator),
    Text(Text),
    End,
}

/// A word that is not the grammar's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// Without quotes and backslashes.
    pub text: String,
    /// Where `*` stands in it that was not written `\*`.
    pub stars: Vec<usize>,
    /// Whether it was in quotes.
    pub quoted: bool,
}

/// Reads words one by one.
pub struct Lexer<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub fn new(source: &'a str) -> Self {
        Self { source, at: 0 }
    }

    /// The next token and its position.
    pub fn next(&mut self) -> Result<(usize, Token), InvalidFilter> {
        self.skip_space();
        let at = self.at;
        let Some(first) = self.peek() else { return Ok((at, Token::End)) };
        let token = match first {
            '(' => self.take(1, Token::Open),
            ')' => self.take(1, Token::Close),
            '-' if self.is_sign() => self.take(1, Token::Minus),
            '<' | '>' | '=' | '!' | ':' => self.comparator()?,
            '"' | '\'' => Token::Text(self.quoted(first)?),
            ',' => return Err(problem(at, "`,` has no meaning here; join conditions by AND or OR")),
            _ => keyword(self.bare(false)),
        };
        Ok((at, token))
    }

    /// The next word as what a field is compared with: a time has `:` in it, a number `-` before it.
    pub fn argument(&mut self) -> Result<(usize, Text), InvalidFilter> {
        self.skip_space();
        let at = self.at;
        match self.peek() {
            Some(quote @ ('"' | '\'')) => Ok((at, self.quoted(quote)?)),
            Some('(' | ')' | '<' | '>' | '=' | '!' | ':' | ',') | None => {
                Err(problem(at, "expected a value to compare with; put texts with signs in quotes"))
            }
            Some(_) => Ok((at, self.bare(true))),
        }
    }

    /// A quoted word that follows at once: `labels."with space"`.
    pub fn adjoining(&mut self) -> Result<Option<Text>, InvalidFilter> {
        match self.peek() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote).map(Some),
            Some(_) | None => Ok(None),
        }
    }

    fn peek(&self) -> Option<char> {
        self.source[self.at..].chars().next()
    }

    fn skip_space(&mut self) {
        let rest = &self.source[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn take(&mut self, bytes: usize, token: Token) -> Token {
        self.at += bytes;
        token
    }

    /// A minus negates what follows at once; alone it is a word like any other.
    fn is_sign(&self) -> bool {
        self.source[self.at + 1..].chars().next().is_some_and(|next| !next.is_whitespace())
    }

    fn comparator(&mut self) -> Result<Token, InvalidFilter> {
        let rest = &self.source[self.at..];
        let all = [
            Comparator::AtMost,
            Comparator::AtLeast,
            Comparator::NotEqual,
            Comparator::Less,
            Comparator::Greater,
            Comparator::Equal,
            Comparator::Has,
        ];
        match all.into_iter().find(|known| rest.starts_with(known.sign())) {
            Some(found) => Ok(self.take(found.sign().len(), Token::Compare(found))),
            None => Err(problem(self.at, "`!` has no meaning alone; write != or NOT")),
        }
    }

    fn bare(&mut self, argument: bool) -> Text {
        let mut text = Text::default();
        let mut escaped = false;
        while let Some(letter) = self.peek() {
            let ends = match letter {
                '(' | ')' | '<' | '>' | '=' | '!' | '"' | '\'' | ',' => true,
                ':' => !argument,
                other => other.is_whitespace(),
            };
            if ends && !escaped {
                break;
            }
            self.at += letter.len_utf8();
            escaped = text.push(letter, escaped);
        }
        if escaped {
            text.text.push('\\');
        }
        text
    }

    fn quoted(&mut self, quote: char) -> Result<Text, InvalidFilter> {
        let begin = self.at;
        self.at += quote.len_utf8();
        let mut text = Text { quoted: true, ..Text::default() };
        let mut escaped = false;
        while let Some(letter) = self.peek() {
            self.at += letter.len_utf8();
            if letter == quote && !escaped {
                return Ok(text);
            }
            escaped = text.push(letter, escaped);
        }
        Err(problem(begin, "the quote has no end"))
    }
}

impl Text {
    /// Adds a letter; whether the next one is to be taken as it is.
    fn push(&mut self, letter: char, escaped: bool) -> bool {
        if letter == '\\' && !escaped {
            return true;
        }
        if letter == '*' && !escaped {
            self.stars.push(self.text.len());
        }
        self.text.push(letter);
        false
    }
}

fn keyword(text: Text) -> Token {
    match text.text.as_str() {
        "AND" => Token::And,
        "OR" => Token::Or,
        "NOT" => Token::Not,
        _ => Token::Text(text),
    }
}

/// A problem at a position, which is reported from 1.
pub fn problem(at: usize, problem: impl Into<String>) -> InvalidFilter {
    InvalidFilter { at: at + 1, problem: problem.into() }
}

/// A text in quotes that is read as this very text.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        if matches!(letter, '"' | '\\' | '*') {
            out.push('\\');
        }
        out.push(letter);
    }
    out.push('"');
    out
}
