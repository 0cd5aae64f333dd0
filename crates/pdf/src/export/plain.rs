//! Plain text: zones divided by empty lines, pages by form feeds or what the job asks for. Headers and footers are left out, they would stand
//! in the middle of sentences.

use std::io::{Result, Write};

use courant_pdf_parameters::PageSeparator;

use super::{Document, Export};
use crate::artifact::{Kind, PageArtifact, Zone};

#[derive(Default)]
pub(super) struct Plain {
    pages: u32,
    separator: Option<PageSeparator>,
}

impl Export for Plain {
    fn begin(&mut self, _: &mut dyn Write, document: &Document) -> Result<()> {
        self.separator.clone_from(&document.separator);
        Ok(())
    }

    fn page(&mut self, out: &mut dyn Write, page: &PageArtifact) -> Result<()> {
        if self.pages > 0 {
            let between = self.separator.as_ref().map_or("\x0c".into(), |separator| separator.before(page.number));
            out.write_all(between.as_bytes())?;
        }
        self.pages += 1;
        if page.unreadable {
            writeln!(out, "[Page {}: {}]", page.number, page.warnings.join("; "))?;
        }
        let zones: Vec<String> = page.zones.iter().filter_map(zone).collect();
        for (before, text) in zones.iter().enumerate() {
            if before > 0 {
                out.write_all(b"\n")?;
            }
            writeln!(out, "{text}")?;
        }
        Ok(())
    }

    fn end(&mut self, _: &mut dyn Write, _: &Document) -> Result<()> {
        Ok(())
    }
}

fn zone(zone: &Zone) -> Option<String> {
    match zone.kind {
        Kind::Heading | Kind::Paragraph | Kind::Table => Some(zone.text.clone()),
        Kind::List => {
            let item = |item: &crate::artifact::Item| match item.number {
                Some(number) => format!("{number}. {}", item.text),
                None => format!("- {}", item.text),
            };
            Some(zone.items.iter().map(item).collect::<Vec<_>>().join("\n"))
        }
        Kind::Scan if !zone.note.is_empty() => Some(format!("[Scanned page: {}]", zone.note)),
        Kind::Scan | Kind::Figure | Kind::Header | Kind::Footer => None,
    }
}
