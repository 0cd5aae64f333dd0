//! Reading the audit log, newest line first. Not for threads of the runtime.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::event::AuditEvent;

/// Bytes that are read at once.
const BLOCK: usize = 64 << 10;
/// No line is longer.
const LONGEST_LINE: usize = 64 << 10;

/// What is looked for.
pub struct Search<'a> {
    /// Only lines with a smaller number.
    pub before: Option<u64>,
    /// Nothing older is wanted, in milliseconds since 1970.
    pub not_before: Option<i64>,
    /// Events at most.
    pub limit: usize,
    /// Bytes that may be looked at.
    pub budget: usize,
    pub wanted: &'a dyn Fn(&AuditEvent) -> bool,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Newest first.
    pub events: Vec<AuditEvent>,
    /// Lines with a smaller number were not looked at; none at the end.
    pub next: Option<u64>,
}

/// Looks through files, the newest first.
pub fn search(files: &[File], search: &Search<'_>) -> io::Result<Found> {
    let (mut found, mut before, mut left) = (Found::default(), search.before, search.budget);
    // One line is looked at in any case, so that pages get on.
    let mut is_first = true;
    for file in files {
        let end = match before {
            Some(before) => end_of_lines_before(file, before)?,
            None => file.metadata()?.len(),
        };
        let mut lines = ReverseLines::new(file, end);
        while let Some(line) = lines.next()? {
            left = left.saturating_sub(line.len() + 1);
            let Ok(event) = serde_json::from_slice::<AuditEvent>(&line) else { continue };
            // A file that was rotated meanwhile comes twice.
            if before.is_some_and(|before| event.number >= before) {
                continue;
            }
            if search.not_before.is_some_and(|time| event.time.0 < time) {
                return Ok(found);
            }
            if found.events.len() == search.limit || (left == 0 && !is_first) {
                found.next = before;
                return Ok(found);
            }
            (before, is_first) = (Some(event.number), false);
            if (search.wanted)(&event) {
                found.events.push(event);
            }
        }
    }
    Ok(found)
}

/// The number of the newest line; 0 when there is none.
pub fn last_number(files: &[File]) -> io::Result<u64> {
    let newest = Search { before: None, not_before: None, limit: 1, budget: usize::MAX, wanted: &|_| true };
    Ok(search(files, &newest)?.events.first().map_or(0, |event| event.number))
}

/// Somewhere behind the last line with a smaller number, and less than a block behind it.
fn end_of_lines_before(file: &File, number: u64) -> io::Result<u64> {
    let len = file.metadata()?.len();
    let (mut low, mut high) = (0, len);
    while high - low > BLOCK as u64 {
        let middle = low + (high - low) / 2;
        match number_after(file, middle)? {
            Some(found) if found < number => low = middle,
            _ => high = middle,
        }
    }
    // The line that begins before `high` may end behind it.
    Ok((high + LONGEST_LINE as u64).min(len))
}

/// The number of the first line that begins after a place.
fn number_after(file: &File, at: u64) -> io::Result<Option<u64>> {
    let mut block = vec![0; LONGEST_LINE];
    let read = read_at(file, &mut block, at)?;
    let mut lines = block[..read].split(|byte| *byte == b'\n').skip(1);
    Ok(lines.find_map(|line| serde_json::from_slice::<AuditEvent>(line).ok()).map(|event| event.number))
}

fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match file.read_at(&mut into[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The lines of a file from a place to its beginning.
struct ReverseLines<'a> {
    file: &'a File,
    /// What is before it has not been read.
    at: u64,
    /// What has been read and not given out: a line's end, and whole lines before it.
    rest: Vec<u8>,
}

impl<'a> ReverseLines<'a> {
    fn new(file: &'a File, end: u64) -> Self {
        Self { file, at: end, rest: Vec::new() }
    }

    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(newline) = self.rest.iter().rposition(|byte| *byte == b'\n') {
                let line = self.rest.split_off(newline + 1);
                self.rest.truncate(newline);
                return Ok(Some(line));
            }
            if self.at == 0 {
                let first = std::mem::take(&mut self.rest);
                return Ok(Some(first).filter(|line| !line.is_empty()));
            }
            // What is so long is no line of ours.
            if self.rest.len() > LONGEST_LINE {
                self.rest.clear();
            }
            let size = (BLOCK as u64).min(self.at);
            let mut block = vec![0; usize::try_from(size).unwrap_or(BLOCK)];
            self.at -= size;
            let read = read_at(self.file, &mut block, self.at)?;
            block.truncate(read);
            block.append(&mut self.rest);
            self.rest = block;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::event::Source;
    use super::*;

    fn lines(numbers: impl Iterator<Item = u64>) -> File {
        let mut file = tempfile::tempfile().unwrap();
        for number in numbers {
            let event = AuditEvent { number, ..AuditEvent::now(Source::Grpc, &"x".repeat(number as usize % 200)) };
            writeln!(file, "{}", serde_json::to_string(&event).unwrap()).unwrap();
        }
        file
    }

    #[test]
    fn pages_join_without_gap_and_without_duplicate_whatever_the_budget() {
        let files = [lines(2001..=3000), lines(1..=2000)];
        for (limit, budget) in [(7, usize::MAX), (1000, 10_000), (1, 300)] {
            let (mut seen, mut before) = (Vec::new(), None);
            loop {
                let wanted = |event: &AuditEvent| event.number.is_multiple_of(2);
                let page = Search { before, not_before: None, limit, budget, wanted: &wanted };
                let found = search(&files, &page).unwrap();
                seen.extend(found.events.iter().map(|event| event.number));
                before = found.next;
                if before.is_none() {
                    break;
                }
            }
            let expected: Vec<u64> = (1..=3000).rev().filter(|number| number % 2 == 0).collect();
            assert_eq!(seen, expected, "{limit} {budget}");
        }
        assert_eq!(last_number(&files).unwrap(), 3000);
    }

    #[test]
    fn a_file_that_was_rotated_while_it_is_read_comes_once() {
        let files = [lines(1..=10), lines(1..=10)];
        let all = Search { before: None, not_before: None, limit: 100, budget: usize::MAX, wanted: &|_| true };
        assert_eq!(search(&files, &all).unwrap().events.len(), 10);
    }

    #[test]
    fn what_is_no_line_is_passed_over() {
        let mut file = lines(1..=3);
        writeln!(file, "{}", "garbage".repeat(50_000)).unwrap();
        file.write_all(b"\n{\"number\":").unwrap();
        assert_eq!(last_number(&[file]).unwrap(), 3);
    }
}
