//! Lanes as operators see them.

use courant_auth::Identity;
use courant_joblog::ids::Timestamp;
use courant_joblog::job::Lane;
use courant_proto::v1;

use crate::convert;
use crate::error::Error;
use crate::lanes::{LanePause, Lanes};
use crate::services::Services;

/// Letters of the reason that is kept.
const REASON_CHARS: usize = 256;

/// All lanes, first served first.
pub fn list(services: &Services, lanes: &Lanes) -> Vec<v1::LaneStatus> {
    let paused = lanes.paused();
    Lane::ALL.iter().map(|lane| status(services, *lane, paused[*lane as usize].as_ref())).collect()
}

fn status(services: &Services, lane: Lane, pause: Option<&LanePause>) -> v1::LaneStatus {
    let (weight, waiting, delayed, running) = services.engine.read(|view| {
        let of_lane = view.queues().filter(|queue| queue.lane == lane);
        let (waiting, delayed, running) = of_lane.fold((0, 0, 0), |(waiting, delayed, running), queue| {
            (waiting + queue.waiting.jobs, delayed + u64::from(queue.delayed), running + u64::from(queue.held))
        });
        (view.weights().of(lane), waiting, delayed, running)
    });
    v1::LaneStatus {
        lane: convert::lane(lane).into(),
        weight: weight as i32,
        waiting: waiting as i64,
        delayed: delayed as i64,
        running: running as i64,
        pause: pause.map(|pause| v1::LanePause {
            by: pause.by.clone(),
            time: Some(convert::time(Timestamp(pause.at))),
            reason: pause.reason.clone(),
        }),
    }
}

/// Pauses a lane, or resumes it.
pub async fn set(
    services: &Services,
    lanes: &Lanes,
    identity: &Identity,
    lane: Lane,
    reason: Option<&str>,
) -> Result<v1::LaneStatus, Error> {
    if reason.is_some_and(|reason| reason.chars().count() > REASON_CHARS) {
        return Err(Error::field("reason", format!("must have at most {REASON_CHARS} characters")));
    }
    let pause = reason.map(|reason| LanePause::now(&identity.subject, reason));
    lanes.set(&services.engine, lane, pause.clone()).await.map_err(|error| Error::Lanes(Box::new(error)))?;
    let (lane_name, by, paused) = (crate::lanes::name(lane), &identity.subject, pause.is_some());
    tracing::info!(lane = lane_name, %by, paused, "lane changed by an operator");
    Ok(status(services, lane, pause.as_ref()))
}

/// The lane that is named.
pub fn lane_in(lane: i32) -> Result<Lane, Error> {
    let named = v1::Lane::try_from(lane).ok();
    match named {
        Some(v1::Lane::Premium) => Ok(Lane::Premium),
        Some(v1::Lane::Normal) => Ok(Lane::Normal),
        Some(v1::Lane::Large) => Ok(Lane::Large),
        Some(v1::Lane::Unspecified) | None => Err(Error::field("lane", "must be PREMIUM, NORMAL or LARGE")),
    }
}
