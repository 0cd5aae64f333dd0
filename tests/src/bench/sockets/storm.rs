//! What many do at once: losing the bridge, leaving, and not reading.

mod leave;
mod lost;
mod stuck;

use crate::bench::{Options, Row};

pub async fn measure(options: &Options) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for own in [false, true] {
        rows.push(lost::measure(options, own).await?);
    }
    for own in [false, true] {
        rows.push(leave::measure(options, own).await?);
    }
    rows.push(stuck::measure(options).await?);
    Ok(rows)
}
