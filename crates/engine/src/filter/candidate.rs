//! A job while a filter looks at it.

use std::cell::{Cell, OnceCell};

use courant_joblog::job::{Job, Parameters};
use serde_json::Value;

/// What folding a byte to lower case costs, in bytes compared; and what parsing one of the parameters costs.
const FOLD_COST: u64 = 8;

/// A job that a filter is asked about. Counts what that costs, since callers choose the filter and the labels.
#[derive(Debug)]
pub struct Candidate<'a> {
    pub job: &'a Job,
    /// Its searchable texts in lower case: folded once, however many words are searched for.
    folded: OnceCell<Vec<String>>,
    /// Its parameters, parsed once. Null for none, and for those that are not kept in the job.
    parameters: OnceCell<Value>,
    cost: Cell<u64>,
}

impl<'a> Candidate<'a> {
    /// Nothing was asked yet.
    pub fn new(job: &'a Job) -> Self {
        Self { job, folded: OnceCell::new(), parameters: OnceCell::new(), cost: Cell::new(0) }
    }

    /// What was spent on it: conditions looked at and bytes compared.
    pub fn cost(&self) -> u64 {
        self.cost.get()
    }

    pub(super) fn spend(&self, cost: u64) {
        self.cost.set(self.cost.get().saturating_add(cost));
    }

    /// Whether a text in lower case is in one of its ids, its name or a value of its labels.
    pub(super) fn mentions(&self, text: &str) -> bool {
        self.folded().iter().any(|field| {
            self.spend(1 + field.len() as u64);
            field.contains(text)
        })
    }

    /// The parameter of this name. A name with dots is a key, or keys of objects in one another.
    pub(super) fn parameter(&self, name: &str) -> Option<&Value> {
        self.spend(1 + name.len() as u64);
        find(self.parameters(), name)
    }

    fn parameters(&self) -> &Value {
        self.parameters.get_or_init(|| {
            let text = self.job.later.parameters.as_ref().and_then(Parameters::inline).unwrap_or("null");
            self.spend(FOLD_COST * text.len() as u64);
            serde_json::from_str(text).unwrap_or_default()
        })
    }

    fn folded(&self) -> &[String] {
        self.folded.get_or_init(|| {
            let folded: Vec<String> = searchable(self.job).map(str::to_lowercase).collect();
            self.spend(FOLD_COST * folded.iter().map(|field| field.len() as u64).sum::<u64>());
            folded
        })
    }
}

fn find<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| {
        let (key, rest) = name.split_once('.')?;
        find(object.get(key)?, rest)
    })
}

fn searchable(job: &Job) -> impl Iterator<Item = &str> {
    let ids = [job.id.as_str(), job.document.id.as_str(), &*job.document.name];
    let more = [job.batch.as_ref().map(|id| id.as_str()), job.request.as_ref().map(|id| id.as_str())];
    ids.into_iter().chain(more.into_iter().flatten()).chain(job.labels.values().map(String::as_str))
}
