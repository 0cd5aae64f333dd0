//! The files of a crate, by the module each of them is.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path as FilePath;

use crate::paths::{self, Found};
use crate::tokens::tokens;

/// The names from the crate's root to a module; none for the root.
pub(crate) type Module = Vec<String>;

#[derive(Debug)]
pub(crate) struct Sources(pub(crate) BTreeMap<Module, File>);

#[derive(Debug)]
pub(crate) struct File {
    /// Below the folder that was read, with `/`.
    pub(crate) name: String,
    pub(crate) found: Found,
}

impl Sources {
    /// Reads the root and, from file to file, all modules that are there for more than tests.
    pub(crate) fn read(src_dir: &FilePath) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        let mut waiting = vec![Module::new()];
        let mut seen = BTreeSet::new();
        while let Some(module) = waiting.pop() {
            if !seen.insert(module.clone()) {
                continue;
            }
            let (name, text) = text_of(src_dir, &module)?;
            let found = paths::find(&tokens(&text));
            waiting.extend(found.modules.iter().map(|child| child_of(&module, child)));
            files.insert(module, File { name, found });
        }
        Ok(Self(files))
    }
}

pub(crate) fn child_of(module: &[String], child: &str) -> Module {
    module.iter().cloned().chain([child.to_owned()]).collect()
}

fn text_of(src_dir: &FilePath, module: &[String]) -> io::Result<(String, String)> {
    if module.is_empty() {
        return Ok(("lib.rs".into(), std::fs::read_to_string(src_dir.join("lib.rs"))?));
    }
    let path = module.join("/");
    let (plain, folder) = (format!("{path}.rs"), format!("{path}/mod.rs"));
    match std::fs::read_to_string(src_dir.join(&plain)) {
        Ok(text) => Ok((plain, text)),
        Err(_) => {
            let text = std::fs::read_to_string(src_dir.join(&folder));
            text.map(|text| (folder, text)).map_err(|error| io::Error::new(error.kind(), format!("{plain}: {error}")))
        }
    }
}
