//! What the load client has to know of a server, whichever it is.

use std::net::SocketAddr;

/// Where connections go and what is said on them.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub address: SocketAddr,
    /// Further headers of the handshake, each with its line break.
    pub headers: String,
    /// A connection is ready once this is in a message; none: after the handshake.
    pub ready: Option<Vec<u8>>,
    /// A message that has one of these before the connection is ready says that it never will be.
    pub refusals: Vec<Vec<u8>>,
    /// Messages that ask for an answer, and the answers: signs of life that are not WebSocket pings.
    pub replies: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether cursors are to be kept, to resume from.
    pub cursors: bool,
    /// Whether one frame may hold several messages.
    pub several_in_a_frame: bool,
    /// The kernel's receive buffer in bytes; none: what it chooses.
    pub receive_buffer: Option<u32>,
}

impl Endpoint {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            headers: String::new(),
            ready: None,
            refusals: Vec::new(),
            replies: Vec::new(),
            cursors: false,
            several_in_a_frame: false,
            receive_buffer: None,
        }
    }
}

/// What a connection does that follows a certain topic.
#[derive(Clone, Debug)]
pub struct Greeting {
    pub path: String,
    /// Sent in one piece after the handshake.
    pub messages: Vec<String>,
}
