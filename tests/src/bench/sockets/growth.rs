//! How cost grows with connections, topics, jobs and bytes. Each size is a row.

mod browsers;
mod bytes;
mod churn;
mod jobs;

use crate::bench::{Options, Row};

pub async fn measure(options: &Options) -> anyhow::Result<Vec<Row>> {
    let mut rows = browsers::measure(options, false).await?;
    rows.extend(browsers::measure(options, true).await?);
    rows.extend(jobs::measure(options).await?);
    rows.extend(bytes::measure(options).await?);
    rows.push(churn::measure(options).await?);
    Ok(rows)
}

/// 10, 100, … and the most itself.
fn sizes(first: usize, most: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(first), |size| size.checked_mul(10)).take_while(|size| *size < most);
    powers.chain([most]).collect()
}

#[cfg(test)]
mod tests {
    use super::sizes;

    #[test]
    fn sizes_grow_tenfold_up_to_the_most() {
        assert_eq!(sizes(10, 18_000), [10, 100, 1_000, 10_000, 18_000]);
        assert_eq!(sizes(1, 10), [1, 10]);
        assert_eq!(sizes(10, 5), [5]);
    }
}
