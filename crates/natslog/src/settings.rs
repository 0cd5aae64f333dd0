//! The stream: made with the settings that the log's guarantees need, or found and compared with them.

use std::collections::HashMap;

use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, PersistenceMode, RetentionPolicy, StorageType};
use async_nats::jetstream::{Context, ErrorCode};
use courant_joblog::ids::Revision;
use courant_joblog::log::Epoch;

use crate::options::{OpenError, Options};
use crate::subjects::Subjects;

/// Kept with the stream: its epochs, each as `<id>@<start>`. Another stream of the same name has others.
const EPOCHS: &str = "courant-epochs";
/// Epochs that are remembered. Positions of older ones are not covered any more.
const EPOCHS_KEPT: usize = 256;
/// Kept with the stream: how its messages are to be read.
const FORMAT: &str = "courant-format";
/// Kept with the stream: how many entries it has kept of a job from its first day. If it once kept fewer, nobody could say of
/// which jobs some are gone.
const HISTORY: &str = "courant-history";
/// Kept with the stream while a log is copied into it: the newest epoch of that log.
const COPYING: &str = "courant-copying";
/// Kept with the stream once such a copy is complete: the newest epoch of the log it was made of.
const COPIED: &str = "courant-copied-from";
/// The format written.
const KNOWN_FORMAT: u32 = 1;

/// Finds the stream, or makes it.
pub(crate) async fn open(context: &Context, options: &Options) -> Result<Info, OpenError> {
    let found = match find(context, &options.stream).await? {
        Some(info) => info,
        None => make(context, options).await?,
    };
    match look(&found, options)? {
        Found::Ready | Found::Begun => Ok(found),
        Found::Empty => claim(context, found.config, options).await,
    }
}

/// What a stream is for who opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A log that servers may open.
    Ready,
    /// Something can be copied into it.
    Empty,
    /// What is to be copied into it was begun.
    Begun,
}

/// Whether the stream will do.
pub(crate) fn look(info: &Info, options: &Options) -> Result<Found, OpenError> {
    check(info, options)?;
    let (stream, is_copy) = (options.stream.clone(), !options.copy_of.is_empty());
    let names = |text: &String| options.copy_of.iter().any(|epoch| *text == id(epoch));
    let Config { metadata, .. } = &info.config;
    match (metadata.get(COPYING), is_copy) {
        (None, false) => Ok(Found::Ready),
        (Some(source), true) if names(source) => Ok(Found::Begun),
        (Some(_), _) => Err(OpenError::Unfinished { stream }),
        (None, true) if info.state.messages == 0 => Ok(Found::Empty),
        (None, true) if metadata.get(COPIED).is_some_and(names) => Err(OpenError::CopiedBefore { stream }),
        (None, true) => Err(OpenError::NotEmpty { stream, messages: info.state.messages }),
    }
}

/// Keeps an empty stream for a copy. Servers that have it open stop: it has a new epoch.
async fn claim(context: &Context, mut config: Config, options: &Options) -> Result<Info, OpenError> {
    let mut all = epochs(&config).unwrap_or_default();
    all.push(Epoch::begin(Revision::ZERO));
    config.metadata.insert(EPOCHS.into(), written(&all));
    config.metadata.extend(copying(options));
    update(context, config).await
}

/// From here on the stream is a log like any other.
pub(crate) async fn finish_copy(context: &Context, options: &Options) -> Result<(), OpenError> {
    let Info { mut config, .. } = open(context, options).await?;
    if let Some(source) = config.metadata.remove(COPYING) {
        config.metadata.insert(COPIED.into(), source);
        update(context, config).await?;
    }
    Ok(())
}

async fn update(context: &Context, config: Config) -> Result<Info, OpenError> {
    context.update_stream(config).await.map_err(|error| OpenError::JetStream { reason: error.to_string() })
}

fn copying(options: &Options) -> Option<(String, String)> {
    options.copy_of.last().map(|epoch| (COPYING.into(), id(epoch)))
}

