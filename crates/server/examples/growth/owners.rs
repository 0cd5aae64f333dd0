//! Owners: the same number of waiting jobs, of one owner or of many.

use std::path::Path;

use super::measure::{bytes_each, resident};
use super::report::Row;
use super::service::{each, open, owner, submit};
use super::waiting::operations;

/// Jobs that wait, if there are not more owners.
const JOBS: usize = 100_000;

pub async fn row(folder: &Path, size: usize, most: usize) -> anyhow::Result<Row> {
    let jobs = JOBS.min(most).max(size);
    let services = open(folder).await?;
    let empty = resident()?;
    let ids = each(0..jobs, |number| submit(&services, number, owner(number % size))).await?;
    let mut row = Row::default();
    row.add("bytes a job", bytes_each(empty, resident()?, jobs));
    operations(&mut row, &services, &ids, size).await?;
    Ok(row)
}
