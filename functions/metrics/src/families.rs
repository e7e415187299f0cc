//! Metrics of one reading, which are made anew each time: nothing of the reading before stays.

use prometheus::TextEncoder;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

/// Names and values of a metric's labels.
pub(crate) type Labels<'a> = &'a [(&'static str, &'a str)];

/// Metrics by family.
#[derive(Default)]
pub(crate) struct Families(Vec<MetricFamily>);

fn metric(labels: Labels<'_>) -> Metric {
    let pairs = labels.iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    Metric::from_label(pairs.collect())
}

impl Families {
    /// The family of that name.
    fn family(&mut self, name: &str, help: &str, kind: MetricType) -> Option<&mut MetricFamily> {
        if !self.0.iter().any(|family| family.name() == name) {
            let mut family = MetricFamily::default();
            family.set_name(name.to_owned());
            family.set_help(help.to_owned());
            family.set_field_type(kind);
            self.0.push(family);
        }
        self.0.iter_mut().find(|family| family.name() == name)
    }

    fn push(&mut self, name: &str, help: &str, kind: MetricType, metric: Metric) {
        if let Some(family) = self.family(name, help, kind) {
            family.mut_metric().push(metric);
        }
    }

    /// Adds a gauge.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, labels: Labels<'_>, value: f64) {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = metric(labels);
        metric.set_gauge(gauge);
        self.push(name, help, MetricType::GAUGE, metric);
    }

    /// Adds a counter.
    pub(crate) fn counter(&mut self, name: &str, help: &str, labels: Labels<'_>, value: u64) {
        let mut counter = Counter::default();
        counter.set_value(value as f64);
        let mut metric = metric(labels);
        metric.set_counter(counter);
        self.push(name, help, MetricType::COUNTER, metric);
    }

    /// Adds a histogram: of each upper bound how many are within it and not within the one before, how many are beyond them
    /// all, and the sum.
    pub(crate) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        labels: Labels<'_>,
        within: impl IntoIterator<Item = (f64, u64)>,
        beyond: u64,
        sum: f64,
    ) {
        let mut count = 0;
        let buckets = within.into_iter().map(|(bound, more)| {
            count += more;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(count + beyond);
        histogram.set_sample_sum(sum);
        let mut metric = metric(labels);
        metric.set_histogram(histogram);
        self.push(name, help, MetricType::HISTOGRAM, metric);
    }

    /// In Prometheus' text format.
    pub(crate) fn text(&self) -> String {
        TextEncoder::new().encode_to_string(&self.0).unwrap_or_else(|error| {
            tracing::error!(%error, "the metrics could not be written down");
            String::new()
        })
    }
}
