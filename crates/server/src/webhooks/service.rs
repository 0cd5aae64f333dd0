//! The gRPC side of webhooks.

use std::sync::Arc;
use std::time::Duration;

use courant_engine::Error as Refused;
use courant_engine::cursor::{Cursor, Gap};
use courant_joblog::ids::{Owner, Revision, Timestamp};
use courant_joblog::log::Filter;
use courant_proto::v1::webhook_service_server::WebhookService;
use courant_proto::v1::{
    CreateWebhookRequest, CreateWebhookResponse, DeleteWebhookRequest, DeleteWebhookResponse, EnableWebhookRequest,
    EnableWebhookResponse, GetWebhookRequest, GetWebhookResponse, ListWebhookDeliveriesRequest,
    ListWebhookDeliveriesResponse, ListWebhooksRequest, ListWebhooksResponse, ReplayWebhookRequest,
    ReplayWebhookResponse, RotateWebhookSecretRequest, RotateWebhookSecretResponse, TestWebhookRequest,
    TestWebhookResponse, UpdateWebhookRequest, UpdateWebhookResponse, Webhook,
};
use tonic::{Request, Response, Status};

use super::message::Messages;
use super::send::{Outgoing, Sender};
use super::wire::{delivery, events_in, webhook};
use crate::audit;
use crate::auth::caller;
use crate::delivery::AddressRules;
use crate::error::Error;
use crate::event_kind::EventKind;
use crate::services::Services;
use crate::text::is_control_or_bidi;
use crate::webhook_store::{Endpoint, Known, Position};

/// The longest description in bytes.
const DESCRIPTION_BYTES: usize = 255;
/// For how long an old secret signs as well, unless the caller says otherwise, and at most.
const KEEP_OLD: Duration = Duration::from_secs(24 * 3600);
const KEEP_OLD_AT_MOST: Duration = Duration::from_secs(7 * 24 * 3600);
/// The name of the webhook of a caller's callbacks.
const CALLBACK: &str = "callback";

pub struct Webhooks {
    pub services: Arc<Services>,
    pub sender: Sender,
}

impl Webhooks {
    fn url(&self, url: &str) -> Result<String, Error> {
        let checked = AddressRules::new(&self.services.config.webhooks).check_url(url);
        checked.map(String::from).map_err(|problem| Error::field("url", problem.to_string()))
    }

    fn now(&self) -> Timestamp {
        self.services.engine.wall.now()
    }

    fn head(&self) -> Cursor {
        self.services.engine.cursor(*self.services.engine.applied().borrow())
    }

    fn wire(&self, known: &Known) -> Option<Webhook> {
        Some(webhook(known, self.now()))
    }

    async fn change(
        &self,
        owner: &Owner,
        id: &str,
        change: impl FnOnce(&mut Endpoint) + Send,
    ) -> Result<Option<Webhook>, Error> {
        audit::note_target(id);
        let known = self.services.webhooks.change(owner, id, change).await?;
        Ok(self.wire(&known))
    }

    /// Where a replay begins, and whether some of what came after it is gone.
    async fn start(&self, owner: &Owner, cursor: &str) -> Result<(Position, bool), Error> {
        let engine = &self.services.engine;
        let cursor = match cursor {
            "" => engine.cursor(Revision::ZERO),
            given => Cursor::decode(given)?,
        };
        if !engine.log.info().covers(cursor.epoch, cursor.revision) {
            return Err(Refused::CursorTooOld(Gap::LogReplaced).into());
        }
        let revision = cursor.revision.min(self.head().revision);
        let trimmed = engine.log.trimmed(&Filter::Owner(owner.clone())).await? > revision;
        Ok((engine.cursor(revision).into(), trimmed))
    }
}

fn owner<T>(request: &Request<T>) -> Result<Owner, Error> {
    Ok(Owner::new(caller(request)?.subject.as_str()))
}

