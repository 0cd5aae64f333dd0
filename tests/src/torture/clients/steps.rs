//! One step of a watch, on whichever transport it came.

use std::time::Duration;

use super::super::fact::{Fact, WatchUpdate};
use super::super::record::{Closed, Scope, Via};
use super::grpc::{Grpc, reason};
use super::{User, World, browser, grpc, ws};

/// One step of a watch.
#[derive(Debug)]
pub enum Step {
    /// A job as it is.
    Snapshot(Fact),
    Update(WatchUpdate),
    /// A zone of a page that is about to come.
    Zone(String, i64),
    /// All that was missed has been told.
    Live,
    /// A sign of life.
    Bookmark,
    /// The watch cannot go on from its cursor.
    Gap(String),
    /// The bridge has lost its source.
    Stalled,
    Other,
}

/// A watch on any transport.
pub enum Watch {
    Grpc(Box<grpc::Watch>),
    Ws(Box<ws::Watch>),
    /// As an event stream.
    Sse(Box<browser::Events>),
    /// One poll.
    Poll(browser::Poll),
}

/// Silence after which a connection is given up: bookmarks come every second.
const SILENCE: Duration = Duration::from_secs(8);

impl Watch {
    pub async fn open(
        world: &World,
        user: &User,
        (scope, via): (&Scope, Via),
        cursor: &str,
        interval: Duration,
    ) -> Result<Self, Closed> {
        if via == Via::Grpc {
            let grpc = Grpc::new(&world.grpc, user).map_err(|_| Closed::Lost)?;
            let opened = grpc::Watch::open(&grpc, scope, cursor, interval).await;
            return opened.map(|watch| Self::Grpc(Box::new(watch))).map_err(|status| refused(reason(&status)));
        }
        let at = world.http.any();
        let opened = async {
            match via {
                Via::Sse => {
                    let opened = browser::Events::open(at, user, scope, cursor, interval).await;
                    opened.map(|events| Self::Sse(Box::new(events)))
                }
                Via::Poll => browser::Poll::open(at, user, scope, cursor, interval).await.map(Self::Poll),
                Via::Grpc | Via::Ws | Via::Http => {
                    let opened = ws::Watch::open(at, user, scope, cursor, interval).await;
                    opened.map(|watch| Self::Ws(Box::new(watch)))
                }
            }
        };
        match tokio::time::timeout(SILENCE, opened).await {
            Ok(opened) => opened.map_err(refused),
            Err(_) => Err(Closed::Lost),
        }
    }

    /// The next step with its cursor, if it has one.
    pub async fn next(&mut self) -> Result<(String, Step), Closed> {
        let next = async {
            match self {
                Self::Grpc(watch) => match watch.next().await {
                    Ok(Some(step)) => Ok(step),
                    Ok(None) => Err(Closed::Ended),
                    Err(status) => Err(refused(reason(&status))),
                },
                Self::Ws(watch) => watch.next().await.ok_or(Closed::Lost),
                Self::Sse(events) => events.next().await.ok_or(Closed::Lost),
                Self::Poll(poll) => poll.step().ok_or(Closed::Left),
            }
        };
        tokio::time::timeout(SILENCE, next).await.unwrap_or(Err(Closed::Lost))
    }
}

/// How a watch ended that was answered with a code.
pub fn refused(code: String) -> Closed {
    match super::outcome(&code) {
        super::Outcome::Refused(code) => Closed::Refused(code),
        super::Outcome::Done | super::Outcome::Unknown => Closed::Lost,
    }
}
