//! The calls of KEDA.

use std::sync::Arc;
use std::time::Duration;

use courant_proto::keda::external_scaler_server::ExternalScaler;
use courant_proto::keda::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, MetricSpec, MetricValue,
    ScaledObjectRef,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::demand::{self, Demand};
use super::reference::Reference;
use crate::sampled::{self, Intervals};
use crate::services::Services;
use crate::worker::registry::Registry;

/// What the metric is called: slots that the queue needs.
const METRIC: &str = "courant-slots";
/// How often it is looked whether there is work, for who follows that.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Streams live until their client or the server ends them.
const LONG: Duration = Duration::from_secs(365 * 24 * 3600);

/// Answers KEDA.
pub struct Scaler {
    pub services: Arc<Services>,
    pub registry: Arc<Registry>,
}

impl Scaler {
    fn demand(&self, kind: &str) -> Demand {
        demand::now(&self.services, &self.registry, kind)
    }
}

#[tonic::async_trait]
impl ExternalScaler for Scaler {
    type StreamIsActiveStream = ReceiverStream<Result<IsActiveResponse, Status>>;
    type StreamMetricSpecStream = ReceiverStream<Result<GetMetricSpecResponse, Status>>;

    async fn is_active(&self, request: Request<ScaledObjectRef>) -> Result<Response<IsActiveResponse>, Status> {
        let reference = Reference::read(request.get_ref())?;
        Ok(Response::new(IsActiveResponse { result: self.demand(&reference.kind).is_active() }))
    }

    async fn stream_is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamIsActiveStream>, Status> {
        let Reference { kind, .. } = Reference::read(request.get_ref())?;
        let send_within = self.services.config.bookmark_interval;
        let intervals = Intervals { sample_every: LOOK_EVERY, send_within, token_left: LONG };
        let (services, registry) = (self.services.clone(), self.registry.clone());
        let take = move || demand::now(&services, &registry, &kind).is_active();
        let states =
            sampled::start(self.services.clone(), intervals, take, bool::eq, |result| IsActiveResponse { result });
        Ok(Response::new(ReceiverStream::new(states)))
    }

    async fn get_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        let slots = Reference::read(request.get_ref())?.slots_per_worker;
        let spec = MetricSpec {
            metric_name: METRIC.to_owned(),
            target_size: i64::from(slots),
            target_size_float: f64::from(slots),
        };
        Ok(Response::new(GetMetricSpecResponse { metric_specs: vec![spec] }))
    }

    async fn get_metrics(&self, request: Request<GetMetricsRequest>) -> Result<Response<GetMetricsResponse>, Status> {
        let request = request.into_inner();
        if request.metric_name != METRIC {
            return Err(Status::invalid_argument(format!(
                "there is no metric {:?}; it is {METRIC}",
                request.metric_name
            )));
        }
        let reference = Reference::read(&request.scaled_object_ref.unwrap_or_default())?;
        let slots = self.demand(&reference.kind).slots_needed(&reference);
        let value = MetricValue {
            metric_name: METRIC.to_owned(),
            metric_value: i64::try_from(slots).unwrap_or(i64::MAX),
            metric_value_float: slots as f64,
        };
        Ok(Response::new(GetMetricsResponse { metric_values: vec![value] }))
    }

    /// KEDA then asks [`Self::get_metric_spec`], which never changes for an object.
    async fn stream_metric_spec(
        &self,
        _request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamMetricSpecStream>, Status> {
        Err(Status::unimplemented("ask GetMetricSpec: the target does not change"))
    }
}
