//! HTML: one file that needs no other, without scripts, that says so itself in a content security policy.

use std::fmt::Write as _;
use std::io::{Result, Write};

use super::{Document, Export};
use crate::artifact::{Cell, Item, Kind, PageArtifact, Zone};

pub(super) struct Html;

/// Small, readable, light and dark; tables scroll in themselves.
const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:1rem/1.6 Georgia,serif;max-width:46rem;margin:0 auto;padding:1.5rem}\
h1,h2,h3,h4,h5,h6,table,.note,.edge{font-family:system-ui,sans-serif;line-height:1.3}\
.page{border-top:1px solid #8886;margin-top:2rem;padding-top:1rem}\
.edge,.note{color:#767676;font-size:.8rem}\
.scroll{overflow-x:auto}\
table{border-collapse:collapse;font-size:.85rem}\
td,th{border:1px solid #8886;padding:.2rem .45rem;text-align:left;vertical-align:top}\
pre{overflow-x:auto;font-size:.85rem;background:#8881;padding:.6rem}\
figure{margin:1rem 0;padding:1rem;border:1px dashed #8888;text-align:center}";

impl Export for Html {
    fn begin(&mut self, out: &mut dyn Write, document: &Document) -> Result<()> {
        let title = escape(&document.filename);
        write!(
            out,
            "<!doctype html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
             base-uri 'none'; form-action 'none'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        )?;
        if !document.warnings.is_empty() {
            writeln!(out, "<ul class=\"note\">")?;
            for warning in &document.warnings {
                writeln!(out, "<li>{}</li>", escape(warning))?;
            }
            writeln!(out, "</ul>")?;
        }
        Ok(())
    }

    fn page(&mut self, out: &mut dyn Write, page: &PageArtifact) -> Result<()> {
        let number = page.number;
        writeln!(out, "<section class=\"page\" id=\"page-{number}\" aria-label=\"Page {number}\">")?;
        if page.unreadable {
            writeln!(out, "<p class=\"note\">Page {number}: {}.</p>", escape(&page.warnings.join("; ")))?;
        }
        // A scan that was read shows as what was read in it.
        for zone in page.zones.iter().filter(|zone| zone.kind != Kind::Scan || !zone.note.is_empty()) {
            writeln!(out, "{}", self::zone(zone))?;
        }
        writeln!(out, "</section>")
    }

    fn end(&mut self, out: &mut dyn Write, _: &Document) -> Result<()> {
        out.write_all(b"</body>\n</html>\n")
    }
}

fn zone(zone: &Zone) -> String {
    let (id, text) = (escape(&zone.id), escape(&zone.text));
    match zone.kind {
        Kind::Heading => {
            let level = zone.level.unwrap_or(1).clamp(1, 6);
            format!("<h{level} id=\"{id}\" dir=\"auto\">{text}</h{level}>")
        }
        Kind::Paragraph if zone.preformatted => format!("<pre id=\"{id}\">{text}</pre>"),
        Kind::Paragraph => format!("<p id=\"{id}\" dir=\"auto\">{}</p>", text.replace('\n', "<br>\n")),
        Kind::List => format!("<div id=\"{id}\" dir=\"auto\">{}</div>", list(&zone.items)),
        Kind::Table => format!("<div id=\"{id}\" class=\"scroll\" dir=\"auto\">{}</div>", table(&zone.rows)),
        Kind::Figure => {
            let size = zone.pixels.map(|[width, height]| format!(", {width} × {height} pixels")).unwrap_or_default();
            format!("<figure id=\"{id}\" class=\"note\">Figure{size}</figure>")
        }
        Kind::Scan => format!("<figure id=\"{id}\" class=\"note\">Scanned page: {}</figure>", escape(&zone.note)),
        Kind::Header | Kind::Footer => format!("<p id=\"{id}\" class=\"edge\" dir=\"auto\">{text}</p>"),
    }
}

/// Numbered and bulleted stretches, each a list of its own.
fn list(items: &[Item]) -> String {
    let mut out = String::new();
    for stretch in items.chunk_by(|a, b| a.number.is_some() == b.number.is_some()) {
        let tag = if stretch.iter().any(|item| item.number.is_some()) { "ol" } else { "ul" };
        let _ = write!(out, "<{tag}>");
        for item in stretch {
            let value = item.number.map(|number| format!(" value=\"{number}\"")).unwrap_or_default();
            let _ = write!(out, "<li{value}>{}</li>", escape(&item.text));
        }
        let _ = write!(out, "</{tag}>");
    }
    out
}

/// A table; its first row is its head.
pub(super) fn table(rows: &[Vec<Cell>]) -> String {
    let mut out = String::from("<table>");
    for (before, row) in rows.iter().enumerate() {
        let tag = if before == 0 { "th" } else { "td" };
        out.push_str("\n<tr>");
        for cell in row {
            let _ = write!(out, "<{tag}{}{}>", span("colspan", cell.colspan), span("rowspan", cell.rowspan));
            let _ = write!(out, "{}</{tag}>", escape(&cell.text));
        }
        out.push_str("</tr>");
    }
    out.push_str("\n</table>");
    out
}

fn span(name: &str, count: u8) -> String {
    if count > 1 { format!(" {name}=\"{count}\"") } else { String::new() }
}

/// Text as text, in elements and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
