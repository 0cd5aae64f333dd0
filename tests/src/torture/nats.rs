//! The NATS servers that keep the log of a cluster under torture.

use std::path::Path;
use std::time::Duration;

use courant_natslog::testing::{self, PASSWORD, SYSTEM_USER, Sync, USER};

use super::network::{Machine, Network};
use super::plan::Node;
use super::process::Program;
use super::shape::Shape;

/// How NATS calls the stream.
const STREAM: &str = "courant";
/// Within the folder of a run.
const OBJECTS: &str = "objects";
const PASSWORD_FILE: &str = "nats-password";
const PASSWORD_KEY: &str = "password.key";
/// How long it is asked for who leads it. Whoever is asked may be stopped.
const ASKED: Duration = Duration::from_secs(2);

/// The program of one of them, with its configuration and its store in a folder.
pub fn program(home: &Path, network: &Network, shape: Shape, number: usize) -> anyhow::Result<Program> {
    let folder = home.join("nats");
    std::fs::create_dir_all(&folder)?;
    let (name, config) = (name(number), folder.join(format!("{}.conf", name(number))));
    let others = (0..shape.nats).filter(|other| *other != number);
    let routes: Vec<String> = others.map(|other| format!("\"nats://{}\"", network.route(number, other))).collect();
    // Not advertised: servers would go around the proxies, and NATS servers around pulled cables.
    let cluster = format!(
        "cluster {{ name: c, listen: \"{}\", no_advertise: true, routes: [{}] }}\n",
        network.route_listener(number),
        routes.join(", ")
    );
    let server = testing::server_block(&name, &network.nats(number).to_string(), &folder.join(&name), Sync::Always);
    std::fs::write(&config, server + &cluster + &testing::passwords())?;
    let program = Program {
        path: testing::binary(),
        arguments: vec!["--config".to_owned(), config.display().to_string()],
        environment: Vec::new(),
        announces: None,
        proxies: Vec::new(),
        log: home.join(format!("{name}.log")),
        name,
    };
    Ok(network.place(Machine::Nats(number), program))
}

fn name(number: usize) -> String {
    format!("nats-{number}")
}

/// Which of them is meant now. Without a leader it is the first.
pub async fn number_of(node: Node, network: &Network, shape: Shape) -> usize {
    let Node::Number(number) = node else {
        let urls = (0..shape.nats).map(|number| format!("nats://{}", network.nats(number))).collect();
        let leader = tokio::time::timeout(ASKED, testing::stream_leader(urls, STREAM)).await.ok().flatten();
        return (0..shape.nats).find(|number| leader.as_ref() == Some(&name(*number))).unwrap_or(0);
    };
    number
}

/// Makes what all servers on them share.
pub fn make_shared(home: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(home.join(OBJECTS))?;
    std::fs::write(home.join(PASSWORD_FILE), PASSWORD)?;
    courant_auth::Secret::load_or_create(&home.join(PASSWORD_KEY))?;
    Ok(())
}

/// The flags with which a server uses them as its log.
pub fn flags(home: &Path, urls: &[String], replicas: usize) -> Vec<String> {
    let file = |name: &str| home.join(name).display().to_string();
    let password = file(PASSWORD_FILE);
    let pairs = [
        ("--log", urls.join(",")),
        ("--log-stream", STREAM.to_owned()),
        ("--log-replicas", replicas.to_string()),
        ("--log-user", USER.to_owned()),
        ("--log-password-file", password.clone()),
        ("--log-system-user", SYSTEM_USER.to_owned()),
        ("--log-system-password-file", password),
        ("--objects", format!("file://{}", file(OBJECTS))),
        ("--password-key-file", file(PASSWORD_KEY)),
        // Some documents and results are to be in the object store too.
        ("--small-file-bytes", "1500".to_owned()),
        // Both are long for whoever waits for the next fault.
        ("--lame-duck", "500ms".to_owned()),
        ("--drain-grace", "2s".to_owned()),
    ];
    pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
}
