//! Every PDF of the repository through the worker and its child: each must end as it should, with the text it has.

mod support;

use courant_pdf::artifact::{Kind, Status};
use support::{run, Bench, config};

/// The texts occur, in this order.
fn in_order(text: &str, wanted: &[&str]) {
    let mut from = 0;
    for part in wanted {
        match text[from..].find(part) {
            Some(at) => from += at + part.len(),
            None => panic!("{part:?} is missing or out of order in:\n{text}"),
        }
    }
}

#[tokio::test]
async fn two_columns_are_read_one_after_the_other() {
    let finished = run("cc-by-sa-4.0/two-columns.pdf").await;
    println!("{}", finished.text("result.md"));
    assert!(finished.warnings().is_empty());
}

#[tokio::test]
async fn others() {
    for name in ["cc-by-sa-4.0/arabic.pdf","cc-by-sa-4.0/forms.pdf","cc-by-sa-4.0/invalid.pdf","cc-by-sa-4.0/pages-120.pdf","cc-by-sa-4.0/password-openpassword.pdf","cc-by-sa-4.0/pixel-bomb.pdf","cc-by-sa-4.0/text-and-image.pdf","gfdl-or-cc-by-sa-3.0/scan.pdf","gfdl-or-cc-by-sa-3.0/scan-rotated-skewed.pdf","mit/corrupted-recoverable.pdf","mit/japanese.pdf","mit/password-usersecret-aes256.pdf","mit/recursive-xobjects.pdf","mit/wide-table.pdf"] {
        let start = std::time::Instant::now();
        let finished = run(name).await;
        println!("== {name} {:?} {:?}", start.elapsed(), finished.said.last());
    }
}
