//! Markdown as OCR services write it, taken apart into what a page holds. Pictures and links to them are left out.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::ReadContent;
use crate::artifact::{Cell, Item};
use crate::text::{clean, squeeze};

/// All blocks, in order. What stands inside lists and tables belongs to them.
pub fn contents(markdown: &str) -> Vec<ReadContent> {
    let mut reader = Reader::default();
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        reader.take(event);
    }
    reader.end_paragraph();
    reader.done
}

pub(super) fn text(markdown: &str) -> String {
    let plain = |content: ReadContent| match content {
        ReadContent::Heading(_, text)
        | ReadContent::Paragraph(text)
        | ReadContent::Preformatted(text)
        | ReadContent::Header(text)
        | ReadContent::Footer(text) => text,
        ReadContent::List(items) => items.into_iter().map(|item| item.text).collect::<Vec<_>>().join(" "),
        ReadContent::Table(rows) => rows.into_iter().flatten().map(|cell| cell.text).collect::<Vec<_>>().join(" "),
    };
    contents(markdown).into_iter().map(plain).collect::<Vec<_>>().join(" ")
}

#[derive(Default)]
struct Reader {
    done: Vec<ReadContent>,
    text: String,
    /// Pictures we are inside of: their descriptions are the service's, not the page's.
    pictures: u32,
    /// Lists we are inside of, and the next number of the outermost.
    lists: u32,
    number: Option<u64>,
    items: Vec<Item>,
    rows: Option<Vec<Vec<Cell>>>,
    code: bool,
}

impl Reader {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Code(text) | Event::Html(text) | Event::InlineHtml(text) => self.add(&text),
            Event::InlineMath(text) | Event::DisplayMath(text) => self.add(&text),
            Event::SoftBreak | Event::HardBreak => self.add(" "),
            Event::FootnoteReference(_) | Event::Rule | Event::TaskListMarker(_) => {}
        }
    }

    fn add(&mut self, text: &str) {
        if self.pictures == 0 {
            self.text.push_str(text);
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Image { .. } => self.pictures += 1,
            Tag::List(first) => {
                if self.lists == 0 {
                    self.end_paragraph();
                    self.number = first;
                } else {
                    self.end_item();
                }
                self.lists += 1;
            }
            Tag::Table(_) => {
                self.end_paragraph();
                self.rows = Some(Vec::new());
            }
            Tag::TableHead | Tag::TableRow => {
                if let Some(rows) = &mut self.rows {
                    rows.push(Vec::new());
                }
            }
            Tag::CodeBlock(_) => {
                self.end_paragraph();
                self.code = true;
            }
            Tag::Paragraph | Tag::Heading { .. } if self.lists == 0 => self.end_paragraph(),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Image => self.pictures = self.pictures.saturating_sub(1),
            TagEnd::Heading(level) if self.lists == 0 => {
                let text = self.taken();
                self.push(ReadContent::Heading(number(level), text));
            }
            TagEnd::Paragraph if self.lists == 0 => self.end_paragraph(),
            TagEnd::Item => self.end_item(),
            TagEnd::List(_) => {
                self.lists = self.lists.saturating_sub(1);
                if self.lists == 0 {
                    let items = std::mem::take(&mut self.items);
                    self.push(ReadContent::List(items));
                }
            }
            TagEnd::TableCell => {
                let text = self.taken();
                if let Some(row) = self.rows.as_mut().and_then(|rows| rows.last_mut()) {
                    row.push(Cell { text, colspan: 1, rowspan: 1 });
                }
            }
            TagEnd::Table => {
                let rows = self.rows.take().unwrap_or_default();
                self.push(ReadContent::Table(rows));
            }
            TagEnd::CodeBlock => {
                self.code = false;
                let text = std::mem::take(&mut self.text);
                self.push(ReadContent::Preformatted(text.trim_end().to_owned()));
            }
            _ => {}
        }
    }

    fn taken(&mut self) -> String {
        squeeze(&clean(&std::mem::take(&mut self.text)))
    }

    fn end_item(&mut self) {
        let text = self.taken();
        if text.is_empty() {
            return;
        }
        let outermost = self.lists == 1;
        let number = self.number.filter(|_| outermost).and_then(|number| u32::try_from(number).ok());
        if outermost {
            self.number = self.number.map(|number| number.saturating_add(1));
        }
        self.items.push(Item { number, text });
    }

    fn end_paragraph(&mut self) {
        let text = self.taken();
        self.push(ReadContent::Paragraph(text));
    }

    fn push(&mut self, content: ReadContent) {
        let empty = match &content {
            ReadContent::Heading(_, text) | ReadContent::Paragraph(text) | ReadContent::Preformatted(text) => {
                text.is_empty()
            }
            ReadContent::Header(_) | ReadContent::Footer(_) => false,
            ReadContent::List(items) => items.is_empty(),
            ReadContent::Table(rows) => rows.is_empty(),
        };
        if !empty {
            self.done.push(content);
        }
    }
}

fn number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_apart() {
        let markdown = "# Title\n\nSome *running*\ntext ![img](x.jpg).\n\n3. three\n4. four\n   - below\n\n\
                        | a | b |\n| --- | --- |\n| 1 | **2** |\n\n```\nx = 1\n  y\n```\n\nend";
        let item = |number, text: &str| Item { number, text: text.into() };
        let cell = |text: &str| Cell { text: text.into(), colspan: 1, rowspan: 1 };
        let expected = [
            ReadContent::Heading(1, "Title".into()),
            ReadContent::Paragraph("Some running text .".into()),
            ReadContent::List(vec![item(Some(3), "three"), item(Some(4), "four"), item(None, "below")]),
            ReadContent::Table(vec![vec![cell("a"), cell("b")], vec![cell("1"), cell("2")]]),
            ReadContent::Preformatted("x = 1\n  y".into()),
            ReadContent::Paragraph("end".into()),
        ];
        assert_eq!(contents(markdown), expected);
        assert_eq!(contents("![only](a-picture.png)"), []);
        assert_eq!(text("# A\n\n- b\n- c"), "A b c");
    }
}
