//! pdfboss alone: text and layout of all pages, one after the other, in one process without limits. What ours costs is
//! measured against it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use pdfboss_core::{Document, Immediate, block_on};
use pdfboss_output::{LayoutOptions, document_layout_opts};
use pdfboss_text::{FontCache, ReadingOrder};
use tokio::process::Command;

use crate::process::{ChildCommand, cost_of};

/// Reads a document and prints what that cost: milliseconds of processor time, and the greatest memory in bytes. Parses in
/// this process: only for documents that are trusted.
pub fn read(path: &Path) -> std::io::Result<()> {
    let other = |error: pdfboss_core::Error| std::io::Error::other(error.to_string());
    let document = Document::load(std::fs::read(path)?).map_err(other)?;
    let fonts = FontCache::default();
    let mut blocks = 0;
    for index in 0..document.flattened_page_count() {
        let page = document.page(index).map_err(other)?;
        let read = pdfboss_text::extract_spans_and_rulings_reporting_cached_with(
            Immediate(&document),
            &page,
            &fonts,
            None,
            None,
            ReadingOrder::Content,
        );
        let (spans, rulings, _) = block_on(read).map_err(other)?;
        let layouts = document_layout_opts(&[(spans, rulings, ReadingOrder::Content)], &LayoutOptions::default());
        blocks += layouts.iter().map(|layout| layout.blocks.len()).sum::<usize>();
    }
    let (cpu, peak) = cost_of(std::process::id()).unwrap_or_default();
    println!("{} {peak} {blocks}", cpu.as_millis());
    Ok(())
}

/// What that costs in a process of its own; none where it fails. `child` is this program as a child.
pub(super) async fn cost(child: &ChildCommand, path: &Path) -> Option<(Duration, u64)> {
    let mut command = Command::new(&child.program);
    command.arg("bare").arg(path).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let out = command.output().await.ok().filter(|out| out.status.success())?;
    let text = String::from_utf8(out.stdout).ok()?;
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    Some((Duration::from_millis(numbers.next()?.ok()?), numbers.next()?.ok()?))
}
