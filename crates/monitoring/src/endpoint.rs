//! The address for operators: metrics and probes over plain HTTP/1.1.
//!
//! It has a thread and a runtime of its own: a program whose threads are all stuck still says so. Whoever can reach it may
//! ask: connections are few and short, one request each, and one scrape is written at a time.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use courant_runtime::{ListenError, listen};
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::monitor::Monitor;
use crate::probes::Report;
use crate::text::TextFormat;

/// Connections at once; more wait until one ends, which takes no longer than a connection may.
const CONNECTIONS: usize = 32;
/// How long a connection may last.
const CONNECTION_WITHIN: Duration = Duration::from_secs(20);
/// How long the head of a request may take.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// How long a scrape may take, with its wait for those before it. Prometheus waits 10 s.
const SCRAPE_WITHIN: Duration = Duration::from_secs(9);
/// The head of a request in bytes.
const HEAD_BYTES: usize = 16 << 10;
/// Pause after a failed accept: mostly a lack of file descriptors, which passes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the address comes from.
const FLAG: &str = "metrics-addr";

/// Answers until it is dropped.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    stop: CancellationToken,
}

impl Monitor {
    /// Answers on this address until the endpoint is dropped.
    pub async fn serve(&self, address: SocketAddr) -> Result<Endpoint, ListenError> {
        let listener = listen(FLAG, address).await?;
        let started = Endpoint::start(listener, self.clone());
        let endpoint = started.map_err(|cause| ListenError::new(FLAG, address, cause))?;
        tracing::info!(metrics = %endpoint.address(), "serving metrics and probes");
        Ok(endpoint)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Endpoint {
    /// The address it answers on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn start(listener: TcpListener, monitor: Monitor) -> io::Result<Self> {
        let (address, stop) = (listener.local_addr()?, CancellationToken::new());
        let (listener, stopped) = (listener.into_std()?, stop.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build()?;
        let answers = Arc::new(Answers { monitor, scrapes: Arc::new(Semaphore::new(1)) });
        std::thread::Builder::new().name("monitoring".into()).spawn(move || {
            runtime.block_on(async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => drop(stopped.run_until_cancelled(accept(listener, answers)).await),
                    Err(error) => tracing::error!(%error, "metrics and probes cannot be served"),
                }
            });
            // A scrape that hangs must not hold the end up.
            runtime.shutdown_background();
        })?;
        Ok(Self { address, stop })
    }
}

async fn accept(listener: TcpListener, answers: Arc<Answers>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Never closed.
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((socket, _)) => {
                let answers = answers.clone();
                tokio::spawn(async move {
                    let _ = timeout(CONNECTION_WITHIN, converse(socket, answers)).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "accept failed on the address for metrics");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(socket: TcpStream, answers: Arc<Answers>) {
    let service = service_fn(move |request| {
        let answers = answers.clone();
        async move { Ok::<_, Infallible>(answers.answer(&request).await) }
    });
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(socket), service);
    if let Err(error) = conversation.await {
        tracing::debug!(%error, "a connection to the address for metrics ended");
    }
}

struct Answers {
    monitor: Monitor,
    /// One scrape at a time.
    scrapes: Arc<Semaphore>,
}

impl Answers {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".into());
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        let probes = self.monitor.probes();
        match request.uri().path() {
            "/metrics" => self.metrics(request).await,
            "/livez" => probe(probes.live()),
            "/startupz" => probe(probes.startup()),
            "/readyz" => probe(probes.ready(&excluded(request.uri().query().unwrap_or_default()))),
            _ => plain(StatusCode::NOT_FOUND, "there are /metrics, /livez, /readyz and /startupz\n".into()),
        }
    }

    async fn metrics(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let format = TextFormat::accepted(accept);
        let (monitor, scrapes) = (self.monitor.clone(), self.scrapes.clone());
        let written = async move {
            let turn = scrapes.acquire_owned().await.ok()?;
            // Parts are asked under locks of theirs, so not here, where probes are answered.
            let writing = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                monitor.text(format)
            });
            writing.await.ok()?.ok()
        };
        match timeout(SCRAPE_WITHIN, written).await {
            Ok(Some(text)) => respond(StatusCode::OK, format.content_type(), text),
            Ok(None) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n".into()),
            Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "a part of the program does not say its metrics\n".into()),
        }
    }
}

