//! For tests of other crates: dependencies between modules and files run one way, and as a written list of layers says.
//!
//! Reads the sources as text. What counts as a dependency: a `use`, or a path in code, that leads into another file of the
//! crate; a re-export leads on to where the name is defined. A `mod` line alone is none, and code under `#[cfg(test)]` is
//! left out: tests may look at everything. Paths that macros put together are not seen.

mod graph;
mod paths;
mod sources;
mod tokens;

use std::fmt;
use std::path::Path;

use graph::Graph;
use sources::Sources;

/// What is wrong with the dependencies of a crate: one line for each cycle, arrow or name.
#[derive(Debug, PartialEq, Eq)]
pub struct Violations(Vec<String>);

impl Violations {
    /// The lines, sorted; never empty.
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Violations {}

/// Checks the crate whose `lib.rs` lies in `src_dir`.
///
/// `layers` has the modules of the crate's root, lowest layer first. A layer is one module or several with spaces between;
/// a module may import from layers below its own, and not from its own layer. `lib` stands for `lib.rs` itself. Every module
/// must be in the list, and every name in the list must be a module. Programs (`main.rs`, `bin/`) are not looked at: they see
/// the crate from outside.
///
/// Independent of the list, no cycle may exist between files, nor between the modules inside of any one module.
pub fn check(src_dir: &Path, layers: &[&str]) -> Result<(), Violations> {
    let sources = match Sources::read(src_dir) {
        Ok(sources) => sources,
        Err(error) => return Err(Violations(vec![format!("{} cannot be read: {error}", src_dir.display())])),
    };
    let graph = Graph::of(&sources);
    let mut lines = graph.file_cycles();
    lines.extend(graph.module_cycles());
    lines.extend(graph.wrong_arrows(layers));
    lines.sort();
    lines.dedup();
    if lines.is_empty() { Ok(()) } else { Err(Violations(lines)) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Writes a crate of these files and checks it.
    fn lines(files: &[(&str, &str)], layers: &[&str]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        check(dir.path(), layers).err().map(|violations| violations.0).unwrap_or_default()
    }

    #[test]
    fn one_way_is_fine() {
        let files = [
            ("lib.rs", "pub mod a;\npub mod b;\npub use b::run;"),
            ("a.rs", "pub struct A;"),
            ("b/mod.rs", "mod inner; mod other; pub use inner::Inner;\nuse crate::a::A; pub fn run() { other::go(A) }"),
            ("b/inner.rs", "pub struct Inner;"),
            // Through the re-export of its parent to its sibling, and not to its parent.
            ("b/other.rs", "use super::Inner; use crate::a; pub fn go(_: a::A) {}"),
        ];
        assert_eq!(lines(&files, &["a", "b", "lib"]), [""; 0]);
    }

    #[test]
    fn a_cycle_between_modules_is_found_however_it_is_written() {
        for back in [
            "use crate::b::B;",
            "use crate::{b::{B, self}, c};",
            "use super::b;",
            "fn f() -> crate::b::B { todo!() }",
            "fn f() { let _ = 'x'; let _ = \"\\\"//\"; super::b::g() }",
            "mod d { /* mod */ } use crate::b as other;",
        ] {
            let files = [
                ("lib.rs", "pub mod a; pub mod b; pub mod c;"),
                ("a.rs", back),
                ("b.rs", "use crate::a; pub struct B; pub fn g() {}"),
                ("c.rs", ""),
            ];
            let found = lines(&files, &["c", "a", "b", "lib"]);
            assert!(found.contains(&"files in a cycle: a.rs, b.rs".to_owned()), "{back}: {found:?}");
            assert!(found.contains(&"modules in a cycle: a, b".to_owned()), "{back}: {found:?}");
            assert!(found.iter().any(|line| line.starts_with("a.rs:1 imports b")), "{back}: {found:?}");
        }
    }

    #[test]
    fn modules_can_be_in_a_cycle_though_their_files_are_not() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a/mod.rs", "pub mod one; pub mod two;"),
            ("a/one.rs", "use crate::b::one;"),
            ("a/two.rs", ""),
            ("b/mod.rs", "pub mod one; pub mod two;"),
            ("b/one.rs", ""),
            ("b/two.rs", "use crate::a::two;"),
        ];
        let found = lines(&files, &["a", "b", "lib"]);
        assert_eq!(found, ["a/one.rs:1 imports b, which is not below a", "modules in a cycle: a, b"]);
    }

    #[test]
    fn cycles_inside_of_a_module_are_found() {
        let files = [
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "pub mod x; pub mod y; pub struct Base;"),
            ("a/x.rs", "use super::y::Y; pub struct X;"),
            ("a/y.rs", "use super::x::X; pub struct Y;"),
        ];
        assert_eq!(
            lines(&files, &["a", "lib"]),
            ["files in a cycle: a/x.rs, a/y.rs", "modules in a cycle: a::x, a::y"]
        );
        let files = [
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod x; use x::X; pub struct Base(X);"),
            ("a/x.rs", "use super::Base; pub struct X;"),
        ];
        assert_eq!(
            lines(&files, &["a", "lib"]),
            ["files in a cycle: a/mod.rs, a/x.rs", "modules in a cycle: a (itself), a::x"]
        );
    }

    #[test]
    fn the_list_names_every_module_and_says_who_may_import_whom() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", ""),
            ("b.rs", "\n\nuse crate::c::C;"),
            ("c.rs", "pub struct C;"),
        ];
        assert_eq!(lines(&files, &["a", "c", "b", "lib"]), [""; 0]);
        assert_eq!(lines(&files, &["a", "b c", "lib"]), ["b.rs:3 imports c, which is not below b"]);
        assert_eq!(
            lines(&files, &["a x", "c", "lib"]),
            ["the list of layers has no module b", "x is in the list of layers and no module"]
        );
    }

    #[test]
    fn tests_and_words_in_texts_are_no_dependencies() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            (
                "a.rs",
                "//! [`crate::b`]\n/// crate::b\n#[cfg(test)]\nuse crate::b;\n#[cfg(test)]\nmod proofs;\n\
                 const T: &str = r#\"crate::b\"#;\n#[cfg(test)]\nmod tests { fn f() { crate::b::g() } }",
            ),
            ("a/proofs.rs", "use crate::b::g;"),
            ("b.rs", "use crate::a; pub fn g() {}"),
        ];
        assert_eq!(lines(&files, &["a", "b", "lib"]), [""; 0]);
    }
}
