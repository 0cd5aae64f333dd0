//! What the system under torture is made of.

/// How many of each program there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// `courant-server`.
    pub servers: usize,
    /// `courant-bridge`.
    pub bridges: usize,
    /// NATS servers that keep the log. Without any, the log is in the server's data folder.
    pub nats: usize,
}

impl Shape {
    /// One server with the embedded log.
    pub const SINGLE: Self = Self { servers: 1, bridges: 1, nats: 0 };
    /// Several servers on one log.
    pub const CLUSTER: Self = Self { servers: 3, bridges: 2, nats: 3 };

    pub fn of(cluster: bool) -> Self {
        if cluster { Self::CLUSTER } else { Self::SINGLE }
    }

    pub fn is_cluster(self) -> bool {
        self.nats > 0
    }
}
