//! Prints the tables of `docs/scaling.md` that a model computes from what was measured.

use courant_tests::scaling;

fn main() {
    println!("{}\n{}\n{}", scaling::layouts(), scaling::claims(), scaling::losses());
}