fn id(epoch: &Epoch) -> String {
    format!("{:016x}", epoch.id)
}

/// The epochs of the stream, oldest first.
pub(crate) fn epochs(config: &Config) -> Option<Vec<Epoch>> {
    let parse = |text: &str| {
        let (id, start) = text.split_once('@')?;
        Some(Epoch { id: u64::from_str_radix(id, 16).ok()?, start: Revision(start.parse().ok()?) })
    };
    let epochs: Vec<Epoch> = config.metadata.get(EPOCHS)?.split(' ').map(parse).collect::<Option<_>>()?;
    (!epochs.is_empty()).then_some(epochs)
}

fn written(epochs: &[Epoch]) -> String {
    let newest = &epochs[epochs.len().saturating_sub(EPOCHS_KEPT)..];
    let texts = newest.iter().map(|Epoch { id, start }| format!("{id:016x}@{start}"));
    texts.collect::<Vec<_>>().join(" ")
}

/// Begins an epoch where the stream ends.
pub(crate) async fn begin_epoch(context: &Context, options: &Options) -> Result<(), OpenError> {
    let Info { mut config, state, .. } = open(context, options).await?;
    let mut all = epochs(&config).unwrap_or_default();
    all.push(Epoch::begin(Revision(state.last_sequence)));
    config.metadata.insert(EPOCHS.into(), written(&all));
    update(context, config).await.map(drop)
}

pub(crate) async fn find(context: &Context, name: &str) -> Result<Option<Info>, OpenError> {
    match context.get_stream(name).await {
        Ok(stream) => Ok(Some(stream.cached_info().clone())),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
            _ => Err(OpenError::JetStream { reason: error.to_string() }),
        },
    }
}

async fn make(context: &Context, options: &Options) -> Result<Info, OpenError> {
    let refused = |reason: String| OpenError::JetStream { reason };
    match context.create_stream(wanted(options)).await {
        Ok(stream) => {
            tracing::info!(stream = options.stream, replicas = options.replicas, "the stream was made");
            if options.max_bytes.is_none() {
                tracing::warn!("the stream may fill the servers' disks, which stops them: set --log-max-bytes");
            }
            Ok(stream.cached_info().clone())
        }
        Err(error) => match error.kind() {
            // Another server made it at the same moment, with an epoch of its own.
            CreateStreamErrorKind::JetStream(api) if api.error_code() == ErrorCode::STREAM_NAME_EXIST => {
                find(context, &options.stream).await?.ok_or_else(|| refused(api.to_string()))
            }
            _ => Err(refused(error.to_string())),
        },
    }
}

fn wanted(options: &Options) -> Config {
    let metadata = [
        (EPOCHS.into(), written(&[Epoch::begin(Revision::ZERO)])),
        (FORMAT.into(), KNOWN_FORMAT.to_string()),
        (HISTORY.into(), options.history_per_job.to_string()),
    ];
    Config {
        name: options.stream.clone(),
        subjects: vec![Subjects::new(&options.stream).everything()],
        description: Some("The job log of Courant; make no changes by hand".into()),
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        num_replicas: options.replicas,
        // Full is an error for who appends: the oldest entry may be the newest of a job that waits.
        discard: DiscardPolicy::New,
        max_messages_per_subject: options.history_per_job.into(),
        max_messages: -1,
        max_bytes: options.max_bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        max_consumers: -1,
        allow_rollup: true,
        allow_direct: true,
        allow_atomic_publish: true,
        metadata: HashMap::from_iter(metadata.into_iter().chain(copying(options))),
        ..Config::default()
    }
}

