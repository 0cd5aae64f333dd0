//! The flags of shared resources.

use clap::Args;

/// How much of what all users share one user and all together may have.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Limits")]
pub struct ShareLimits {
    /// Lists of jobs that one user may have computed at once; more wait for their turn (1 to 10000)
    #[arg(long, env = "COURANT_LISTS_PER_USER", default_value_t = 2, value_name = "N")]
    pub lists_per_user: u32,

    /// Lists of jobs of all users that are computed or wait for a processor (1 to 1000000)
    #[arg(long, env = "COURANT_MAX_LISTS", default_value_t = 256, value_name = "N")]
    pub max_lists: u32,

    /// Watches of the queue, the workers, the bridges and the metrics that one user may have open at once (1 to 1000000)
    #[arg(long, env = "COURANT_STATE_WATCHES_PER_USER", default_value_t = 64, value_name = "N")]
    pub state_watches_per_user: u32,

    /// The same of all users together; those of bridges are not counted (1 to 10000000)
    #[arg(long, env = "COURANT_MAX_STATE_WATCHES", default_value_t = 4096, value_name = "N")]
    pub max_state_watches: u32,

    /// Calls of ConvertDocument that one user may have open at once, from the upload to the end of the result (1 to 1000000)
    #[arg(long, env = "COURANT_CONVERSIONS_PER_USER", default_value_t = 100, value_name = "N")]
    pub conversions_per_user: u32,

    /// The same of all users together (1 to 1000000)
    #[arg(long, env = "COURANT_MAX_CONVERSIONS", default_value_t = 2000, value_name = "N")]
    pub max_conversions: u32,

    /// Kinds of jobs that the connected workers of one user may name, each worker's counted by itself (64 to 10000000)
    #[arg(long, env = "COURANT_WORKER_KINDS_PER_USER", default_value_t = 16_384, value_name = "N")]
    pub worker_kinds_per_user: u32,

    /// The same of all workers together (64 to 10000000)
    #[arg(long, env = "COURANT_MAX_WORKER_KINDS", default_value_t = 65_536, value_name = "N")]
    pub max_worker_kinds: u32,
}

impl Default for ShareLimits {
    fn default() -> Self {
        Self {
            lists_per_user: 2,
            max_lists: 256,
            state_watches_per_user: 64,
            max_state_watches: 4096,
            conversions_per_user: 100,
            max_conversions: 2000,
            worker_kinds_per_user: 16_384,
            max_worker_kinds: 65_536,
        }
    }
}

impl ShareLimits {
    /// A flag whose value cannot be used, and what it must be.
    pub fn problem(&self) -> Option<(&'static str, &'static str)> {
        // One worker may name as many kinds as there may be.
        let kinds = |kinds: u32| !(64..=10_000_000).contains(&kinds);
        let rules = [
            ("--lists-per-user", !(1..=10_000).contains(&self.lists_per_user), "must be 1 to 10000"),
            ("--max-lists", !(1..=1_000_000).contains(&self.max_lists), "must be 1 to 1000000"),
            (
                "--state-watches-per-user",
                !(1..=1_000_000).contains(&self.state_watches_per_user),
                "must be 1 to 1000000",
            ),
            ("--max-state-watches", !(1..=10_000_000).contains(&self.max_state_watches), "must be 1 to 10000000"),
            ("--conversions-per-user", !(1..=1_000_000).contains(&self.conversions_per_user), "must be 1 to 1000000"),
            ("--max-conversions", !(1..=1_000_000).contains(&self.max_conversions), "must be 1 to 1000000"),
            ("--worker-kinds-per-user", kinds(self.worker_kinds_per_user), "must be 64 to 10000000"),
            ("--max-worker-kinds", kinds(self.max_worker_kinds), "must be 64 to 10000000"),
        ];
        rules.into_iter().find(|(_, broken, _)| *broken).map(|(flag, _, problem)| (flag, problem))
    }
}
