//! Documents to submit: the fixtures, Debian's manual, and made ones.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

/// A file under `tests/fixtures/pdf`.
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/pdf").join(name)
}

/// The bytes of a file under `tests/fixtures/pdf`.
pub fn fixture_bytes(name: &str) -> anyhow::Result<Vec<u8>> {
    std::fs::read(fixture(name)).with_context(|| format!("the fixture {name}"))
}

/// The 311-page gnuplot manual of Debian; none when the test was left out on purpose.
pub fn manual() -> anyhow::Result<Option<Vec<u8>>> {
    if std::env::var_os("COURANT_SKIP_MANUAL").is_some() {
        return Ok(None);
    }
    let path =
        std::env::var_os("COURANT_MANUAL").map_or_else(|| "/usr/share/doc/gnuplot/gnuplot.pdf".into(), PathBuf::from);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => bail!(
            "{} cannot be read ({error}); run: sudo apt-get install gnuplot-doc; or, to leave this test out: COURANT_SKIP_MANUAL=1",
            path.display()
        ),
    }
}

/// A PDF with this many pages; page 7 says "This is page 7."
pub fn pages(count: usize) -> Vec<u8> {
    let kids: Vec<String> = (0..count).map(|page| format!("{} 0 R", 4 + 2 * page)).collect();
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!("<< /Type /Pages /Count {count} /Kids [{}] >>", kids.join(" ")),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    for page in 0..count {
        let text = format!("BT /F1 24 Tf 72 420 Td (This is page {}.) Tj ET", page + 1);
        objects.push(format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {} 0 R /Resources << /Font << /F1 3 0 R >> >> >>",
            5 + 2 * page
        ));
        objects.push(format!("<< /Length {} >>\nstream\n{text}\nendstream", text.len()));
    }
    let mut file = "%PDF-1.4\n".to_owned();
    let mut offsets = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        offsets.push(file.len());
        file.push_str(&format!("{} 0 obj\n{object}\nendobj\n", index + 1));
    }
    let (start, size) = (file.len(), objects.len() + 1);
    file.push_str(&format!("xref\n0 {size}\n0000000000 65535 f \n"));
    for offset in offsets {
        file.push_str(&format!("{offset:010} 00000 n \n"));
    }
    file.push_str(&format!("trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"));
    file.into_bytes()
}
