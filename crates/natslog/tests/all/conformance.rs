//! The invariants of the log, which every engine keeps, on one node and on three; served from memory, and by the stream.

use std::sync::Arc;

use courant_joblog::log::Log;
use courant_natslog::Options;

use crate::harness::{Cluster, Shared, Sync};

type Subject = (Arc<dyn Log>, Arc<Cluster>);

fn short(options: &mut Options) {
    options.history_per_job = 4;
}

mod on_one_node {
    use super::*;

    static ONE: Shared = Shared::new();

    async fn log(change: impl FnOnce(&mut Options)) -> Subject {
        ONE.log(|| Cluster::single(Sync::Lazy), change).await
    }

    courant_joblog::conformance!(log(|_| {}).await, log(short).await);
    courant_joblog::conformance_of_notes!(log(|_| {}).await);

    /// Readers cross from the stream to memory.
    mod with_little_memory {
        use super::*;

        fn few(options: &mut Options) {
            options.recent_entries = 8;
        }

        courant_joblog::conformance!(
            log(few).await,
            log(|options| {
                few(options);
                short(options);
            })
            .await
        );
    }
}

mod on_three_nodes {
    use super::*;

    static THREE: Shared = Shared::new();

    async fn log(change: impl FnOnce(&mut Options)) -> Subject {
        THREE.log(|| Cluster::three(Sync::Always), change).await
    }

    courant_joblog::conformance_of_notes!(log(|_| {}).await);
    courant_joblog::conformance!(
        log(|_| {}).await,
        log(|options| {
            options.recent_entries = 8;
            short(options);
        })
        .await
    );
}
