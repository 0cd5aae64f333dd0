//! What probes are answered: whether the program has started, whether a restart would help, and whether it can serve now.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::health::HealthBoard;
use crate::samples::Samples;

/// Names of the three in the health protocol of gRPC.
const STARTED: &str = "courant.started";
const LIVE: &str = "courant.live";
const READY: &str = "courant.ready";

/// Collects what parts of the program say of themselves. Cloning shares.
#[derive(Clone, Debug)]
pub struct Probes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    board: HealthBoard,
}

#[derive(Debug, Default)]
struct State {
    started: bool,
    /// What the program needs to serve, each with what is wrong with it.
    conditions: BTreeMap<&'static str, Option<String>>,
    /// Loops that the program cannot do without.
    pulses: BTreeMap<&'static str, Pulse>,
}

/// What a probe is told: one line for each thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub passes: bool,
    pub text: String,
}

impl Probes {
    pub(crate) fn new(board: HealthBoard) -> Self {
        let probes = Self(Arc::new(Inner { state: Mutex::default(), board }));
        probes.publish();
        probes
    }

    pub(crate) fn board(&self) -> &HealthBoard {
        &self.0.board
    }

    /// What was to be read at the start is read: from now on the other probes count.
    pub fn set_started(&self) {
        self.0.state.lock().started = true;
        self.publish();
    }

    /// Says what keeps the program from serving, or that nothing of this name does any more.
    pub fn set(&self, condition: &'static str, problem: Option<&str>) {
        self.0.state.lock().conditions.insert(condition, problem.map(str::to_owned));
        self.publish();
    }

    /// A loop that shows that it goes on. When one of its rounds lasts longer than this, only a restart helps.
    pub fn pulse(&self, of: &'static str, longest: Duration) -> Pulse {
        let pulse = Pulse::new(longest);
        self.0.state.lock().pulses.insert(of, pulse.clone());
        pulse
    }

    /// Whether the program has started.
    pub fn startup(&self) -> Report {
        let started = self.0.state.lock().started;
        report([("started", if started { None } else { Some("still reading what it needs") })].into_iter())
    }

    /// Whether the program goes on by itself. Only what a restart would help against is looked at.
    pub fn live(&self) -> Report {
        let state = self.0.state.lock();
        report(state.pulses.iter().map(|(of, pulse)| (*of, pulse.is_stuck().then_some("does not go on"))))
    }

    /// Whether the program can serve now. What is named is left out.
    pub fn ready(&self, without: &[&str]) -> Report {
        let state = self.0.state.lock();
        let started = ("started", if state.started { None } else { Some("still reading what it needs") });
        let conditions = state.conditions.iter().map(|(of, problem)| (*of, problem.as_deref()));
        report([started].into_iter().chain(conditions).filter(|(of, _)| !without.contains(of)))
    }

    /// Tells those who ask by gRPC. To be called now and then: a loop that is stuck does not say so.
    pub fn publish(&self) {
        let all = [(STARTED, self.startup()), (LIVE, self.live()), (READY, self.ready(&[]))];
        for (name, report) in all {
            self.0.board.set(name, report.passes);
        }
    }

    pub(crate) fn write(&self, samples: &mut Samples<'_>) -> fmt::Result {
        let shown = |report: Report| f64::from(u8::from(report.passes));
        samples.gauge(
            "courant_started",
            "Whether what is read at the start is read: 1 or 0.",
            shown(self.startup()),
        )?;
        samples.gauge(
            "courant_live",
            "Whether all loops go on: 1 or 0, when a restart would help.",
            shown(self.live()),
        )?;
        samples.gauge("courant_ready", "Whether the program can serve: 1 or 0.", shown(self.ready(&[])))?;
        let conditions: Vec<(&'static str, bool)> = {
            let state = self.0.state.lock();
            state.conditions.iter().map(|(of, problem)| (*of, problem.is_none())).collect()
        };
        let rows = conditions.iter().map(|(of, holds)| ([*of], f64::from(u8::from(*holds))));
        samples.gauges(
            "courant_condition",
            "What the program needs to serve: 1 where it holds, else 0.",
            ["condition"],
            rows,
        )
    }
}

