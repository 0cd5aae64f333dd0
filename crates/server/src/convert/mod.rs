//! Between the log's types and the wire's, by hand and exhaustively. No decisions are made here.

mod batch;
mod event;
mod incoming;
mod job;

pub use batch::batch;
pub use event::{watch_job, watch_jobs, watch_updates};
pub use incoming::{
    MAX_ID, MAX_INTERVAL, error_in, format_in, id_in, interval_in, interval_within, job_id, lane_in, page_in, stage_in,
    state_in, zone_in,
};
pub use job::{
    band, current_job, duration, error, export, format, job, lane, output, page, position, quota, snapshot, span,
    state, time, with_expire_time, zone,
};
