//! `courant admin connections`, `close-connections` and `topics`: who is connected to the bridges, over all servers.

use std::collections::BTreeMap;
use std::process::ExitCode;

use courant_proto::v1::{
    Bridge, CloseConnectionsRequest, Device, ListDevicesRequest, WatchBridgesRequest, WatchBridgesResponse,
};
use serde_json::json;

use super::lanes::time;
use crate::args::{CloseConnections, Connection, Connections, OperatorFlags};
use crate::connect::{connect_admin, connect_presence};
use crate::failure::Failure;
use crate::out;

/// Lists the bridges, or the devices of a user.
pub async fn list(args: Connections) -> Result<ExitCode, Failure> {
    let json = args.operator.json;
    if let Some(user) = args.owner {
        let mut presence = connect_presence(&args.operator.connection).await?;
        let request = ListDevicesRequest { user: user.clone() };
        let devices = presence.list_devices(request).await?.into_inner().devices;
        print_devices(&[(user, devices)], json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let all = bridges(&args.operator.connection).await?;
    if json {
        all.bridges.iter().try_for_each(|bridge| out::line(bridge_object(bridge)))?;
        return Ok(ExitCode::SUCCESS);
    }
    out::line(format_args!(
        "{:<26}  {:>11}  {:>7}  {:>7}  {:<24}  SINCE",
        "BRIDGE", "CONNECTIONS", "USERS", "TOPICS", "PROGRAM"
    ))?;
    for bridge in &all.bridges {
        let (connections, topics) = counts(bridge);
        let since = time(bridge.connect_time.as_ref());
        let (id, users, program) = (&bridge.bridge_id, bridge.users, &bridge.software);
        out::line(format_args!("{id:<26}  {connections:>11}  {users:>7}  {topics:>7}  {program:<24}  {since}"))?;
    }
    out::line(format_args!("{} users with {} devices at {} bridges", all.users, all.devices, all.bridges.len()))?;
    Ok(ExitCode::SUCCESS)
}

/// Closes all connections of users.
pub async fn close(args: CloseConnections) -> Result<ExitCode, Failure> {
    let mut admin = connect_admin(&args.operator.connection).await?;
    let mut closed = Vec::new();
    for user in args.users {
        let request = CloseConnectionsRequest { user: user.clone() };
        closed.push((user, admin.close_connections(request).await?.into_inner().devices));
    }
    print_devices(&closed, args.operator.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Lists the topics that are followed most.
pub async fn topics(args: OperatorFlags) -> Result<ExitCode, Failure> {
    let all = bridges(&args.connection).await?;
    let mut topics: BTreeMap<&str, i64> = BTreeMap::new();
    for topic in all.bridges.iter().filter_map(|bridge| bridge.counts.as_ref()).flat_map(|counts| &counts.fullest) {
        *topics.entry(&topic.name).or_default() += i64::from(topic.subscribers);
    }
    let mut topics: Vec<_> = topics.into_iter().collect();
    topics.sort_by_key(|(name, subscribers)| (std::cmp::Reverse(*subscribers), *name));
    if !args.json {
        out::line(format_args!("{:>11}  TOPIC", "SUBSCRIBERS"))?;
    }
    for (topic, subscribers) in topics {
        if args.json {
            out::line(json!({ "topic": topic, "subscribers": subscribers }))?;
        } else {
            out::line(format_args!("{subscribers:>11}  {topic}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn bridges(connection: &Connection) -> Result<WatchBridgesResponse, Failure> {
    let mut presence = connect_presence(connection).await?;
    let mut states = presence.watch_bridges(WatchBridgesRequest::default()).await?.into_inner();
    states.message().await?.ok_or(Failure::Incomplete("the bridges"))
}

fn counts(bridge: &Bridge) -> (i32, i32) {
    bridge.counts.as_ref().map_or((0, 0), |counts| (counts.connections, counts.topics))
}

fn bridge_object(bridge: &Bridge) -> serde_json::Value {
    let (connections, topics) = counts(bridge);
    json!({
        "bridge": bridge.bridge_id,
        "software": bridge.software,
        "connectTime": bridge.connect_time.map(|at| time(Some(&at))),
        "connections": connections,
        "users": bridge.users,
        "topics": topics,
    })
}

fn print_devices(users: &[(String, Vec<Device>)], json: bool) -> Result<(), Failure> {
    if !json {
        out::line(format_args!(
            "{:<16}  {:<26}  {:<24}  {:>10}  {:>7}  SINCE",
            "USER", "DEVICE", "NAME", "WEBSOCKETS", "STREAMS"
        ))?;
    }
    for (user, device) in users.iter().flat_map(|(user, devices)| devices.iter().map(move |device| (user, device))) {
        let Device { device_id, name, websockets, event_streams, polls, connect_time } = device;
        let since = time(connect_time.as_ref());
        if json {
            out::line(json!({
                "user": user, "device": device_id, "name": name, "websockets": websockets, "eventStreams": event_streams,
                "polls": polls, "connectTime": since,
            }))?;
            continue;
        }
        let plain: String = name.chars().filter(|c| !c.is_control()).collect();
        out::line(format_args!(
            "{user:<16}  {device_id:<26}  {plain:<24}  {websockets:>10}  {event_streams:>7}  {since}"
        ))?;
    }
    Ok(())
}
