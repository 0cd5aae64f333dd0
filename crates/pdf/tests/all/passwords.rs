//! Documents that need a password: missing and wrong are told apart, and the right one opens them.

// Helpers of tests count as code of their own to the lint.
use crate::support::{Bench, Finished, config, fixture};
use courant_pdf::{PdfConfig, SecretText};

const RC4: (&str, &str) = ("cc-by-sa-4.0/password-openpassword.pdf", "openpassword");
const AES_256: (&str, &str) = ("mit/password-usersecret-aes256.pdf", "usersecret");

async fn run(name: &str, password: Option<&str>) -> Finished {
    let mut bench = Bench::start(PdfConfig { password: password.map(SecretText::new), ..config() }).await;
    let job = bench.job(&fixture(name));
    bench.run(job).await
}

#[tokio::test]
async fn the_right_password_opens_the_document() {
    for (name, password) in [RC4, AES_256] {
        let finished = run(name, Some(password)).await;
        assert!(finished.warnings().is_empty(), "{name}");
        assert!(!finished.text("result.txt").trim().is_empty(), "{name}");
        assert!(!format!("{:?}", finished.said).contains(password), "no report holds the password");
    }
}

#[tokio::test]
async fn a_missing_and_a_wrong_password_are_told_apart() {
    for (name, _) in [RC4, AES_256] {
        for (password, code) in [(None, "PASSWORD_REQUIRED"), (Some("no idea"), "WRONG_PASSWORD")] {
            let finished = run(name, password).await;
            assert_eq!((finished.error().code.as_str(), finished.error().retryable), (code, false), "{name}");
            assert!(!finished.error().message.contains("no idea"));
        }
    }
}

#[tokio::test]
async fn a_password_that_is_not_needed_does_no_harm() {
    assert!(run("mit/japanese.pdf", Some("for nothing")).await.warnings().is_empty());
}