/// Conditions that a readiness probe leaves out: `?exclude=objects&exclude=disk`.
fn excluded(query: &str) -> Vec<&str> {
    query.split('&').filter_map(|pair| pair.strip_prefix("exclude=")).collect()
}

fn probe(report: Report) -> Response<Full<Bytes>> {
    let status = if report.passes { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    plain(status, report.text)
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", text)
}

fn respond(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn ask(address: SocketAddr, head: &str) -> String {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(format!("{head}\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).await.unwrap();
        text
    }

    async fn endpoint(monitor: &Monitor) -> Endpoint {
        monitor.serve("127.0.0.1:0".parse().unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn metrics_come_in_the_format_that_is_asked_for() {
        let endpoint = endpoint(&Monitor::new("test", "1")).await;
        let older = ask(endpoint.address(), "GET /metrics HTTP/1.1").await;
        assert!(older.starts_with("HTTP/1.1 200") && older.contains("text/plain; version=0.0.4"), "{older}");
        assert!(older.contains("# TYPE process_cpu_seconds_total counter"), "{older}");
        let open = ask(endpoint.address(), "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text").await;
        assert!(open.contains("application/openmetrics-text; version=1.0.0") && open.ends_with("# EOF\n"), "{open}");
    }

    #[tokio::test]
    async fn what_is_not_there_is_said_with_what_is() {
        let endpoint = endpoint(&Monitor::new("test", "1")).await;
        assert!(ask(endpoint.address(), "GET / HTTP/1.1").await.contains("404"));
        assert!(ask(endpoint.address(), "POST /metrics HTTP/1.1").await.contains("405"));
    }

    #[tokio::test]
    async fn probes_say_what_is_wrong_and_can_leave_it_out() {
        let monitor = Monitor::new("test", "1");
        let endpoint = endpoint(&monitor).await;
        assert!(ask(endpoint.address(), "GET /startupz HTTP/1.1").await.starts_with("HTTP/1.1 503"));
        monitor.probes().set_started();
        monitor.probes().set("objects", Some("the store is away"));
        let ready = ask(endpoint.address(), "GET /readyz HTTP/1.1").await;
        assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("[-] objects: the store is away"), "{ready}");
        for passes in ["/readyz?exclude=objects", "/livez", "/startupz"] {
            assert!(ask(endpoint.address(), &format!("GET {passes} HTTP/1.1")).await.starts_with("HTTP/1.1 200"));
        }
    }

    /// A part that holds its lock for ever: probes are answered all the same, and scrapes are given up.
    #[tokio::test]
    async fn a_part_that_hangs_does_not_take_the_probes_with_it() {
        let monitor = Monitor::new("test", "1");
        let (release, hold) = std::sync::mpsc::channel::<()>();
        let hold = parking_lot::Mutex::new(hold);
        monitor.add(move |_| {
            let _ = hold.lock().recv();
            Ok(())
        });
        let endpoint = endpoint(&monitor).await;
        let address = endpoint.address();
        let scrapes = [0, 1].map(|_| tokio::spawn(ask(address, "GET /metrics HTTP/1.1")));
        assert!(ask(address, "GET /livez HTTP/1.1").await.starts_with("HTTP/1.1 200"));
        for scrape in scrapes {
            assert!(scrape.await.unwrap().starts_with("HTTP/1.1 503"));
        }
        drop(release);
    }

    #[tokio::test]
    async fn silent_connections_are_closed_and_make_room() {
        let endpoint = endpoint(&Monitor::new("test", "1")).await;
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS {
            silent.push(TcpStream::connect(endpoint.address()).await.unwrap());
        }
        assert!(ask(endpoint.address(), "GET /livez HTTP/1.1").await.starts_with("HTTP/1.1 200"));
    }
}
