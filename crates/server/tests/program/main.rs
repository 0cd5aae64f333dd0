//! `courant-server` as a program: its folder, and what it does while the object store does not.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use courant_auth::{Role, Secret, Signer};
use courant_proto::v1::job_service_client::JobServiceClient;
use courant_proto::v1::submit_job_request::Part;
use courant_proto::v1::{SubmitJobHeader, SubmitJobRequest};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

const PATIENCE: Duration = Duration::from_secs(60);

/// A running server, killed when it is dropped.
struct Running {
    child: Child,
    channel: Channel,
    log: std::sync::Arc<std::sync::Mutex<String>>,
}

impl Running {
    /// Starts it as a shell with an open umask would.
    async fn start(data: &Path, store: &[(&str, &str)]) -> Self {
        let program = env!("CARGO_BIN_EXE_courant-server");
        let mut command = Command::new("sh");
        command.args(["-c", "umask 000; exec \"$0\" \"$@\"", program, "--grpc", "127.0.0.1:0", "--data-dir"]).arg(data);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COURANT_") || name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command.envs(store.iter().copied()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = std::sync::Arc::<std::sync::Mutex<String>>::default();
        let address = async {
            loop {
                let line = lines.next_line().await.unwrap().expect("it ended before it served");
                log.lock().unwrap().push_str(&format!("{line}\n"));
                if let Some((_, rest)) = line.split_once("serving gRPC address=") {
                    return rest.split(' ').next().unwrap().to_owned();
                }
            }
        };
        let address = tokio::time::timeout(PATIENCE, address).await.expect("it did not serve");
        let kept = log.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                kept.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        Self { child, channel, log }
    }

    async fn health(&self, service: &str) -> i32 {
        let ask = HealthCheckRequest { service: service.into() };
        HealthClient::new(self.channel.clone()).check(ask).await.unwrap().into_inner().status
    }

    async fn submit(&self, data: &Path) -> Result<(), Status> {
        let secret = Secret::load(&data.join("secret")).unwrap();
        let token = Signer::hs256(&secret).sign("alice", &[Role::Service], PATIENCE).unwrap();
        let header = SubmitJobHeader { filename: "a.pdf".into(), kind: "pdf".into(), ..SubmitJobHeader::default() };
        let parts = [
            Part::Header(header), // Too large for the log.
            Part::Chunk(vec![b'%'; 100_000].into()),
        ];
        let body = tokio_stream::iter(parts.map(|part| SubmitJobRequest { part: Some(part) }));
        let mut request = Request::new(body);
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        JobServiceClient::new(self.channel.clone()).submit_job(request).await.map(drop)
    }

    async fn logs(&self, text: &str) {
        let there = async {
            while !self.log.lock().unwrap().contains(text) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, there).await;
        found.unwrap_or_else(|_| panic!("no {text:?} in:\n{}", self.log.lock().unwrap()));
    }

    async fn stop(&mut self) -> Duration {
        let began = Instant::now();
        let pid = rustix::process::Pid::from_raw(self.child.id().unwrap() as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it does not stop").unwrap();
        began.elapsed()
    }
}

fn everything(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(everything(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}

/// What a store by this URL is told by its environment.
fn s3(endpoint: &str) -> Vec<(&'static str, String)> {
    vec![
        ("COURANT_OBJECTS", "s3://documents/courant".into()),
        ("AWS_ENDPOINT", endpoint.into()),
        ("AWS_ALLOW_HTTP", "true".into()),
        ("AWS_REGION", "us-east-1".into()),
        ("AWS_ACCESS_KEY_ID", "key".into()),
        ("AWS_SECRET_ACCESS_KEY", "hush".into()),
    ]
}

fn borrowed<'a>(environment: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    environment.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[tokio::test]
async fn nobody_else_can_look_into_the_data_folder_whatever_the_umask() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    let server = Running::start(&data, &[]).await;
    server.submit(&data).await.unwrap();
    let made = everything(&data);
    assert!(made.iter().any(|path| path.to_string_lossy().contains("document-")), "{made:?}");
    for path in made {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    }
    server.logs("others could read the data folder").await;
}

#[tokio::test]
async fn a_store_that_never_answers_holds_up_neither_start_nor_stop() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let environment = s3(&format!("http://{}", silent.local_addr().unwrap()));
    let held = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = silent.accept().await {
            held.push(socket);
        }
    });
    let home = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let mut server = Running::start(&home.path().join("data"), &borrowed(&environment)).await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(server.health("").await, ServingStatus::Serving as i32);
    server.logs("the store of documents and results cannot be used why=\"no answer within").await;
    assert_eq!(server.health("courant.store").await, ServingStatus::NotServing as i32);
    assert!(server.stop().await < Duration::from_secs(20));
    held.abort();
}

#[tokio::test]
async fn a_wrong_setting_is_told_at_once_at_start_and_to_callers() {
    let answer = || async {
        let body = "<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>";
        (axum::http::StatusCode::NOT_FOUND, body)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    let plain: Vec<_> = s3(&address).into_iter().filter(|(name, _)| *name != "AWS_ALLOW_HTTP").collect();
    for (environment, why) in [(s3(&address), "there is no such bucket"), (plain, "plain http is not allowed")] {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        let server = Running::start(&data, &borrowed(&environment)).await;
        server.logs("the store of documents and results cannot be used").await;
        let began = Instant::now();
        let status = server.submit(&data).await.unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "STORAGE_MISCONFIGURED", "{status:?}");
        assert!(details.retry_info().is_none() && status.message().contains(why), "{status:?}");
        // However many ask, the log stays readable.
        for _ in 0..20 {
            server.submit(&data).await.unwrap_err();
        }
        let lines = server.log.lock().unwrap().lines().filter(|line| line.contains("results failed")).count();
        assert!(lines <= 3, "{lines} lines");
    }
}
