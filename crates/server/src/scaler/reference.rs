//! What a `ScaledObject` says of the workers it scales.

use std::time::Duration;

use courant_proto::keda::ScaledObjectRef;
use tonic::Status;

use crate::text::is_kind;

/// The kind of work where none is named.
const KIND: &str = "pdf";
/// How long a job should wait at most where nothing is said.
const TARGET_WAIT: Duration = Duration::from_secs(60);
/// What a worker takes at once where nothing is said: the default of `courant-pdf-worker --slots`.
const SLOTS_PER_WORKER: u32 = 2;
/// Shorter waits cannot be kept by starting processes.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(7 * 24 * 3600);
/// As many as a worker may have.
const MAX_SLOTS: u32 = 1024;

/// The settings in the metadata of a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `kind`: the kind of work that the workers take.
    pub kind: String,
    /// `targetWait`: how long a job that comes now may wait.
    pub target_wait: Duration,
    /// `slotsPerWorker`: what one of the scaled workers takes at once.
    pub slots_per_worker: u32,
}

impl Reference {
    pub fn read(object: &ScaledObjectRef) -> Result<Self, Status> {
        let given = |name: &str| object.scaler_metadata.get(name).map(String::as_str);
        let refuse = |name: &str, given: &str, must: &str| {
            Status::invalid_argument(format!("the trigger's metadata {name} must be {must}, not {given:?}"))
        };
        let kind = given("kind").unwrap_or(KIND);
        if !is_kind(kind) {
            return Err(refuse("kind", kind, "the kind of work of a worker, such as pdf"));
        }
        let target_wait = match given("targetWait") {
            None => TARGET_WAIT,
            Some(text) => humantime::parse_duration(text)
                .ok()
                .filter(|wait| (SHORTEST_WAIT..=LONGEST_WAIT).contains(wait))
                .ok_or_else(|| refuse("targetWait", text, "a time of 1s to 7d, such as 60s"))?,
        };
        let slots_per_worker = match given("slotsPerWorker") {
            None => SLOTS_PER_WORKER,
            Some(text) => text
                .parse()
                .ok()
                .filter(|slots| (1..=MAX_SLOTS).contains(slots))
                .ok_or_else(|| refuse("slotsPerWorker", text, "the --slots of the workers, 1 to 1024"))?,
        };
        Ok(Self { kind: kind.to_owned(), target_wait, slots_per_worker })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(metadata: &[(&str, &str)]) -> Result<Reference, String> {
        let scaler_metadata = metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let object = ScaledObjectRef { name: "workers".into(), namespace: "courant".into(), scaler_metadata };
        Reference::read(&object).map_err(|status| status.message().to_owned())
    }

    #[test]
    fn what_is_not_said_has_a_default_and_what_is_wrong_is_refused_by_name() {
        let read_default = read(&[("scalerAddress", "courant-server:50052")]).unwrap();
        assert_eq!(
            (read_default.kind.as_str(), read_default.target_wait, read_default.slots_per_worker),
            ("pdf", TARGET_WAIT, 2)
        );
        let chosen = read(&[("kind", "audio"), ("targetWait", "5m"), ("slotsPerWorker", "8")]).unwrap();
        assert_eq!((chosen.kind.as_str(), chosen.target_wait.as_secs(), chosen.slots_per_worker), ("audio", 300, 8));
        for (name, wrong) in [("kind", ""), ("targetWait", "soon"), ("targetWait", "0s"), ("slotsPerWorker", "0")] {
            let refused = read(&[(name, wrong)]).unwrap_err();
            assert!(refused.contains(name) && refused.contains(&format!("{wrong:?}")), "{refused}");
        }
    }
}
