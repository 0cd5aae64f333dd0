//! The order of a filter's words. As AIP-160 has it: OR binds tighter than AND, and words side by side are joined by AND.

use std::marker::PhantomData;

use super::compare::ProblemAt;
use super::dialect::Dialect;
use super::expression::Filter;
use super::field::OfJobs;
use super::lexer::{InvalidFilter, Lexer, Text, Token, problem};

/// The longest filter in bytes.
pub const MAX_BYTES: usize = 2048;
/// How deep parentheses may be nested.
pub const MAX_DEPTH: usize = 32;

/// Reads a filter of jobs; `None` for one that says nothing.
pub fn parse(source: &str) -> Result<Option<Filter>, InvalidFilter> {
    parse_as::<OfJobs>(source)
}

/// Reads a filter of something else.
pub fn parse_as<D: Dialect>(source: &str) -> Result<Option<Filter<D::Condition>>, InvalidFilter> {
    if source.len() > MAX_BYTES {
        return Err(problem(MAX_BYTES, format!("a filter may have at most {MAX_BYTES} bytes")));
    }
    let mut parser = Parser::<D> { lexer: Lexer::new(source), next: (0, Token::End), depth: 0, dialect: PhantomData };
    parser.advance()?;
    if parser.next.1 == Token::End {
        return Ok(None);
    }
    let filter = parser.expression()?;
    match parser.next {
        (_, Token::End) => Ok(Some(filter)),
        (at, Token::Close) => Err(problem(at, "`)` without a `(` before it")),
        (at, other) => Err(unexpected(at, &other)),
    }
}

struct Parser<'a, D> {
    lexer: Lexer<'a>,
    next: (usize, Token),
    depth: usize,
    dialect: PhantomData<D>,
}

impl<D: Dialect> Parser<'_, D> {
    fn advance(&mut self) -> Result<(usize, Token), InvalidFilter> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.next, next))
    }

    fn expression(&mut self) -> Result<Filter<D::Condition>, InvalidFilter> {
        let mut parts = vec![self.factor()?];
        loop {
            match self.next.1 {
                Token::And => drop(self.advance()?),
                Token::End | Token::Close => return Ok(one_or(parts, Filter::All)),
                Token::Open | Token::Minus | Token::Or | Token::Not | Token::Compare(_) | Token::Text(_) => {}
            }
            parts.push(self.factor()?);
        }
    }

    fn factor(&mut self) -> Result<Filter<D::Condition>, InvalidFilter> {
        let mut parts = vec![self.term()?];
        while self.next.1 == Token::Or {
            self.advance()?;
            parts.push(self.term()?);
        }
        Ok(one_or(parts, Filter::Any))
    }

    fn term(&mut self) -> Result<Filter<D::Condition>, InvalidFilter> {
        if matches!(self.next.1, Token::Not | Token::Minus) {
            self.advance()?;
            return Ok(Filter::Not(Box::new(self.simple()?)));
        }
        self.simple()
    }

    fn simple(&mut self) -> Result<Filter<D::Condition>, InvalidFilter> {
        // What follows a word decides how it is read on, so the lexer is right behind it.
        match std::mem::replace(&mut self.next, (0, Token::End)) {
            (at, Token::Open) => self.group(at),
            (at, Token::Text(text)) => self.restriction(at, text),
            (at, other) => Err(unexpected(at, &other)),
        }
    }

    fn group(&mut self, at: usize) -> Result<Filter<D::Condition>, InvalidFilter> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(problem(at, format!("parentheses may be nested at most {MAX_DEPTH} deep")));
        }
        self.advance()?;
        let filter = self.expression()?;
        self.depth -= 1;
        match self.advance()? {
            (_, Token::Close) => Ok(filter),
            _ => Err(problem(at, "`(` without a `)` after it")),
        }
    }

    fn restriction(&mut self, at: usize, mut name: Text) -> Result<Filter<D::Condition>, InvalidFilter> {
        let mut quoted_key = false;
        if !name.quoted
            && name.text.ends_with('.')
            && let Some(key) = self.lexer.adjoining()?
        {
            name.text.push_str(&key.text);
            quoted_key = true;
        }
        self.advance()?;
        let Token::Compare(comparator) = self.next.1 else {
            return Ok(Filter::Search(name.text.to_lowercase()));
        };
        if name.quoted {
            return Err(problem(at, "a field's name is not in quotes"));
        }
        if !quoted_key && !name.stars.is_empty() {
            return Err(problem(at, "a field's name has no `*`"));
        }
        let field = D::field(&name.text).ok_or_else(|| problem(at, unknown(&name.text, D::FIELDS)))?;
        let sign_at = self.next.0;
        let (value_at, value) = self.lexer.argument()?;
        let test = D::condition(field, comparator, value)
            .map_err(|(whose, text)| problem(if whose == ProblemAt::Comparator { sign_at } else { value_at }, text))?;
        self.advance()?;
        Ok(Filter::Condition(test))
    }
}

fn one_or<C>(mut parts: Vec<Filter<C>>, many: fn(Vec<Filter<C>>) -> Filter<C>) -> Filter<C> {
    match parts.len() {
        1 => parts.remove(0),
        _ => many(parts),
    }
}

fn unknown(name: &str, fields: &str) -> String {
    let shown: String = name.chars().take(64).collect();
    format!("there is no field {shown:?}; there are {fields}")
}

fn unexpected(at: usize, token: &Token) -> InvalidFilter {
    let what = match token {
        Token::End => "the filter ends where",
        Token::Open => "`(` found where",
        Token::Close => "`)` found where",
        Token::Minus => "`-` found where",
        Token::And => "AND found where",
        Token::Or => "OR found where",
        Token::Not => "NOT found where",
        Token::Compare(_) => "a comparison found where",
        Token::Text(_) => "a word found where",
    };
    problem(at, format!("{what} a field, a word to search for or `(` was expected"))
}
