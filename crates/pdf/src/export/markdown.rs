//! Markdown (CommonMark with GFM tables). Headers and footers are left out; every page begins with a comment that names
//! it, so that the place in the document can be found again, unless the job asks for another separator.

use std::io::{Result, Write};

use courant_pdf_parameters::PageSeparator;

use super::{Document, Export, html};
use crate::artifact::{Cell, Item, Kind, PageArtifact, Zone};

#[derive(Default)]
pub(super) struct Markdown {
    pages: u32,
    separator: Option<PageSeparator>,
}

impl Export for Markdown {
    fn begin(&mut self, _: &mut dyn Write, document: &Document) -> Result<()> {
        self.separator.clone_from(&document.separator);
        Ok(())
    }

    fn page(&mut self, out: &mut dyn Write, page: &PageArtifact) -> Result<()> {
        let is_first = self.pages == 0;
        self.pages += 1;
        let unread = page.unreadable.then(|| format!("*Page {}: {}.*", page.number, escape(&page.warnings.join("; "))));
        let mut texts = unread.into_iter().chain(page.zones.iter().filter_map(zone));
        match &self.separator {
            None => writeln!(out, "{}<!-- page {} -->", if is_first { "" } else { "\n" }, page.number)?,
            Some(separator) => {
                let before = if is_first { String::new() } else { separator.before(page.number) };
                write!(out, "{before}")?;
                if let Some(first) = texts.next() {
                    writeln!(out, "{first}")?;
                }
            }
        }
        texts.try_for_each(|text| writeln!(out, "\n{text}"))
    }

    fn end(&mut self, _: &mut dyn Write, _: &Document) -> Result<()> {
        Ok(())
    }
}

fn zone(zone: &Zone) -> Option<String> {
    match zone.kind {
        Kind::Heading => {
            let level = usize::from(zone.level.unwrap_or(1).clamp(1, 6));
            Some(format!("{} {}", "#".repeat(level), escape(&zone.text)))
        }
        Kind::Paragraph if zone.preformatted => Some(fenced(&zone.text)),
        Kind::Paragraph => Some(escape(&zone.text)),
        Kind::List => Some(list(&zone.items)),
        Kind::Table => Some(table(&zone.rows)),
        Kind::Scan if !zone.note.is_empty() => Some(format!("*Scanned page: {}.*", escape(&zone.note))),
        Kind::Figure => Some("*[figure]*".to_owned()),
        Kind::Scan | Kind::Header | Kind::Footer => None,
    }
}

/// A fence longer than any run of backticks inside.
fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}\n{text}\n{fence}")
}

fn list(items: &[Item]) -> String {
    let item = |item: &Item| {
        let marker = item.number.map_or("-".to_owned(), |number| format!("{number}."));
        format!("{marker} {}", escape(&item.text))
    };
    items.iter().map(item).collect::<Vec<_>>().join("\n")
}

/// A pipe table, or HTML where cells span others.
fn table(rows: &[Vec<Cell>]) -> String {
    if rows.iter().flatten().any(|cell| cell.colspan > 1 || cell.rowspan > 1) {
        return html::table(rows);
    }
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let line = |row: &Vec<Cell>| {
        let cell = |column| row.get(column).map_or(String::new(), |cell: &Cell| escape(&cell.text).replace('|', "\\|"));
        format!("| {} |", (0..columns).map(cell).collect::<Vec<_>>().join(" | "))
    };
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    lines.insert(1.min(lines.len()), format!("|{}", " --- |".repeat(columns)));
    lines.join("\n")
}

/// Takes from text everything that Markdown would read as more than text.
pub(super) fn escape(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len() + 8);
    for (at, &c) in chars.iter().enumerate() {
        let (before, after) = (at.checked_sub(1).map(|at| chars[at]), chars.get(at + 1).copied());
        if c == '\n' {
            out.push_str("\\\n");
            continue;
        }
        if is_special(c, before, after) || (begins_block(&chars[at..]) && chars[..at].iter().all(|c| c.is_whitespace()))
        {
            out.push('\\');
        }
        out.push(c);
        let behind = chars.get(at + 2).is_none_or(|c| c.is_whitespace());
        if behind && matches!(after, Some('.' | ')')) && is_ordinal(&chars[..=at]) {
            out.push('\\');
        }
    }
    out
}

fn is_special(c: char, before: Option<char>, after: Option<char>) -> bool {
    let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let gap = |c: Option<char>| c.is_none_or(char::is_whitespace);
    match c {
        '\\' => after.is_some_and(|after| after.is_ascii_punctuation()),
        '`' => true,
        '*' => !(gap(before) && gap(after)),
        '_' => !(gap(before) && gap(after) || word(before) && word(after)),
        '<' => after.is_some_and(|after| after.is_ascii_alphabetic() || matches!(after, '/' | '!' | '?')),
        '&' => after.is_some_and(|after| after.is_ascii_alphabetic() || after == '#'),
        ']' => matches!(after, Some('(' | '[' | ':')),
        '[' => matches!(after, Some('^')),
        '!' => after == Some('['),
        '~' => after == Some('~') || before == Some('~'),
        _ => false,
    }
}

/// Whether text that begins like this would begin something other than a paragraph.
fn begins_block(rest: &[char]) -> bool {
    let gap = |c: Option<&char>| c.is_none_or(|c| c.is_whitespace());
    match rest.first() {
        Some('#') => gap(rest.iter().find(|c| **c != '#')),
        Some('-' | '+') => gap(rest.get(1)) || rest.starts_with(&['-', '-']),
        Some('*') => gap(rest.get(1)),
        Some('>' | '|' | '=') => true,
        Some('~') => rest.starts_with(&['~', '~', '~']),
        _ => false,
    }
}

/// Whether these are the digits of a list marker.
fn is_ordinal(chars: &[char]) -> bool {
    !chars.is_empty() && chars.len() <= 9 && chars.iter().all(char::is_ascii_digit)
}