/// Says so if the stream cannot hold the guarantees. What is read is what the server stored: it drops settings that it does
/// not know.
fn check(Info { config, .. }: &Info, options: &Options) -> Result<(), OpenError> {
    let stream = || config.name.clone();
    let Some(format) = config.metadata.get(FORMAT).filter(|_| epochs(config).is_some()) else {
        return Err(OpenError::Foreign { stream: stream() });
    };
    if format.parse::<u32>().map_or(true, |format| format > KNOWN_FORMAT) {
        return Err(OpenError::Newer { stream: stream(), found: format.clone(), known: KNOWN_FORMAT });
    }
    for (setting, found, wanted) in fixed(config, options) {
        if found != wanted {
            let advice = "put it back with `nats stream edit`, or choose another name for the stream".into();
            return Err(OpenError::Setting { stream: stream(), setting, wanted, found, advice });
        }
    }
    if config.num_replicas < options.replicas {
        let (wanted, found) = (format!("{} or more", options.replicas), config.num_replicas.to_string());
        let advice =
            format!("`nats stream edit {} --replicas {}`, or ask for fewer replicas", config.name, options.replicas);
        return Err(OpenError::Setting { stream: stream(), setting: "replicas", wanted, found, advice });
    }
    Ok(())
}

/// Settings that must be just so: their name, what the stream has, what is wanted.
fn fixed(config: &Config, options: &Options) -> Vec<(&'static str, String, String)> {
    let wanted = wanted(options);
    let history = config.metadata.get(HISTORY).cloned().unwrap_or_default();
    let mut settings = vec![("max_msgs_per_subject", config.max_messages_per_subject.to_string(), history)];
    let of = |config: &Config| {
        [
            ("subjects", config.subjects.join(", ")),
            ("storage", format!("{:?}", config.storage)),
            ("retention", format!("{:?}", config.retention)),
            ("discard", format!("{:?}", config.discard)),
            ("discard_new_per_subject", config.discard_new_per_subject.to_string()),
            ("max_msgs", config.max_messages.max(0).to_string()),
            ("max_age", format!("{:?}", config.max_age)),
            ("max_msg_size", config.max_message_size.max(0).to_string()),
            ("no_ack", config.no_ack.to_string()),
            ("sealed", config.sealed.to_string()),
            ("allow_rollup_hdrs", config.allow_rollup.to_string()),
            ("deny_purge", config.deny_purge.to_string()),
            ("allow_direct", config.allow_direct.to_string()),
            ("allow_atomic", config.allow_atomic_publish.to_string()),
            ("a mirror or sources", (config.mirror.is_some() || config.sources.is_some()).to_string()),
            ("a subject transform", config.subject_transform.is_some().to_string()),
            // It would acknowledge what is in memory only, whatever sync_interval says.
            ("persist_mode", format!("{:?}", config.persist_mode.unwrap_or(PersistenceMode::Default))),
        ]
    };
    settings.extend(of(config).into_iter().zip(of(&wanted)).map(|((name, found), (_, wanted))| (name, found, wanted)));
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut Config);

    #[test]
    fn each_setting_that_a_guarantee_needs_is_compared() {
        let options = Options::new(["nats://x"]);
        let changes: [(&str, Change); 10] = [
            ("max_msgs_per_subject", |config| config.max_messages_per_subject = 7),
            ("subjects", |config| config.subjects.push("more".into())),
            ("storage", |config| config.storage = StorageType::Memory),
            ("retention", |config| config.retention = RetentionPolicy::WorkQueue),
            ("discard", |config| config.discard = DiscardPolicy::Old),
            ("max_age", |config| config.max_age = std::time::Duration::from_secs(1)),
            ("max_msgs", |config| config.max_messages = 7),
            ("allow_atomic", |config| config.allow_atomic_publish = false),
            ("deny_purge", |config| config.deny_purge = true),
            ("persist_mode", |config| config.persist_mode = Some(PersistenceMode::Async)),
        ];
        let differs = |config: &Config| {
            let fixed = fixed(config, &options);
            fixed.into_iter().filter(|(_, found, wanted)| found != wanted).map(|(name, ..)| name).collect::<Vec<_>>()
        };
        assert!(differs(&wanted(&options)).is_empty());
        for (name, change) in changes {
            let mut config = wanted(&options);
            change(&mut config);
            assert_eq!(differs(&config), [name]);
        }
    }
}
