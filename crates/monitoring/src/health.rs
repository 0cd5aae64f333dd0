//! The health protocol of gRPC: `Check`, `List` and `Watch`.
//!
//! A watch of a service that nobody knows is told so and stays open, as the protocol demands: the service may come.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use courant_proto::health::health_check_response::ServingStatus;
use courant_proto::health::health_server::{Health, HealthServer};
use courant_proto::health::{HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse};
use futures::Stream;
use futures::stream::unfold;
use tokio::sync::{Semaphore, watch};
use tonic::{Request, Response, Status};

/// Watches open at once. A watch costs a task of the connection; probes need a few.
const WATCHES: usize = 1024;

/// Which services serve. Cloning shares.
#[derive(Clone, Debug, Default)]
pub struct HealthBoard(watch::Sender<BTreeMap<&'static str, bool>>);

impl HealthBoard {
    /// Says whether a service serves. The empty name is the program as a whole.
    pub fn set(&self, service: &'static str, serves: bool) {
        self.0.send_if_modified(|all| all.insert(service, serves) != Some(serves));
    }

    /// Whether a service serves; none where it is not known.
    pub fn serves(&self, service: &str) -> Option<bool> {
        self.0.borrow().get(service).copied()
    }

    /// The gRPC service that tells others.
    pub fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService { board: self.clone(), watches: Arc::new(Semaphore::new(WATCHES)) })
    }
}

/// Answers by what is on the board.
#[derive(Clone, Debug)]
pub struct HealthService {
    board: HealthBoard,
    watches: Arc<Semaphore>,
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

fn status(serves: bool) -> ServingStatus {
    if serves { ServingStatus::Serving } else { ServingStatus::NotServing }
}

#[tonic::async_trait]
impl Health for HealthService {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let name = &request.get_ref().service;
        match self.board.serves(name) {
            Some(serves) => Ok(Response::new(response(status(serves)))),
            None => Err(Status::not_found(format!("there is no service {name:?} here; List names all"))),
        }
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        let all = self.board.0.borrow();
        let statuses = all.iter().map(|(name, serves)| ((*name).to_owned(), response(status(*serves)))).collect();
        Ok(Response::new(HealthListResponse { statuses }))
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let permit = self.watches.clone().try_acquire_owned();
        let permit = permit.map_err(|_| Status::resource_exhausted(format!("{WATCHES} watches of health are open")))?;
        let (board, name) = (self.board.0.subscribe(), request.into_inner().service);
        let statuses = unfold((board, None, permit), move |(mut board, last, permit)| {
            let name = name.clone();
            async move {
                let of = |all: &BTreeMap<&'static str, bool>| {
                    all.get(name.as_str()).map_or(ServingStatus::ServiceUnknown, |serves| status(*serves))
                };
                // The first is told at once, later ones when they differ.
                let now = board.wait_for(|all| Some(of(all)) != last).await.map(|all| of(&all)).ok()?;
                Some((Ok(response(now)), (board, Some(now), permit)))
            }
        });
        Ok(Response::new(Box::pin(statuses)))
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, StreamExt as _};

    use super::*;

    fn named(service: &str) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest { service: service.to_owned() })
    }

    fn service(board: &HealthBoard) -> HealthService {
        HealthService { board: board.clone(), watches: Arc::new(Semaphore::new(2)) }
    }

    #[tokio::test]
    async fn a_watch_of_an_unknown_service_stays_open_until_the_service_comes() {
        let board = HealthBoard::default();
        let mut watch = service(&board).watch(named("later")).await.unwrap().into_inner();
        let mut next = async || watch.next().await.unwrap().unwrap().status();
        assert_eq!(next().await, ServingStatus::ServiceUnknown);
        board.set("later", true);
        assert_eq!(next().await, ServingStatus::Serving);
        board.set("other", true);
        board.set("later", true);
        assert!(next().now_or_never().is_none(), "nothing has changed");
        board.set("later", false);
        assert_eq!(next().await, ServingStatus::NotServing);
    }

    #[tokio::test]
    async fn check_and_list_say_what_is_known() {
        let board = HealthBoard::default();
        board.set("", true);
        board.set("a", false);
        let service = service(&board);
        assert_eq!(service.check(named("a")).await.unwrap().into_inner().status(), ServingStatus::NotServing);
        assert_eq!(service.check(named("b")).await.unwrap_err().code(), tonic::Code::NotFound);
        let all = service.list(Request::new(HealthListRequest {})).await.unwrap().into_inner().statuses;
        assert_eq!(
            (all.len(), all[""].status(), all["a"].status()),
            (2, ServingStatus::Serving, ServingStatus::NotServing)
        );
    }

    #[tokio::test]
    async fn watches_are_limited_and_given_back() {
        let service = service(&HealthBoard::default());
        let (first, _second) = (service.watch(named("")).await.unwrap(), service.watch(named("")).await.unwrap());
        let refused = service.watch(named("")).await.err().unwrap();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        drop(first);
        assert!(service.watch(named("")).await.is_ok());
    }
}
