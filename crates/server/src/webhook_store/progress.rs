//! How far an endpoint was sent to.

use std::collections::VecDeque;

use courant_joblog::ids::{JobId, Revision};
use serde::{Deserialize, Serialize};

use super::endpoint::Position;

/// Jobs of one endpoint that wait to be sent again. With so many it is sent nothing new.
pub const MAX_WAITING: usize = 400;
/// Attempts that are remembered of an endpoint.
pub const KEPT_ATTEMPTS: usize = 50;
/// The longest text of an error that is kept, in bytes.
const ERROR_BYTES: usize = 120;

/// How far an endpoint was sent to. Written by the server that sends; true whenever it is read, as what was sent stays sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub id: String,
    /// The generation of the endpoint that this is of.
    pub generation: u64,
    /// Everything up to here was sent or given up, but of jobs in `waiting`.
    pub position: Position,
    pub waiting: Vec<WaitingJob>,
    /// Since when nothing has succeeded, in milliseconds since 1970.
    pub failing_since: Option<i64>,
    pub switched_off: Option<SwitchedOff>,
    pub delivered: u64,
    pub given_up: u64,
    /// The newest last.
    pub attempts: VecDeque<Attempt>,
}

/// A job of which something must be sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingJob {
    pub job: JobId,
    /// Everything of it up to here was sent or given up.
    pub after: Revision,
    /// When the next of its events was tried first, in milliseconds since 1970; none: not yet.
    pub tried_since: Option<i64>,
    pub failures: u32,
    /// When it is tried again, in milliseconds since 1970.
    pub due: i64,
}

/// Why an endpoint is not sent to any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchedOff {
    /// In milliseconds since 1970.
    pub at: i64,
    pub why: String,
}

/// One attempt to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub message: String,
    pub event: String,
    pub job: String,
    /// In milliseconds since 1970.
    pub at: i64,
    pub took_ms: u64,
    /// 0 when there was no answer.
    pub status: u16,
    /// Empty when it was received.
    pub error: String,
    pub number: u32,
    pub given_up: bool,
}

impl Progress {
    pub fn starting_at(id: String, generation: u64, position: Position) -> Self {
        Self {
            id,
            generation,
            position,
            waiting: Vec::new(),
            failing_since: None,
            switched_off: None,
            delivered: 0,
            given_up: 0,
            attempts: VecDeque::new(),
        }
    }

    pub fn note(&mut self, mut attempt: Attempt) {
        attempt.error.truncate(attempt.error.floor_char_boundary(ERROR_BYTES));
        if self.attempts.len() >= KEPT_ATTEMPTS {
            self.attempts.pop_front();
        }
        self.attempts.push_back(attempt);
    }
}
