//! Streams and servers that cannot keep what the log promises.

use async_nats::jetstream::stream::{Config, DiscardPolicy, PersistenceMode, StorageType};
use courant_natslog::{NatsLog, OpenError, Options};

use crate::harness::{Cluster, Sync, open};

/// A name, and what changes the thing it names.
type Case<T> = (&'static str, fn(&mut T));

async fn error(options: Options) -> OpenError {
    NatsLog::open(options).await.expect_err("it must not be opened")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_node_must_sync_each_write_or_be_allowed_not_to() {
    let lazy = Cluster::single(Sync::Lazy);
    let refused = error(lazy.options("log")).await;
    assert!(matches!(refused, OpenError::Lossy { .. }), "{refused}");
    for part in ["n1", "sync_interval: always", "--allow-lossy"] {
        assert!(refused.to_string().contains(part), "{refused}");
    }
    open(lazy.lossy("log")).await;

    let always = Cluster::single(Sync::Always);
    open(always.options("log")).await;
    let unknown = error(Options { system_login: None, ..always.options("log") }).await;
    assert!(matches!(unknown, OpenError::Lossy { .. }), "{unknown}");
    assert!(unknown.to_string().contains("system account"), "{unknown}");
    // A user like others learns nothing from the system account's subjects.
    let login = Some(always.options("log").login);
    let powerless = error(Options { system_login: login, ..always.options("log") }).await;
    assert!(matches!(powerless, OpenError::JetStream { .. }), "{powerless}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_cluster_every_node_must_sync_each_write() {
    let lazy = Cluster::three(Sync::Lazy);
    // As soon as there is a leader, and so an answer.
    open(lazy.lossy("log")).await;
    let refused = error(lazy.options("log")).await;
    assert!(matches!(refused, OpenError::Lossy { .. }), "{refused}");
    for node in &lazy.nodes {
        assert!(refused.to_string().contains(&node.name), "{refused}");
    }
    open(Options { system_login: None, ..lazy.options("log") }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_with_other_settings_is_named_with_what_differs() {
    let cluster = Cluster::single(Sync::Lazy);
    drop(open(cluster.lossy("good")).await);
    let context = cluster.client().await;
    let good = context.get_stream("good").await.unwrap().cached_info().config.clone();
    let cases: [Case<Config>; 6] = [
        ("max_msgs_per_subject", |config| config.max_messages_per_subject += 1),
        ("discard", |config| config.discard = DiscardPolicy::Old),
        ("storage", |config| config.storage = StorageType::Memory),
        ("max_age", |config| config.max_age = std::time::Duration::from_secs(3_600)),
        ("allow_atomic", |config| config.allow_atomic_publish = false),
        ("persist_mode", |config| {
            config.persist_mode = Some(PersistenceMode::Async);
            config.allow_atomic_publish = false;
        }),
    ];
    for (setting, change) in cases {
        let name = format!("bad-{setting}");
        let mut config = Config { name: name.clone(), subjects: vec![format!("{name}.>")], ..good.clone() };
        change(&mut config);
        context.create_stream(config).await.unwrap();
        let refused = error(cluster.lossy(&name)).await;
        let OpenError::Setting { setting: named, wanted, found, .. } = &refused else { panic!("{refused}") };
        assert!(*named == setting || setting == "persist_mode" && *named == "allow_atomic", "{refused}");
        assert_ne!(wanted, found);
        assert!(refused.to_string().contains(&name) && refused.to_string().contains("nats stream edit"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_elses_stream_is_left_alone() {
    let cluster = Cluster::single(Sync::Lazy);
    let context = cluster.client().await;
    context.create_stream(Config { name: "theirs".into(), ..Config::default() }).await.unwrap();
    let refused = error(cluster.lossy("theirs")).await;
    assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");
    drop(open(cluster.lossy("newer")).await);
    let mut config = context.get_stream("newer").await.unwrap().cached_info().config.clone();
    config.metadata.insert("courant-format".into(), "2".into());
    context.update_stream(config).await.unwrap();
    let refused = error(cluster.lossy("newer")).await;
    assert!(matches!(refused, OpenError::Newer { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fewer_replicas_than_asked_for_are_refused() {
    let cluster = Cluster::three(Sync::Lazy);
    open(Options { replicas: 1, ..cluster.lossy("log") }).await;
    let refused = error(cluster.lossy("log")).await;
    assert!(matches!(refused, OpenError::Setting { setting: "replicas", .. }), "{refused}");
    assert!(refused.to_string().contains("--replicas 3"), "{refused}");
}

#[tokio::test]
async fn options_that_cannot_be_are_named() {
    let wrong: [Case<Options>; 5] = [
        ("servers", |options| options.servers.push("nats://alice:secret@127.0.0.1:1".into())),
        ("stream", |options| options.stream = "a.b".into()),
        ("replicas", |options| options.replicas = 2),
        ("history_per_job", |options| options.history_per_job = 1),
        ("servers", |options| options.servers.clear()),
    ];
    for (name, change) in wrong {
        let mut options = Options::new(["nats://127.0.0.1:1"]);
        change(&mut options);
        let refused = error(options).await.to_string();
        assert!(refused.starts_with(name) && !refused.contains("secret"), "{refused}");
    }
}
