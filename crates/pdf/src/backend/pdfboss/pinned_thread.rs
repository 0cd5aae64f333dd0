//! Laying out on the thread that asks.
//!
//! pdfboss lays out pages on as many threads as there are processors. A page and its sample are two, and starting threads
//! for them costs more than laying them out: a quarter of all time. It asks the kernel how many processors this thread may
//! use; while it works, one.

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// While it lives, this thread stays on the processor that it is on.
pub(super) struct PinnedThread(Option<CpuSet>);

impl PinnedThread {
    /// Without leave to do so threads are started, and nothing else changes.
    pub(super) fn here() -> Self {
        let Ok(before) = sched_getaffinity(None) else { return Self(None) };
        let mut here = CpuSet::new();
        let processor = sched_getcpu();
        if before.count() < 2 || processor >= CpuSet::MAX_CPU {
            return Self(None);
        }
        here.set(processor);
        Self(sched_setaffinity(None, &here).is_ok().then_some(before))
    }
}

impl Drop for PinnedThread {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // What was allowed before is allowed again; were it not, only balance between processors would suffer.
            sched_setaffinity(None, before).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::available_parallelism;

    use super::PinnedThread;

    #[test]
    fn one_processor_is_seen_and_then_all_again() {
        let before = available_parallelism().unwrap();
        let alone = PinnedThread::here();
        assert_eq!(available_parallelism().unwrap().get(), 1);
        drop(alone);
        assert_eq!(available_parallelism().unwrap(), before);
    }
}
