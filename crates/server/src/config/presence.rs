//! The flags of presence.

use clap::Args;

/// How much the server keeps of who is connected.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Presence")]
pub struct PresenceConfig {
    /// Devices of one user that are kept for each bridge, and shown in all; surplus ones are left out (1 to 1000)
    #[arg(long, env = "COURANT_PRESENCE_DEVICES_PER_USER", default_value_t = 100, value_name = "N")]
    pub presence_devices_per_user: usize,

    /// Users that are kept of each bridge; surplus ones are left out (1 to 10000000)
    #[arg(long, env = "COURANT_PRESENCE_USERS_PER_BRIDGE", default_value_t = 100_000, value_name = "N")]
    pub presence_users_per_bridge: usize,
}

impl Default for PresenceConfig {
    fn default() -> Self {
        Self { presence_devices_per_user: 100, presence_users_per_bridge: 100_000 }
    }
}
