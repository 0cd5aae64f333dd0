//! The flags of who is served how often, and of how much may run.

use std::collections::BTreeMap;

use clap::Args;
use courant_engine::view::{OwnerWeights, Weights};
use courant_joblog::ids::Owner;

use crate::text::is_kind;

/// How lanes, owners and kinds share the workers.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Fairness")]
pub struct Fairness {
    /// How often the premium lane is served, against the other lanes, while all have jobs waiting (1 to 1000)
    #[arg(long, env = "COURANT_PREMIUM_WEIGHT", default_value_t = 6, value_name = "N")]
    pub premium_weight: u32,

    /// How often the normal lane is served, against the other lanes (1 to 1000)
    #[arg(long, env = "COURANT_NORMAL_WEIGHT", default_value_t = 3, value_name = "N")]
    pub normal_weight: u32,

    /// How often the large lane is served, against the other lanes (1 to 1000)
    #[arg(long, env = "COURANT_LARGE_WEIGHT", default_value_t = 1, value_name = "N")]
    pub large_weight: u32,

    /// How many jobs of an owner are taken in each of its turns, one after the other; of others it is one (1 to 100; at most 256
    /// owners)
    #[arg(long = "owner-weights", env = "COURANT_OWNER_WEIGHTS", value_name = "OWNER=N,…", value_delimiter = ',', value_parser = owner_weight)]
    pub owner_weights: Vec<(String, u32)>,

    /// How much of the slots for a kind of jobs one owner may have while another owner waits for them, and at least one
    /// slot fewer than all (above 0; 1: all of them)
    #[arg(long, env = "COURANT_OWNER_SHARE", default_value_t = 0.75, value_name = "SHARE")]
    pub owner_share: f64,

    /// Jobs of one kind that an owner may have running at any time, also while nobody else waits (0: no limit)
    #[arg(long, env = "COURANT_OWNER_RUNNING", default_value_t = 0, value_name = "N")]
    pub owner_running: u32,

    /// Jobs of a kind that all owners together may have running, for kinds that need something of which there is little; of others
    /// as many as there are slots (1 to 1000000)
    #[arg(long = "kind-running", env = "COURANT_KIND_RUNNING", value_name = "KIND=N,…", value_delimiter = ',', value_parser = kind_running)]
    pub kind_running: Vec<(String, u32)>,
}

impl Default for Fairness {
    fn default() -> Self {
        Self {
            premium_weight: 6,
            normal_weight: 3,
            large_weight: 1,
            owner_weights: Vec::new(),
            owner_share: 0.75,
            owner_running: 0,
            kind_running: Vec::new(),
        }
    }
}

impl Fairness {
    pub fn lane_weights(&self) -> Weights {
        Weights { premium: self.premium_weight, normal: self.normal_weight, large: self.large_weight }
    }

    pub fn owner_weights(&self) -> OwnerWeights {
        OwnerWeights::new(self.owner_weights.iter().map(|(owner, weight)| (Owner::new(owner.as_str()), *weight)))
    }

    pub fn kind_running(&self) -> BTreeMap<Box<str>, u32> {
        self.kind_running.iter().map(|(kind, most)| (kind.as_str().into(), *most)).collect()
    }

    /// The first flag whose value cannot work, and what would be right.
    pub fn problem(&self) -> Option<(&'static str, &'static str)> {
        let weight = |weight: u32| !(1..=Weights::MAX).contains(&weight);
        let rules = [
            ("--premium-weight", weight(self.premium_weight), "must be 1 to 1000"),
            ("--normal-weight", weight(self.normal_weight), "must be 1 to 1000"),
            ("--large-weight", weight(self.large_weight), "must be 1 to 1000"),
            ("--owner-weights", self.owner_weights.len() > OwnerWeights::MAX_OWNERS, "must name at most 256 owners"),
            ("--owner-weights", has_repeats(&self.owner_weights), "must name each owner once"),
            ("--owner-share", !(self.owner_share > 0.0 && self.owner_share <= 1.0), "must be above 0 and at most 1"),
            ("--kind-running", has_repeats(&self.kind_running), "must name each kind once"),
        ];
        rules.into_iter().find(|(_, broken, _)| *broken).map(|(flag, _, problem)| (flag, problem))
    }
}

fn has_repeats(named: &[(String, u32)]) -> bool {
    named.iter().enumerate().any(|(at, (name, _))| named[..at].iter().any(|(other, _)| other == name))
}

fn owner_weight(text: &str) -> Result<(String, u32), String> {
    // The last sign: a subject of a token may have others.
    let parsed = text.rsplit_once('=').and_then(|(owner, weight)| Some((owner.trim(), weight.trim().parse().ok()?)));
    match parsed {
        Some((owner, weight)) if !owner.is_empty() && (1..=OwnerWeights::MAX).contains(&weight) => {
            Ok((owner.to_owned(), weight))
        }
        _ => Err(format!("write it like alice=3, with 1 to {}", OwnerWeights::MAX)),
    }
}

fn kind_running(text: &str) -> Result<(String, u32), String> {
    let parsed = text.split_once('=').and_then(|(kind, most)| Some((kind.trim(), most.trim().parse().ok()?)));
    match parsed {
        Some((kind, most)) if is_kind(kind) && (1..=1_000_000).contains(&most) => Ok((kind.to_owned(), most)),
        _ => Err("write it like ocr=4: a kind of jobs, and 1 to 1000000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_limits_are_named() {
        assert_eq!(owner_weight("a=b@c = 3"), Ok(("a=b@c".to_owned(), 3)));
        for wrong in ["", "=3", "alice", "alice=0", "alice=101", "alice=-1", "alice=x"] {
            assert!(owner_weight(wrong).unwrap_err().contains("alice=3"), "{wrong}");
        }
        assert_eq!(kind_running("ocr=4"), Ok(("ocr".to_owned(), 4)));
        for wrong in ["", "ocr", "OCR=4", "ocr=0", "ocr=1000001", "=4"] {
            assert!(kind_running(wrong).unwrap_err().contains("ocr=4"), "{wrong}");
        }
        let of = |owner_weights| Fairness { owner_weights, ..Fairness::default() };
        let twice = of(vec![("a".into(), 2), ("b".into(), 2), ("a".into(), 3)]);
        assert_eq!(twice.problem(), Some(("--owner-weights", "must name each owner once")));
        assert_eq!(of((0..257).map(|n| (n.to_string(), 2)).collect()).problem().unwrap().0, "--owner-weights");
        let weights = of(vec![("a".into(), 2)]).owner_weights();
        assert_eq!((weights.of(&Owner::new("a")), weights.of(&Owner::new("b"))), (2, 1));
    }
}