fn report<'a>(all: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Report {
    let (mut passes, mut text) = (true, String::new());
    for (of, problem) in all {
        passes &= problem.is_none();
        // Writing to a string does not fail.
        let _ = match problem {
            Some(problem) => writeln!(text, "[-] {of}: {problem}"),
            None => writeln!(text, "[+] {of}"),
        };
    }
    text.push_str(if passes { "ok\n" } else { "failed\n" });
    Report { passes, text }
}

/// Since when a loop is in its round. Cloning shares.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Beat>);

#[derive(Debug)]
struct Beat {
    origin: Instant,
    /// Milliseconds from the origin to the beginning of the round, plus 1; 0 between two rounds.
    since: AtomicU64,
    longest: Duration,
}

impl Pulse {
    fn new(longest: Duration) -> Self {
        Self(Arc::new(Beat { origin: Instant::now(), since: AtomicU64::new(0), longest }))
    }

    /// A round begins.
    pub fn begin(&self) {
        self.0.since.store(self.now() + 1, Ordering::Relaxed);
    }

    /// The round is over. The next may be long in coming.
    pub fn end(&self) {
        self.0.since.store(0, Ordering::Relaxed);
    }

    fn is_stuck(&self) -> bool {
        let since = self.0.since.load(Ordering::Relaxed);
        since > 0 && self.now().saturating_sub(since - 1) > self.0.longest.as_millis() as u64
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.origin.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }
}

/// One that nobody looks at.
impl Default for Pulse {
    fn default() -> Self {
        Self::new(Duration::from_secs(24 * 3600))
    }
}

/// Shows that a runtime goes on, for ever.
pub async fn beat(pulse: Pulse) {
    loop {
        pulse.begin();
        tokio::time::sleep(BEAT).await;
    }
}

/// Between two beats.
const BEAT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn probes() -> Probes {
        Probes::new(HealthBoard::default())
    }

    #[test]
    fn a_program_that_has_not_started_lives_and_is_not_ready() {
        let probes = probes();
        assert!(!probes.startup().passes && probes.live().passes && !probes.ready(&[]).passes);
        probes.set_started();
        assert!(probes.startup().passes && probes.ready(&[]).passes);
    }

    #[test]
    fn each_condition_takes_the_readiness_and_is_named_until_it_holds_again() {
        let probes = probes();
        probes.set_started();
        for condition in ["disk", "drain", "log", "objects", "view"] {
            probes.set(condition, Some("is away"));
            let report = probes.ready(&[]);
            assert!(!report.passes && report.text.contains(&format!("[-] {condition}: is away")), "{}", report.text);
            assert!(probes.ready(&[condition]).passes && probes.live().passes);
            assert_eq!(probes.board().serves("courant.ready"), Some(false));
            probes.set(condition, None);
            assert!(probes.ready(&[]).passes);
            assert_eq!(probes.board().serves("courant.ready"), Some(true));
        }
    }

    #[test]
    fn a_round_that_does_not_end_is_told_from_a_loop_that_waits() {
        let probes = probes();
        let (stuck, waits) = (probes.pulse("stuck", Duration::ZERO), probes.pulse("waits", Duration::ZERO));
        waits.begin();
        waits.end();
        stuck.begin();
        std::thread::sleep(Duration::from_millis(5));
        let report = probes.live();
        assert!(
            !report.passes && report.text.contains("[-] stuck") && report.text.contains("[+] waits"),
            "{}",
            report.text
        );
        probes.publish();
        assert_eq!(probes.board().serves("courant.live"), Some(false));
        stuck.end();
        assert!(probes.live().passes);
    }
}
