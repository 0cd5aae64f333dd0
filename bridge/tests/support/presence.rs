//! Who is connected, over all bridges, as a server in memory tells it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use courant_auth::Role;
use courant_proto::v1::attend_request::Message;
use courant_proto::v1::presence_service_server::{PresenceService, PresenceServiceServer};
use courant_proto::v1::*;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::service::needs;

/// All that bridges have said. Clones are the same.
#[derive(Clone, Default)]
pub struct Roll {
    bridges: Arc<Mutex<BTreeMap<u64, UploadStatus>>>,
    /// Changes with every word.
    changed: Arc<watch::Sender<u64>>,
    cut: Arc<Mutex<(CancellationToken, bool)>>,
}

#[derive(Default)]
struct UploadStatus {
    bridge: String,
    users: HashMap<String, BridgeUser>,
    counts: Option<BridgeCounts>,
}

type Out = mpsc::Sender<Result<AttendResponse, Status>>;

impl Roll {
    pub fn server(&self) -> PresenceServiceServer<Self> {
        PresenceServiceServer::new(self.clone())
    }

    /// Ends all streams; with `away`, none is let in until that is over.
    pub fn cut(&self, away: bool) {
        let mut cut = self.cut.lock();
        std::mem::replace(&mut *cut, (CancellationToken::new(), away)).0.cancel();
    }

    /// Waits until the server knows these devices of the user, at whichever bridge, with their connections.
    pub async fn knows(&self, user: &str, expected: &[(&str, i32)]) {
        let expected: Vec<_> = expected.iter().map(|(id, count)| ((*id).to_owned(), *count)).collect();
        let found = || {
            let mut all: Vec<_> = self
                .devices(user, u64::MAX)
                .into_iter()
                .map(|device| (device.device_id, device.websockets + device.event_streams + i32::from(device.polls)))
                .collect();
            all.sort();
            all
        };
        let mut changed = self.changed.subscribe();
        let waiting = async {
            while found() != expected {
                changed.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(super::PATIENCE, waiting).await;
        assert!(waited.is_ok(), "the server knows {:?}, not {expected:?}", found());
    }

    fn devices(&self, user: &str, except: u64) -> Vec<Device> {
        let bridges = self.bridges.lock();
        let others = bridges.iter().filter(|(number, _)| **number != except);
        others.filter_map(|(_, told)| told.users.get(user)).flat_map(|user| user.devices.clone()).collect()
    }

    async fn serve(self, mut inbound: Streaming<AttendRequest>, out: Out) {
        let cut = self.cut.lock().0.clone();
        let mut changed = self.changed.subscribe();
        let number = *changed.borrow() + 1;
        self.changed.send_modify(|count| *count += 1);
        self.bridges.lock().insert(number, UploadStatus::default());
        let mut last: HashMap<String, Vec<Device>> = HashMap::new();
        loop {
            tokio::select! {
                message = inbound.message() => match message {
                    Ok(Some(AttendRequest { message: Some(message) })) => self.hear(number, message),
                    _ => break,
                },
                _ = changed.changed() => {
                    let followed: Vec<_> = self.bridges.lock()[&number].users.values().filter(|user| user.followed).map(|user| user.user.clone()).collect();
                    last.retain(|user, _| followed.contains(user));
                    for user in followed {
                        let devices = self.devices(&user, number);
                        if last.get(&user) != Some(&devices) {
                            last.insert(user.clone(), devices.clone());
                            let elsewhere = Some(UserElsewhere { user, devices });
                            let _ = out.send(Ok(AttendResponse { elsewhere })).await;
                        }
                    }
                }
                () = cut.cancelled() => break,
            }
        }
        self.bridges.lock().remove(&number);
        self.changed.send_modify(|count| *count += 1);
    }

    fn hear(&self, number: u64, message: Message) {
        let mut bridges = self.bridges.lock();
        let told = bridges.get_mut(&number).unwrap();
        match message {
            Message::Hello(hello) => told.bridge = hello.bridge_id,
            Message::Counts(counts) => told.counts = Some(counts),
            Message::User(user) => drop(told.users.insert(user.user.clone(), user)),
        }
        drop(bridges);
        self.changed.send_modify(|count| *count += 1);
    }

    fn state(&self) -> WatchBridgesResponse {
        let bridges = self.bridges.lock();
        let line = |told: &UploadStatus| Bridge {
            bridge_id: told.bridge.clone(),
            counts: told.counts.clone(),
            users: told.users.values().filter(|user| !user.devices.is_empty()).count() as i32,
            ..Bridge::default()
        };
        WatchBridgesResponse { bridges: bridges.values().map(line).collect(), users: 0, devices: 0 }
    }
}

#[tonic::async_trait]
impl PresenceService for Roll {
    type AttendStream = ReceiverStream<Result<AttendResponse, Status>>;
    type WatchBridgesStream = ReceiverStream<Result<WatchBridgesResponse, Status>>;

    async fn attend(&self, request: Request<Streaming<AttendRequest>>) -> Result<Response<Self::AttendStream>, Status> {
        needs(&request, &[Role::Bridge])?;
        if self.cut.lock().1 {
            return Err(Status::unavailable("away"));
        }
        let (out, told) = mpsc::channel(16);
        tokio::spawn(self.clone().serve(request.into_inner(), out));
        Ok(Response::new(told.into()))
    }

    async fn list_devices(
        &self,
        request: Request<ListDevicesRequest>,
    ) -> Result<Response<ListDevicesResponse>, Status> {
        let caller = super::service::caller(&request)?;
        let user = Some(request.into_inner().user).filter(|user| !user.is_empty()).unwrap_or(caller.subject);
        Ok(Response::new(ListDevicesResponse { devices: self.devices(&user, u64::MAX) }))
    }

    async fn watch_bridges(
        &self,
        request: Request<WatchBridgesRequest>,
    ) -> Result<Response<Self::WatchBridgesStream>, Status> {
        needs(&request, &[Role::Bridge])?;
        let (out, told) = mpsc::channel(1);
        let (roll, mut changed) = (self.clone(), self.changed.subscribe());
        tokio::spawn(
            async move { while out.send(Ok(roll.state())).await.is_ok() && changed.changed().await.is_ok() {} },
        );
        Ok(Response::new(told.into()))
    }
}
