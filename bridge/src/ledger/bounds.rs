//! What is counted, how much of it there may be, and how more is refused.

use crate::api_error::ApiError;

/// The resources that are counted for each user and in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Streams from the server: a topic's watch, a replay, the notifications of one subscription.
    Streams,
    /// Uploads whose bytes are still arriving.
    Uploads,
    /// Downloads whose bytes are still being sent.
    Downloads,
    /// Calls to the server for HTTP requests under way.
    Requests,
}

pub(super) const RESOURCES: usize = 4;

/// A bound in all and one for each user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Of all users together.
    pub total: usize,
    /// What one user may hold.
    pub per_user: usize,
}

/// How much there may be of each resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Distinct topics one user follows, over all connections.
    pub topics_per_user: usize,
    /// Streams from the server.
    pub streams: Bound,
    /// Uploads whose bytes are still arriving.
    pub uploads: Bound,
    /// Downloads whose bytes are still being sent.
    pub downloads: Bound,
    /// HTTP requests that wait for the server.
    pub requests: Bound,
    /// Bytes that wait in outboxes.
    pub outboxes: Bound,
}

impl Default for Bounds {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Bounds {
    /// Of the flags as well.
    pub const DEFAULT: Self = Self {
        topics_per_user: 1_000,
        // A stream for each topic, and some for replays and notifications.
        streams: Bound { total: 8_192, per_user: 1_200 },
        uploads: Bound { total: 256, per_user: 32 },
        downloads: Bound { total: 1_024, per_user: 64 },
        requests: Bound { total: 2_048, per_user: 200 },
        outboxes: Bound { total: 1 << 30, per_user: 16 << 20 },
    };

    pub(super) fn of(&self, resource: Resource) -> Bound {
        match resource {
            Resource::Streams => self.streams,
            Resource::Uploads => self.uploads,
            Resource::Downloads => self.downloads,
            Resource::Requests => self.requests,
        }
    }
}

/// Why nothing more is given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The user holds as much as one user may.
    PerUser(usize),
    /// There is too little left for all, and the user holds much of it already.
    Scarce,
}

impl Refused {
    /// The error for the client. `what` is the plural of the resource, `remedy` what the user can do.
    pub fn api_error(self, what: &str, flag: &str, remedy: &str) -> ApiError {
        ApiError::too_many(match self {
            Self::PerUser(limit) => format!("your user may have {limit} {what} at once ({flag}); {remedy}"),
            Self::Scarce => {
                format!("the bridge has too few {what} left for more of yours; {remedy}, or try again later")
            }
        })
    }
}
