//! `courant admin lanes`, `pause-lane`, `resume-lane` and `set-lane-weight`.

use std::process::ExitCode;
use std::time::SystemTime;

use courant_bridge::wire::names;
use courant_proto::v1::{
    Lane, LaneStatus, ListLanesRequest, PauseLaneRequest, ResumeLaneRequest, SetLaneWeightRequest,
};
use serde_json::json;

use crate::args::{LaneName, OperatorFlags, PauseLane, ResumeLane, SetLaneWeight};
use crate::connect::connect_admin;
use crate::failure::Failure;
use crate::out;

/// Lists the lanes.
pub async fn list(args: OperatorFlags) -> Result<ExitCode, Failure> {
    let mut admin = connect_admin(&args.connection).await?;
    let lanes = admin.list_lanes(ListLanesRequest {}).await?.into_inner().lanes;
    print(&lanes, args.json)
}

/// Pauses a lane.
pub async fn pause(args: PauseLane) -> Result<ExitCode, Failure> {
    let mut admin = connect_admin(&args.operator.connection).await?;
    let request = PauseLaneRequest { lane: lane(args.lane).into(), reason: args.reason.unwrap_or_default() };
    let lane = admin.pause_lane(request).await?.into_inner().lane;
    print(&[lane.ok_or(Failure::Incomplete("the lane"))?], args.operator.json)
}

/// Resumes a lane.
pub async fn resume(args: ResumeLane) -> Result<ExitCode, Failure> {
    let mut admin = connect_admin(&args.operator.connection).await?;
    let request = ResumeLaneRequest { lane: lane(args.lane).into() };
    let lane = admin.resume_lane(request).await?.into_inner().lane;
    print(&[lane.ok_or(Failure::Incomplete("the lane"))?], args.operator.json)
}

/// Sets the weight of a lane.
pub async fn set_weight(args: SetLaneWeight) -> Result<ExitCode, Failure> {
    let mut admin = connect_admin(&args.operator.connection).await?;
    let request = SetLaneWeightRequest { lane: lane(args.lane).into(), weight: args.weight };
    let lane = admin.set_lane_weight(request).await?.into_inner().lane;
    print(&[lane.ok_or(Failure::Incomplete("the lane"))?], args.operator.json)
}

fn lane(name: LaneName) -> Lane {
    match name {
        LaneName::Premium => Lane::Premium,
        LaneName::Normal => Lane::Normal,
        LaneName::Large => Lane::Large,
    }
}

fn print(lanes: &[LaneStatus], json: bool) -> Result<ExitCode, Failure> {
    if json {
        lanes.iter().try_for_each(|lane| out::line(object(lane)))?;
        return Ok(ExitCode::SUCCESS);
    }
    out::line(format_args!(
        "{:<8}  {:>6}  {:>8}  {:>7}  {:>7}  STATE",
        "LANE", "WEIGHT", "WAITING", "DELAYED", "RUNNING"
    ))?;
    lanes.iter().try_for_each(|lane| out::line(row(lane)))?;
    Ok(ExitCode::SUCCESS)
}

fn row(lane: &LaneStatus) -> String {
    let LaneStatus { weight, waiting, delayed, running, pause, weight_change, .. } = lane;
    let state = pause.as_ref().map_or("served".to_owned(), |pause| {
        let plain: String = pause.reason.chars().filter(|c| !c.is_control()).collect();
        let why = if plain.is_empty() { plain } else { format!(": {plain}") };
        format!("paused by {} at {}{why}", pause.by, time(pause.time.as_ref()))
    });
    let set = weight_change.as_ref();
    let set = set.map(|set| format!("; weight set by {} at {}", set.by, time(set.time.as_ref()))).unwrap_or_default();
    format!("{:<8}  {weight:>6}  {waiting:>8}  {delayed:>7}  {running:>7}  {state}{set}", names::lane(lane.lane()))
}

fn object(lane: &LaneStatus) -> serde_json::Value {
    let pause = lane
        .pause
        .as_ref()
        .map(|pause| json!({ "by": pause.by, "time": time(pause.time.as_ref()), "reason": pause.reason }));
    let set = lane.weight_change.as_ref().map(|set| json!({ "by": set.by, "time": time(set.time.as_ref()) }));
    json!({
        "lane": names::lane(lane.lane()),
        "weight": lane.weight,
        "waiting": lane.waiting,
        "delayed": lane.delayed,
        "running": lane.running,
        "pause": pause,
        "weightChange": set,
    })
}

/// A time as people and programs read it.
pub fn time(time: Option<&prost_types::Timestamp>) -> String {
    let time = time.and_then(|time| SystemTime::try_from(*time).ok());
    time.map_or("-".to_owned(), |time| humantime::format_rfc3339_millis(time).to_string())
}
