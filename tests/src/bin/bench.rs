//! Figures of the whole system; see [`courant_tests::bench`].

use clap::Parser as _;
use courant_tests::bench::{Options, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    run(Options::parse()).await
}
