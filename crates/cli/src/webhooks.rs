//! `courant webhooks …`.

use std::process::ExitCode;

use courant_bridge::wire::webhook::{
    Webhook as WebhookJson, WebhookDelivery as DeliveryJson, event_names, parse_event,
};
use courant_proto::v1;

use crate::args::{
    CreateWebhook, OneWebhook, ReplayWebhook, RotateSecret, UpdateWebhook, WebhookCommand, WebhookFlags,
};
use crate::connect::connect_webhooks;
use crate::failure::Failure;
use crate::out;

pub async fn run(command: WebhookCommand) -> Result<ExitCode, Failure> {
    match command {
        WebhookCommand::List(flags) => list(flags).await,
        WebhookCommand::Create(args) => create(args).await,
        WebhookCommand::Update(args) => update(args).await,
        WebhookCommand::Delete(args) => delete(args).await,
        WebhookCommand::Rotate(args) => rotate(args).await,
        WebhookCommand::Test(args) => test(args).await,
        WebhookCommand::Deliveries(args) => deliveries(args).await,
        WebhookCommand::Enable(args) => set_enabled(args, true).await,
        WebhookCommand::Disable(args) => set_enabled(args, false).await,
        WebhookCommand::Replay(args) => replay(args).await,
    }
}

async fn list(flags: WebhookFlags) -> Result<ExitCode, Failure> {
    let mut client = connect_webhooks(&flags.connection).await?;
    let found = client.list_webhooks(v1::ListWebhooksRequest {}).await?.into_inner().webhooks;
    found.iter().try_for_each(|webhook| print(Some(webhook), &flags).map(drop))?;
    Ok(ExitCode::SUCCESS)
}

async fn create(args: CreateWebhook) -> Result<ExitCode, Failure> {
    let CreateWebhook { url, events: names, description, flags } = args;
    let mut client = connect_webhooks(&flags.connection).await?;
    let request = v1::CreateWebhookRequest { url, events: events(&names)?, description };
    let made = client.create_webhook(request).await?.into_inner();
    print_secret(made.webhook.as_ref(), &made.secret, &flags)
}

async fn update(args: UpdateWebhook) -> Result<ExitCode, Failure> {
    let UpdateWebhook { id, url, events: names, description, flags } = args;
    let mut client = connect_webhooks(&flags.connection).await?;
    let events = events(&names)?;
    let request = v1::UpdateWebhookRequest { webhook_id: id, url, description, events, enabled: None };
    print(client.update_webhook(request).await?.into_inner().webhook.as_ref(), &flags)
}

async fn delete(OneWebhook { id, flags }: OneWebhook) -> Result<ExitCode, Failure> {
    let mut client = connect_webhooks(&flags.connection).await?;
    client.delete_webhook(v1::DeleteWebhookRequest { webhook_id: id }).await?;
    Ok(ExitCode::SUCCESS)
}

async fn rotate(RotateSecret { id, keep_old, flags }: RotateSecret) -> Result<ExitCode, Failure> {
    let mut client = connect_webhooks(&flags.connection).await?;
    let keep_old = prost_types::Duration::try_from(keep_old).ok();
    let rotated =
        client.rotate_webhook_secret(v1::RotateWebhookSecretRequest { webhook_id: id, keep_old }).await?.into_inner();
    print_secret(rotated.webhook.as_ref(), &rotated.secret, &flags)
}

async fn test(OneWebhook { id, flags }: OneWebhook) -> Result<ExitCode, Failure> {
    let mut client = connect_webhooks(&flags.connection).await?;
    let tested = client.test_webhook(v1::TestWebhookRequest { webhook_id: id }).await?.into_inner();
    let delivery = tested.delivery.ok_or(Failure::Incomplete("the delivery"))?;
    print_delivery(&delivery, flags.json)?;
    Ok(if delivery.error.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn deliveries(OneWebhook { id, flags }: OneWebhook) -> Result<ExitCode, Failure> {
    let mut client = connect_webhooks(&flags.connection).await?;
    let request = v1::ListWebhookDeliveriesRequest { webhook_id: id };
    let found = client.list_webhook_deliveries(request).await?.into_inner().deliveries;
    found.iter().try_for_each(|delivery| print_delivery(delivery, flags.json))?;
    Ok(ExitCode::SUCCESS)
}

async fn set_enabled(OneWebhook { id, flags }: OneWebhook, enabled: bool) -> Result<ExitCode, Failure> {
    let mut client = connect_webhooks(&flags.connection).await?;
    let request =
        v1::UpdateWebhookRequest { webhook_id: id, enabled: Some(enabled), ..v1::UpdateWebhookRequest::default() };
    print(client.update_webhook(request).await?.into_inner().webhook.as_ref(), &flags)
}

async fn replay(ReplayWebhook { id, after, flags }: ReplayWebhook) -> Result<ExitCode, Failure> {
    let mut client = connect_webhooks(&flags.connection).await?;
    let request = v1::ReplayWebhookRequest { webhook_id: id, after_cursor: after };
    let begun = client.replay_webhook(request).await?.into_inner();
    if begun.history_trimmed {
        eprintln!("courant: some of what happened after the cursor is not kept any more, and is not sent");
    }
    print(begun.webhook.as_ref(), &flags)
}

fn events(names: &[String]) -> Result<Vec<i32>, Failure> {
    let unknown = |name: &String| Failure::WebhookEvent { name: name.clone(), known: event_names() };
    names.iter().map(|name| parse_event(name).map(i32::from).ok_or_else(|| unknown(name))).collect()
}

fn print(webhook: Option<&v1::Webhook>, flags: &WebhookFlags) -> Result<ExitCode, Failure> {
    let webhook = WebhookJson::from(webhook.ok_or(Failure::Incomplete("the webhook"))?);
    if flags.json {
        out::line(serde_json::to_string(&webhook)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let url = if webhook.url.is_empty() { "(callbacks of jobs)" } else { &webhook.url };
    let why = webhook.disable_reason.map(|why| format!(": {why}")).unwrap_or_default();
    out::line(format_args!("{:<41}  {:<12}  {url}{why}", webhook.webhook_id, webhook.state))?;
    Ok(ExitCode::SUCCESS)
}

/// The id and the secret, each on a line.
fn print_secret(webhook: Option<&v1::Webhook>, secret: &str, flags: &WebhookFlags) -> Result<ExitCode, Failure> {
    let webhook = WebhookJson::from(webhook.ok_or(Failure::Incomplete("the webhook"))?);
    if flags.json {
        let mut object = serde_json::to_value(&webhook)?;
        object["secret"] = secret.into();
        out::line(object)?;
    } else {
        out::line(&webhook.webhook_id)?;
        out::line(secret)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_delivery(delivery: &v1::WebhookDelivery, json: bool) -> Result<(), Failure> {
    let shown = DeliveryJson::from(delivery);
    if json {
        return out::line(serde_json::to_string(&shown)?);
    }
    let status = shown.http_status.map_or("-".to_owned(), |status| status.to_string());
    let (time, job) = (shown.send_time.unwrap_or_default(), shown.job_id.unwrap_or_default());
    let mut error = shown.error.unwrap_or_default();
    if shown.given_up {
        error.push_str(" (given up)");
    }
    let line = format!("{time}  {status:<3}  {:<22}  {job:<26}  {}  {error}", shown.r#type, shown.message_id);
    out::line(line.trim_end())
}