fn description(text: String) -> Result<String, Error> {
    if text.len() > DESCRIPTION_BYTES || text.chars().any(is_control_or_bidi) {
        let problem = format!("must have at most {DESCRIPTION_BYTES} bytes, and no control characters");
        return Err(Error::field("description", problem));
    }
    Ok(text)
}

fn keep_old(time: Option<prost_types::Duration>) -> Result<Duration, Error> {
    let Some(time) = time else { return Ok(KEEP_OLD) };
    let time = Duration::try_from(time).ok().filter(|time| *time <= KEEP_OLD_AT_MOST);
    time.ok_or_else(|| Error::field("keep_old", "must be 0 seconds to 7 days"))
}

#[tonic::async_trait]
impl WebhookService for Webhooks {
    async fn create_webhook(
        &self,
        request: Request<CreateWebhookRequest>,
    ) -> Result<Response<CreateWebhookResponse>, Status> {
        let owner = owner(&request)?;
        let CreateWebhookRequest { url, events, description: text } = request.into_inner();
        let (url, text) = (self.url(&url)?, description(text)?);
        let events = Some(events_in(&events)?).filter(|events| !events.is_empty());
        let events = events.unwrap_or_else(|| EventKind::ALL.to_vec());
        let made = self.services.webhooks.create(&owner, url, text, events, self.head().into()).await;
        let (known, secret) = made?;
        audit::note_target(&known.endpoint.id);
        Ok(Response::new(CreateWebhookResponse { webhook: self.wire(&known), secret: secret.encode() }))
    }

    async fn list_webhooks(
        &self,
        request: Request<ListWebhooksRequest>,
    ) -> Result<Response<ListWebhooksResponse>, Status> {
        let (found, now) = (self.services.webhooks.list(&owner(&request)?), self.now());
        Ok(Response::new(ListWebhooksResponse { webhooks: found.iter().map(|known| webhook(known, now)).collect() }))
    }

    async fn get_webhook(&self, request: Request<GetWebhookRequest>) -> Result<Response<GetWebhookResponse>, Status> {
        let known = self.services.webhooks.get(&owner(&request)?, &request.get_ref().webhook_id)?;
        Ok(Response::new(GetWebhookResponse { webhook: self.wire(&known) }))
    }

    async fn update_webhook(
        &self,
        request: Request<UpdateWebhookRequest>,
    ) -> Result<Response<UpdateWebhookResponse>, Status> {
        let owner = owner(&request)?;
        let UpdateWebhookRequest { webhook_id, url, description: text, events, enabled } = request.into_inner();
        let url = url.map(|url| self.url(&url)).transpose()?;
        let text = text.map(description).transpose()?;
        let events = Some(events_in(&events)?).filter(|events| !events.is_empty());
        let known = self.services.webhooks.get(&owner, &webhook_id)?;
        if url.is_some() && known.endpoint.is_callback() {
            return Err(Error::field("url", "cannot be given for callbacks: each job has its own").into());
        }
        let change = |endpoint: &mut Endpoint| {
            if let Some(url) = url {
                endpoint.url = url;
            }
            if let Some(text) = text {
                endpoint.description = text;
            }
            if let Some(events) = events {
                endpoint.events = events;
            }
            if let Some(enabled) = enabled {
                set_enabled(endpoint, enabled);
            }
        };
        Ok(Response::new(UpdateWebhookResponse { webhook: self.change(&owner, &webhook_id, change).await? }))
    }

