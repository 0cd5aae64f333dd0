//! Lanes as operators see them.

use courant_auth::Identity;
use courant_engine::view::Weights;
use courant_joblog::ids::Timestamp;
use courant_joblog::job::Lane;
use courant_proto::v1;

use crate::convert;
use crate::error::Error;
use crate::lanes::{LanePause, LaneSetting, LaneWeight, Lanes};
use crate::services::Services;

/// Letters of the reason that is kept.
const REASON_CHARS: usize = 256;

/// All lanes, first served first.
pub fn list(services: &Services, lanes: &Lanes) -> Vec<v1::LaneStatus> {
    let (paused, weighed) = (lanes.paused(), lanes.weighed());
    let status = |lane: &Lane| {
        let (pause, weight) = (paused[*lane as usize].as_ref(), weighed[*lane as usize].as_ref());
        status(services, *lane, pause, weight)
    };
    Lane::ALL.iter().map(status).collect()
}

fn status(services: &Services, lane: Lane, pause: Option<&LanePause>, set: Option<&LaneWeight>) -> v1::LaneStatus {
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
        weight_change: set
            .map(|set| v1::LaneWeightChange { by: set.by.clone(), time: Some(convert::time(Timestamp(set.at))) }),
    }
}

/// Pauses a lane, or resumes it.
pub async fn set_paused(
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
    let paused = pause.is_some();
    let after = set(services, lanes, lane, LaneSetting::Pause(pause)).await?;
    tracing::info!(lane = crate::lanes::name(lane), by = %identity.subject, paused, "lane changed by an operator");
    Ok(after)
}

/// The weight that is asked for; none for that of the flag.
pub fn weight_in(weight: i32) -> Result<Option<u32>, Error> {
    let most = Weights::MAX;
    let weight = u32::try_from(weight).ok().filter(|weight| *weight <= most);
    let weight =
        weight.ok_or_else(|| Error::field("weight", format!("must be 1 to {most}, or 0 for the server's flag")))?;
    Ok(Some(weight).filter(|weight| *weight > 0))
}

/// Serves a lane by another weight, or by that of the flag again.
pub async fn set_weight(
    services: &Services,
    lanes: &Lanes,
    identity: &Identity,
    lane: Lane,
    weight: Option<u32>,
) -> Result<v1::LaneStatus, Error> {
    let weight = weight.map(|weight| LaneWeight::now(&identity.subject, weight));
    let after = set(services, lanes, lane, LaneSetting::Weight(weight)).await?;
    let weight = after.weight;
    tracing::info!(lane = crate::lanes::name(lane), by = %identity.subject, weight, "lane weight changed by an operator");
    Ok(after)
}

async fn set(services: &Services, lanes: &Lanes, lane: Lane, setting: LaneSetting) -> Result<v1::LaneStatus, Error> {
    lanes.set(&services.engine, lane, setting).await.map_err(|error| Error::Lanes(Box::new(error)))?;
    let (paused, weighed) = (lanes.paused(), lanes.weighed());
    Ok(status(services, lane, paused[lane as usize].as_ref(), weighed[lane as usize].as_ref()))
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
