//! What the fuzz targets check, without a fuzzer: on their corpora, on corpora damaged at random, and on noise.

// Helpers of tests count as code of their own to the lint.
use std::path::Path;

use courant_pdf::invariants::{ALL, Invariant};
use proptest::prelude::*;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| std::fs::read(file).unwrap()).collect()
}

#[test]
fn the_corpora_are_harmless_and_every_law_has_one() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    for (name, law) in ALL {
        let files = corpus(name);
        assert!(files.len() >= 3, "{name}");
        files.iter().for_each(|bytes| law(bytes));
        assert!(targets.join(name).with_extension("rs").is_file(), "{name} is a target");
    }
    assert_eq!(std::fs::read_dir(targets).unwrap().count(), ALL.len());
}

/// One of the corpora with bytes changed, left out, doubled, or noise.
fn damaged() -> impl Strategy<Value = (Invariant, Vec<u8>)> {
    let one = (0..ALL.len()).prop_flat_map(|at| {
        let (name, law) = ALL[at];
        let change = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..5, any::<u8>());
        (Just(law), prop::sample::select(corpus(name)), prop::collection::vec(change, 0..6))
    });
    let changed = one.prop_map(|(law, mut bytes, changes)| {
        for (from, to, what, byte) in changes {
            if bytes.is_empty() {
                break;
            }
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let range = from.min(to)..from.max(to);
            match what {
                0 => bytes[from] = byte,
                1 => drop(bytes.drain(range)),
                2 => bytes.splice(from..from, bytes[range].to_vec()).for_each(drop),
                3 => bytes.truncate(from),
                _ => bytes.insert(from, byte),
            }
        }
        (law, bytes)
    });
    let noise = (0..ALL.len(), prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(at, bytes)| (ALL[at].1, bytes));
    prop_oneof![4 => changed, 1 => noise]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damage_breaks_no_law((law, bytes) in damaged()) {
        law(&bytes);
    }

    #[test]
    fn text_breaks_no_law(text in "\\PC{0,60}", law in prop::sample::select(ALL.map(|(_, law)| law).to_vec())) {
        law(text.as_bytes());
    }
}
