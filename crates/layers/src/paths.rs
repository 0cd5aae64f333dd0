//! The paths in a file: from its `use` lines and from its code. And what is left out: code for tests alone.

use crate::tokens::{Kind, Token};

/// A path, as it is written, and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) words: Vec<String>,
    pub(crate) line: usize,
}

/// A name that a `use` line makes known in its module, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) name: String,
    pub(crate) path: Path,
}

/// Everything in a file that may lead to another.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) imports: Vec<Import>,
    pub(crate) used: Vec<Path>,
    /// Child modules in files of their own.
    pub(crate) modules: Vec<String>,
}

/// Finds what leads to other files, outside of code for tests.
pub(crate) fn find(tokens: &[Token]) -> Found {
    let tokens = without_tests(tokens);
    let mut found = Found::default();
    let mut at = 0;
    while at < tokens.len() {
        at = match tokens[at].word() {
            Some("use") => use_line(&tokens, at + 1, &mut found),
            Some("mod") => mod_line(&tokens, at + 1, &mut found),
            Some(_) if tokens.get(at + 1).is_some_and(|next| next.kind == Kind::Path) => {
                let (path, next) = path(&tokens, at);
                found.used.push(path);
                next
            }
            _ => at + 1,
        };
    }
    found
}

fn use_line(tokens: &[Token], at: usize, found: &mut Found) -> usize {
    let length = tokens[at..].iter().position(|token| token.is(';')).unwrap_or(tokens.len() - at);
    tree(&tokens[at..at + length], &[], &mut found.imports);
    at + length + 1
}

/// One branch of a `use`: `a::b`, `a::{…}`, `a as b`, `a::*`.
fn tree(tokens: &[Token], before: &[String], imports: &mut Vec<Import>) {
    let mut words = before.to_vec();
    let line = tokens.first().map_or(0, |token| token.line);
    let mut name = None;
    for (at, token) in tokens.iter().enumerate() {
        match token.word() {
            Some("as") => {
                name = tokens.get(at + 1).and_then(Token::word).map(str::to_owned);
                break;
            }
            Some(word) => words.push(word.to_owned()),
            None if token.is('{') => {
                let inner = &tokens[at + 1..tokens.len() - 1];
                branches(inner).for_each(|branch| tree(branch, &words, imports));
                return;
            }
            None => {}
        }
    }
    // `a::{self}` is `a`.
    if words.len() > 1 && words.last().is_some_and(|last| last == "self") {
        words.pop();
    }
    if let Some(last) = words.last() {
        let name =
            name.unwrap_or_else(|| if tokens.last().is_some_and(|last| last.is('*')) { "*" } else { last }.into());
        imports.push(Import { name, path: Path { words, line } });
    }
}

/// Splits at the commas that are in no inner braces.
fn branches(tokens: &[Token]) -> impl Iterator<Item = &[Token]> {
    let mut depth = 0;
    let split = tokens.split(move |token| {
        depth += i32::from(token.is('{')) - i32::from(token.is('}'));
        depth == 0 && token.is(',')
    });
    split.filter(|branch| !branch.is_empty())
}

fn mod_line(tokens: &[Token], at: usize, found: &mut Found) -> usize {
    if let (Some(name), Some(next)) = (tokens.get(at).and_then(Token::word), tokens.get(at + 1))
        && next.is(';')
    {
        found.modules.push(name.to_owned());
    }
    at + 1
}

fn path(tokens: &[Token], mut at: usize) -> (Path, usize) {
    let line = tokens[at].line;
    let mut words = Vec::new();
    while let Some(word) = tokens.get(at).and_then(Token::word) {
        words.push(word.to_owned());
        at += 1;
        if tokens.get(at).is_none_or(|next| next.kind != Kind::Path) {
            break;
        }
        at += 1;
    }
    (Path { words, line }, at)
}

/// Leaves out what comes after `#[cfg(test)]`: one item, up to its `;` or its closing brace.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut left = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_cfg_test(&tokens[at..]) {
            at = end_of_item(tokens, at + CFG_TEST.len());
        } else {
            left.push(tokens[at].clone());
            at += 1;
        }
    }
    left
}

const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

fn is_cfg_test(tokens: &[Token]) -> bool {
    tokens.len() >= CFG_TEST.len()
        && tokens.iter().zip(CFG_TEST).all(|(token, text)| match &token.kind {
            Kind::Word(word) => word == text,
            Kind::Mark(mark) => text.chars().eq([*mark]),
            Kind::Path => false,
        })
}

fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        depth += i32::from(token.is('{') || token.is('[') || token.is('('));
        depth -= i32::from(token.is('}') || token.is(']') || token.is(')'));
        if depth == 0 && (token.is(';') || token.is('}')) {
            break;
        }
    }
    at
}
