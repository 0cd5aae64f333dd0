//! Which file depends on which, and what must not be so.

use std::collections::{BTreeMap, BTreeSet};

use crate::paths::Path;
use crate::sources::{File, Module, Sources, child_of};

/// Re-exports that are followed one after another.
const MOST_REEXPORTS: usize = 16;

/// One dependency: the line of the first file that has it.
#[derive(Debug)]
struct Arrow<'a> {
    from: &'a Module,
    to: &'a Module,
    line: usize,
}

#[derive(Debug)]
pub(crate) struct Graph<'a> {
    sources: &'a Sources,
    arrows: Vec<Arrow<'a>>,
}

impl<'a> Graph<'a> {
    pub(crate) fn of(sources: &'a Sources) -> Self {
        let mut arrows: BTreeMap<(&Module, &Module), usize> = BTreeMap::new();
        for (from, file) in &sources.0 {
            let imported = file.found.imports.iter().map(|import| &import.path);
            for path in imported.chain(&file.found.used) {
                if let Some(to) = target(sources, from, path)
                    && to != from
                {
                    arrows.entry((from, to)).or_insert(path.line);
                }
            }
        }
        let arrows = arrows.into_iter().map(|((from, to), line)| Arrow { from, to, line }).collect();
        Self { sources, arrows }
    }

    fn file(&self, module: &Module) -> &str {
        self.sources.0.get(module).map_or("?", |file| &file.name)
    }

    pub(crate) fn file_cycles(&self) -> Vec<String> {
        let arrows: Vec<_> = self.arrows.iter().map(|arrow| (self.file(arrow.from), self.file(arrow.to))).collect();
        cycles(&arrows).map(|names| format!("files in a cycle: {}", names.join(", "))).collect()
    }

    /// Inside of each module that has children: the children with all that is in them, and the module's own file.
    pub(crate) fn module_cycles(&self) -> Vec<String> {
        let parents: BTreeSet<&[String]> =
            self.sources.0.keys().filter_map(|module| Some(module.split_last()?.1)).collect();
        let mut lines = Vec::new();
        for parent in parents {
            let inside =
                self.arrows.iter().filter(|arrow| arrow.from.starts_with(parent) && arrow.to.starts_with(parent));
            let arrows: Vec<_> = inside.map(|arrow| (within(parent, arrow.from), within(parent, arrow.to))).collect();
            let arrows: Vec<_> = arrows.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
            lines.extend(cycles(&arrows).map(|names| format!("modules in a cycle: {}", names.join(", "))));
        }
        lines
    }

    pub(crate) fn wrong_arrows(&self, layers: &[&str]) -> Vec<String> {
        let listed = layers
            .iter()
            .enumerate()
            .flat_map(|(layer, names)| names.split_whitespace().map(move |name| (name, layer)));
        let layer_of: BTreeMap<&str, usize> = listed.collect();
        let known: BTreeSet<&str> = self.sources.0.keys().map(|module| top(module)).collect();
        let missing = known.iter().filter(|name| !layer_of.contains_key(*name));
        let mut lines: Vec<_> = missing.map(|name| format!("the list of layers has no module {name}")).collect();
        let odd = layer_of.keys().filter(|name| !known.contains(*name));
        lines.extend(odd.map(|name| format!("{name} is in the list of layers and no module")));
        for Arrow { from, to, line } in &self.arrows {
            let (below, above) = (top(to), top(from));
            if let (true, Some(lower), Some(upper)) = (below != above, layer_of.get(below), layer_of.get(above))
                && lower >= upper
            {
                lines.push(format!("{}:{line} imports {below}, which is not below {above}", self.file(from)));
            }
        }
        lines
    }
}

fn top(module: &[String]) -> &str {
    module.first().map_or("lib", String::as_str)
}

/// The child of `parent` that a module is in, or the parent itself.
fn within(parent: &[String], module: &[String]) -> String {
    match module.get(parent.len()) {
        Some(child) => child_of(parent, child).join("::"),
        None if parent.is_empty() => "lib".to_owned(),
        None => format!("{} (itself)", parent.join("::")),
    }
}

/// The module with the file in which the last known name of the path is defined. None outside of the crate.
fn target<'a>(sources: &'a Sources, from: &'a Module, path: &Path) -> Option<&'a Module> {
    let mut words = absolute(sources, from, &path.words)?;
    for _ in 0..MOST_REEXPORTS {
        let (module, file, rest) = longest(sources, &words)?;
        let Some((name, more)) = rest.split_first() else { return Some(module) };
        let Some(import) = file.found.imports.iter().find(|import| import.name == *name) else { return Some(module) };
        let Some(next) = absolute(sources, module, &import.path.words) else { return Some(module) };
        words = next.into_iter().chain(more.iter().cloned()).collect();
    }
    None
}

/// A path as written in a module, from the crate's root.
fn absolute(sources: &Sources, from: &Module, words: &[String]) -> Option<Vec<String>> {
    let mut base = from.clone();
    let mut rest = words;
    match words.first()?.as_str() {
        "crate" => {
            base.clear();
            rest = &words[1..];
        }
        "self" => rest = &words[1..],
        "super" => {
            while let Some((first, more)) = rest.split_first()
                && first == "super"
            {
                base.pop();
                rest = more;
            }
        }
        // A child is known by its name alone; everything else is another crate, or was imported by a line of its own.
        child if sources.0.contains_key(&child_of(from, child)) => {}
        _ => return None,
    }
    Some(base.into_iter().chain(rest.iter().cloned()).collect())
}

/// The deepest module on a path, and what is left of the path.
fn longest<'a, 'w>(sources: &'a Sources, words: &'w [String]) -> Option<(&'a Module, &'a File, &'w [String])> {
    (0..=words.len()).rev().find_map(|length| {
        let (module, file) = sources.0.get_key_value(&words[..length])?;
        Some((module, file, &words[length..]))
    })
}

/// Groups of names that reach each other, each sorted.
fn cycles<'n>(arrows: &[(&'n str, &'n str)]) -> impl Iterator<Item = Vec<&'n str>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in arrows.iter().filter(|(from, to)| from != to) {
        next.entry(from).or_default().insert(to);
    }
    let reach: BTreeMap<&str, BTreeSet<&str>> = next.keys().map(|name| (*name, reachable(&next, name))).collect();
    let groups: BTreeSet<Vec<&str>> = reach
        .iter()
        .filter(|(name, all)| all.contains(**name))
        .map(|(name, all)| {
            all.iter().filter(|other| reach.get(*other).is_some_and(|back| back.contains(name))).copied().collect()
        })
        .collect();
    groups.into_iter()
}

fn reachable<'n>(next: &BTreeMap<&'n str, BTreeSet<&'n str>>, from: &str) -> BTreeSet<&'n str> {
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<&str> = next.get(from).into_iter().flatten().copied().collect();
    while let Some(name) = waiting.pop() {
        if seen.insert(name) {
            waiting.extend(next.get(name).into_iter().flatten());
        }
    }
    seen
}
