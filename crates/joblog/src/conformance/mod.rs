//! The invariants of the log as tests: one suite that every engine must pass.
//!
//! An engine's test module says
//! ```ignore
//! courant_joblog::conformance!(fresh().await, with_history(4).await);
//! ```
//! with two expressions that each make a log of its own with nothing in it, as a pair of `Arc<dyn Log>` and whatever must
//! outlive it (a temporary folder). The first must keep all history, the second may keep only about four entries per job.

#![allow(clippy::unwrap_used, reason = "tests, even where they are compiled as a library")]

pub mod blobs;
pub mod compare;
pub mod many;
pub mod notes;
pub mod order;
pub mod reading;
pub mod removal;

use std::sync::Arc;

use crate::ids::{JobId, Revision};
use crate::log::{Append, Entry, Filter, Log, Record};
use crate::samples;

/// The log under test.
pub type Subject = Arc<dyn Log>;

/// One test for each law and engine.
#[macro_export]
macro_rules! conformance {
    ($fresh:expr, $short:expr) => {
        $crate::conformance!(@each $fresh,
            order::revisions_only_grow,
            order::revisions_of_concurrent_appends_are_unique,
            order::an_acknowledged_append_is_visible,
            order::a_follower_sees_everything_once_and_in_order,
            order::the_head_wakes_who_waits,
            order::positions_of_this_opening_are_covered,
            compare::an_append_needs_the_right_expectation,
            compare::a_race_has_one_winner,
            compare::a_race_to_create_has_one_winner,
            compare::concurrent_counters_lose_nothing,
            compare::a_conflict_names_what_can_be_read,
            compare::a_dropped_append_happened_or_did_not,
            compare::too_large_did_not_happen,
            reading::an_empty_log_is_empty,
            reading::what_was_appended_is_read,
            reading::filters_select,
            reading::limits_cut_and_pages_join,
            reading::latest_has_the_newest_of_each_key,
            reading::latest_and_then_reading_on_misses_nothing,
            reading::latest_is_of_one_moment_however_long_it_is_read,
            reading::a_latest_that_is_dropped_holds_nothing,
            removal::forget_removes_and_reports,
            removal::a_forgotten_key_begins_anew,
            removal::forget_needs_the_right_expectation,
            removal::forget_leaves_others_alone,
            removal::forgetting_many_at_once,
            blobs::entries_of_one_append_are_all_there,
            blobs::a_refused_append_leaves_nothing,
            blobs::entries_of_one_append_stay_together,
            blobs::a_stored_blob_is_found,
            blobs::blobs_go_with_their_job,
            blobs::a_blob_that_is_too_large_did_not_happen,
            many::many_at_once_are_in_order_and_visible,
            many::a_refusal_among_many_is_its_own,
            many::many_calls_of_many_at_once_race_as_single_ones,
            many::many_that_were_dropped_happened_each_or_did_not,
            many::many_at_once_come_to_what_they_come_to_one_by_one,
        );
        $crate::conformance!(@each $short,
            removal::a_short_history_says_what_it_lost,
            removal::a_slow_follower_learns_of_its_loss,
        );
    };
    (@each $make:expr, $($module:ident::$test:ident,)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let (log, _keep) = $make;
            $crate::conformance::$module::$test(log).await;
        }
    )+};
}

/// One test for each invariant of notes and engine that has them.
#[macro_export]
macro_rules! conformance_of_notes {
    ($fresh:expr) => {
        $crate::conformance!(@each $fresh,
            notes::notes_and_entries_are_in_one_order,
            notes::a_note_takes_the_place_of_the_one_with_its_key,
            notes::a_note_that_must_be_the_first_is_put_once,
            notes::notes_are_read_in_pages_up_to_a_revision,
            notes::removed_notes_are_gone_and_others_are_not,
            notes::a_note_that_is_too_large_is_refused,
        );
    };
}

/// Appends a first entry of a job.
async fn create(log: &Subject, id: &str, owner: &str) -> (Append, Revision) {
    let append = samples::create(id, owner);
    let revision = log.append(append.clone()).await.expect("nobody else made this job");
    (append, revision)
}

/// Appends some entries of one job. Their revisions.
async fn write(log: &Subject, id: &str, owner: &str, entries: u32) -> Vec<Revision> {
    let (first, mut revision) = create(log, id, owner).await;
    let mut revisions = vec![revision];
    for number in 1..entries {
        revision = log
            .append(samples::update(samples::job_of(&first), revision, number))
            .await
            .expect("nobody else writes here");
        revisions.push(revision);
    }
    revisions
}

/// Everything there is, read in small pages.
async fn read_all(log: &Subject, filter: &Filter) -> Vec<Arc<Entry>> {
    read_on(log, filter, Revision::ZERO, 7).await
}

async fn read_on(log: &Subject, filter: &Filter, mut after: Revision, limit: usize) -> Vec<Arc<Entry>> {
    let mut all = Vec::new();
    loop {
        let page = log.read(after, filter, limit).await.expect("the log can be read");
        let Some(last) = page.last() else { return all };
        after = last.revision;
        all.extend(page);
    }
}

/// The newest entry of each key.
async fn latest(log: &Subject) -> Vec<Arc<Entry>> {
    log.latest().await.expect("the log can be read").all().await.expect("to its end")
}

fn revisions(entries: &[Arc<Entry>]) -> Vec<Revision> {
    entries.iter().map(|entry| entry.revision).collect()
}

fn of_job(id: &str) -> Filter {
    Filter::Job(JobId::new(id))
}

/// The number that [`samples::update`] put into an entry.
fn number(entry: &Entry) -> Option<u32> {
    match &entry.record {
        Record::Changed { job, .. } => Some(job.attempt),
        Record::Forgotten => None,
    }
}
