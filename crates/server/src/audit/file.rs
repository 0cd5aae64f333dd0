//! The files of the audit log: one that is appended to, and older ones with numbers behind their name.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::search::last_number;

/// Why the audit log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("--audit-log: {path} cannot be opened: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("--audit-log: another process writes {0}; give each server a file of its own")]
    InUse(PathBuf),
}

/// Where the files are.
#[derive(Clone, Debug)]
pub struct AuditFiles {
    path: PathBuf,
    /// Bytes of a file before the next is begun.
    bytes: u64,
    /// How many there are at most.
    count: usize,
}

impl AuditFiles {
    pub fn new(path: PathBuf, bytes: u64, count: usize) -> Self {
        Self { path, bytes, count }
    }

    /// All of them, the newest first; those that are not there are left out.
    pub fn open_all(&self) -> io::Result<Vec<File>> {
        let mut files = Vec::new();
        for index in 0..self.count {
            match File::open(self.at(index)) {
                Ok(file) => files.push(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }

    /// The file that is written is 0, the one before it 1.
    fn at(&self, index: usize) -> PathBuf {
        if index == 0 {
            return self.path.clone();
        }
        let mut name = OsString::from(&self.path);
        name.push(format!(".{index}"));
        name.into()
    }
}

/// The file that is written, its alone.
#[derive(Debug)]
pub struct AuditWriter {
    files: AuditFiles,
    file: File,
    /// Bytes of whole lines in it.
    bytes: u64,
}

impl AuditWriter {
    /// Opens the file or makes it. Gives back the number of the newest line there is.
    pub fn open(files: AuditFiles) -> Result<(Self, u64), AuditError> {
        let io = |source| AuditError::Io { path: files.path.clone(), source };
        let mut file = open(&files.path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(AuditError::InUse(files.path)),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        end_last_line(&mut file).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        let newest = files.open_all().and_then(|all| last_number(&all)).map_err(io)?;
        Ok((Self { files, file, bytes }, newest))
    }

    /// Appends whole lines, all of them or none.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.bytes > 0 && self.bytes + lines.len() as u64 > self.files.bytes {
            self.rotate()?;
        }
        if let Err(error) = self.file.write_all(lines) {
            // Half a line would spoil the next one.
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += lines.len() as u64;
        Ok(())
    }

    /// Waits until the disk has it.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        for index in (0..self.files.count - 1).rev() {
            match fs::rename(self.files.at(index), self.files.at(index + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file = open(&self.files.path)?;
        // Nobody else has it: the one before was locked.
        let _ = self.file.try_lock();
        self.bytes = self.file.metadata()?.len();
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

/// A line that a crash has cut stays, and the next begins on its own.
fn end_last_line(file: &mut File) -> io::Result<()> {
    if file.metadata()?.len() == 0 {
        return Ok(());
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_rotated_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let files = AuditFiles::new(folder.path().join("a.jsonl"), 10, 3);
        let (mut writer, newest) = AuditWriter::open(files.clone()).unwrap();
        assert_eq!(newest, 0);
        assert!(matches!(AuditWriter::open(files.clone()), Err(AuditError::InUse(_))));
        for number in 0..5 {
            writer.append(format!("line {number}\n").as_bytes()).unwrap();
        }
        let read = |index| fs::read_to_string(files.at(index)).unwrap();
        assert_eq!([read(0), read(1), read(2)], ["line 4\n", "line 3\n", "line 2\n"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_line_that_was_cut_does_not_spoil_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        fs::write(&path, "{\"number\":3,\"time\":\"2026-01-01T00:00:00Z\",\"source\":\"grpc\",\"action\":\"x\",\"code\":\"OK\"}\n{\"num").unwrap();
        let (mut writer, newest) = AuditWriter::open(AuditFiles::new(path.clone(), 1000, 3)).unwrap();
        assert_eq!(newest, 3);
        writer.append(b"{}\n").unwrap();
        assert!(fs::read_to_string(path).unwrap().ends_with("{\"num\n{}\n"));
    }
}
