//! Makes sure there is a console to build in: a page that says how to build the real one, if nobody has.

use std::io::ErrorKind;
use std::path::PathBuf;

const PAGE: &str =
    "<!doctype html><meta charset=utf-8><title>Courant</title><p>The console was not built; run <code>make</code>.\n";

fn main() -> std::io::Result<()> {
    let root = std::env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| std::io::Error::from(ErrorKind::NotFound))?;
    let folder = PathBuf::from(root).join("../../bridge/web/dist");
    println!("cargo::rerun-if-changed={}", folder.display());
    std::fs::create_dir_all(&folder)?;
    let index = folder.join("index.html");
    if !index.exists() {
        std::fs::write(index, PAGE)?;
    }
    Ok(())
}
