//! How a part of a program writes what it has counted, when somebody asks.

use std::fmt;

use courant_runtime::stats::Histogram;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Takes families of metrics. Each name once; of counters without `_total`, which is added.
pub struct Samples<'a>(DescriptorEncoder<'a>);

impl Samples<'_> {
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// One gauge for each row of values of labels.
    pub fn gauges<'v, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; N],
        rows: impl IntoIterator<Item = ([&'v str; N], f64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        rows.into_iter()
            .try_for_each(|(values, value)| family.encode_family(&labelled(labels, values))?.encode_gauge(&value))
    }

    pub fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        count(&mut self.0.encode_descriptor(name, help, None, MetricType::Counter)?, value)
    }

    /// A counter of what comes in fractions, as seconds do.
    pub fn counter_of(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, f64, u64>(&value, None)
    }

    /// One counter for each row of values of labels.
    pub fn counters<'v, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; N],
        rows: impl IntoIterator<Item = ([&'v str; N], u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        rows.into_iter()
            .try_for_each(|(values, value)| count(&mut family.encode_family(&labelled(labels, values))?, value))
    }

    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) -> fmt::Result {
        buckets(&mut self.0.encode_descriptor(name, help, None, MetricType::Histogram)?, histogram)
    }

    /// One histogram for each row of values of labels.
    pub fn histograms<'v, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; N],
        rows: impl IntoIterator<Item = ([&'v str; N], &'v Histogram)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        rows.into_iter().try_for_each(|(values, histogram)| {
            buckets(&mut family.encode_family(&labelled(labels, values))?, histogram)
        })
    }
}

fn labelled<'v, const N: usize>(labels: [&'v str; N], values: [&'v str; N]) -> [(&'v str, &'v str); N] {
    std::array::from_fn(|at| (labels[at], values[at]))
}

fn count(encoder: &mut MetricEncoder<'_>, value: u64) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, u64, u64>(&value, None)
}

fn buckets(encoder: &mut MetricEncoder<'_>, histogram: &Histogram) -> fmt::Result {
    let counted = histogram.counted();
    // The encoder knows the last bound by this.
    let bound = |bound: f64| if bound.is_finite() { bound } else { f64::MAX };
    let buckets: Vec<(f64, u64)> = counted.buckets.iter().map(|(at, count)| (bound(*at), *count)).collect();
    encoder.encode_histogram::<NoLabelSet>(counted.sum, counted.count, &buckets, None)
}

/// Something that is asked for its samples on each scrape.
pub(crate) struct Source<F>(pub(crate) F);

impl<F> fmt::Debug for Source<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

impl<F: Fn(&mut Samples<'_>) -> fmt::Result + Send + Sync + 'static> Collector for Source<F> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.0)(&mut Samples(encoder))
    }
}
