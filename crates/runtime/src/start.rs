//! How a program starts, listens and ends.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tracing_subscriber::EnvFilter;

use crate::logging::{self, Format};
use crate::{Shutdown, raise_open_files};

/// For blocking work that goes on when a program has ended, such as writing to a stuck disk. Longer is not waited for.
const BLOCKING_WORK: Duration = Duration::from_secs(2);

/// Connections that wait to be accepted; one more is dropped, and its client tries again after a second. Linux allows no more
/// than this unless it is told to (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (--{flag}): {cause}")]
pub struct ListenError {
    /// The flag that the address comes from, without dashes.
    flag: &'static str,
    address: SocketAddr,
    cause: io::Error,
}

impl ListenError {
    /// For who listens otherwise than by [`listen`].
    pub fn new(flag: &'static str, address: SocketAddr, cause: io::Error) -> Self {
        Self { flag, address, cause }
    }
}

/// Starts logging and the async runtime, lets signals trigger the [`Shutdown`], and runs the program to its end.
pub fn run<T, E: From<io::Error>>(
    filter: EnvFilter,
    format: Format,
    program: impl AsyncFnOnce(Shutdown) -> Result<T, E>,
) -> Result<T, E> {
    logging::start(filter, format);
    raise_open_files();
    let runtime = Runtime::new()?;
    let ended = runtime.block_on(async {
        let shutdown = Shutdown::new();
        // Before anybody can know that the program is there.
        shutdown.on_signals()?;
        program(shutdown).await
    });
    runtime.shutdown_timeout(BLOCKING_WORK);
    ended
}

/// Listens on the address that was given with a flag, named without dashes.
pub async fn listen(flag: &'static str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    try_listen(address).map_err(|cause| ListenError { flag, address, cause })
}

fn try_listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A program that is started again takes its address at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// How a program ends: an error is written to standard error, after the program's name.
pub fn exit_code(program: &str, ended: Result<(), impl Display>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