    async fn delete_webhook(
        &self,
        request: Request<DeleteWebhookRequest>,
    ) -> Result<Response<DeleteWebhookResponse>, Status> {
        let (owner, id) = (owner(&request)?, request.into_inner().webhook_id);
        audit::note_target(&id);
        if self.services.webhooks.get(&owner, &id)?.endpoint.is_callback() {
            return Err(Error::field("webhook_id", "is that of callbacks, which cannot be removed; disable it").into());
        }
        self.services.webhooks.remove(&owner, &id).await?;
        Ok(Response::new(DeleteWebhookResponse {}))
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<RotateWebhookSecretRequest>,
    ) -> Result<Response<RotateWebhookSecretResponse>, Status> {
        let owner = owner(&request)?;
        let RotateWebhookSecretRequest { webhook_id: id, keep_old: keep } = request.into_inner();
        let (keep, now) = (keep_old(keep)?, self.now());
        if id == CALLBACK {
            self.services.webhooks.ensure_callback(&owner, self.head()).await?;
        }
        audit::note_target(&id);
        let until = now.plus_ms(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX)).0;
        let (known, secret) = self.services.webhooks.rotate(&owner, &id, now, until).await?;
        Ok(Response::new(RotateWebhookSecretResponse { webhook: self.wire(&known), secret: secret.encode() }))
    }

    async fn test_webhook(
        &self,
        request: Request<TestWebhookRequest>,
    ) -> Result<Response<TestWebhookResponse>, Status> {
        let owner = owner(&request)?;
        let (services, id) = (&self.services, request.into_inner().webhook_id);
        audit::note_target(&id);
        let known = services.webhooks.get(&owner, &id)?;
        if known.endpoint.is_callback() {
            return Err(Error::field("webhook_id", "is that of callbacks, which has no URL; test it with a job").into());
        }
        let _permit = services.shares.webhook_tests.try_take(owner.as_str(), 1).map_err(Error::from)?;
        let (source, epoch) = (&services.config.webhooks.webhook_source, services.engine.log.info().current().id);
        let message = Messages { endpoint: &known.endpoint, source, epoch }.test(Timestamp::now());
        let secrets = services.webhooks.secrets(&known.endpoint, self.now());
        let outgoing = Outgoing { url: &known.endpoint.url, secrets: secrets.as_ref(), message: &message, number: 1 };
        let (_, attempt) = self.sender.send(outgoing, &services.webhooks.stats).await;
        Ok(Response::new(TestWebhookResponse { delivery: Some(delivery(&attempt)) }))
    }

    async fn list_webhook_deliveries(
        &self,
        request: Request<ListWebhookDeliveriesRequest>,
    ) -> Result<Response<ListWebhookDeliveriesResponse>, Status> {
        let known = self.services.webhooks.get(&owner(&request)?, &request.get_ref().webhook_id)?;
        let deliveries = known.current().attempts.iter().rev().map(delivery).collect();
        Ok(Response::new(ListWebhookDeliveriesResponse { deliveries }))
    }

    async fn replay_webhook(
        &self,
        request: Request<ReplayWebhookRequest>,
    ) -> Result<Response<ReplayWebhookResponse>, Status> {
        let owner = owner(&request)?;
        let ReplayWebhookRequest { webhook_id, after_cursor } = request.into_inner();
        let (start, history_trimmed) = self.start(&owner, &after_cursor).await?;
        let change = |endpoint: &mut Endpoint| {
            set_enabled(endpoint, true);
            (endpoint.start, endpoint.start_generation) = (start, endpoint.generation);
        };
        let webhook = self.change(&owner, &webhook_id, change).await?;
        Ok(Response::new(ReplayWebhookResponse { webhook, history_trimmed }))
    }

    async fn enable_webhook(
        &self,
        request: Request<EnableWebhookRequest>,
    ) -> Result<Response<EnableWebhookResponse>, Status> {
        let (owner, id) = (owner(&request)?, request.into_inner().webhook_id);
        let webhook = self.change(&owner, &id, |endpoint| set_enabled(endpoint, true)).await?;
        Ok(Response::new(EnableWebhookResponse { webhook }))
    }
}

/// Enabled, it goes on where it stopped, whatever had switched it off.
fn set_enabled(endpoint: &mut Endpoint, enabled: bool) {
    endpoint.generation += u64::from(enabled);
    endpoint.enabled = enabled;
}
