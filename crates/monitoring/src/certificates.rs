//! When the certificates end that a program shows, to whoever connects to it or whomever it connects to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::RwLock;

use crate::samples::Samples;

type Ends = Box<dyn Fn() -> Option<SystemTime> + Send + Sync>;

/// The certificates of a program, by what they are for.
#[derive(Default)]
pub(crate) struct Certificates(RwLock<BTreeMap<&'static str, Ends>>);

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.read().keys()).finish()
    }
}

impl Certificates {
    pub(crate) fn add(&self, of: &'static str, ends: impl Fn() -> Option<SystemTime> + Send + Sync + 'static) {
        self.0.write().insert(of, Box::new(ends));
    }

    pub(crate) fn write(&self, samples: &mut Samples<'_>) -> fmt::Result {
        let all = self.0.read();
        let seconds = |end: SystemTime| end.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let rows = all.iter().filter_map(|(of, ends)| Some(([*of], seconds(ends()?))));
        samples.gauges(
            "courant_tls_certificate_expiry_timestamp_seconds",
            "When the first certificate of a chain in use ends, in seconds since 1970, by what it is for.",
            ["certificate"],
            rows,
        )
    }
}
