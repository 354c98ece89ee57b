//! Metric families from plain numbers: what the `prometheus` crate's encoder wants to see.

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};
use sensor_ebpf::counter::Count;

use super::latency::{BUCKETS, Latency};

/// Names and values of labels.
pub(super) type Labels<'a> = Vec<(&'a str, &'a str)>;

/// The families collected so far.
#[derive(Default)]
pub(super) struct Families(Vec<MetricFamily>);

impl Families {
    /// The exposition text, families in the order of their names.
    pub(super) fn text(mut self) -> Result<String, prometheus::Error> {
        self.0.sort_by(|a, b| a.name().cmp(b.name()));
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0, &mut text)?;
        String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }

    /// A metric of the process, under the name that all Prometheus libraries use.
    pub(super) fn process(&mut self, name: &str, help: &str, value: f64) {
        let (kind, metric) = if name.ends_with("_total") {
            (MetricType::COUNTER, counter(vec![], value))
        } else {
            (MetricType::GAUGE, gauge(vec![], value))
        };
        self.push(&format!("process_{name}"), help, kind, vec![metric]);
    }

    fn push(&mut self, name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) {
        // A family without series (no webhook, no queue) has nothing to say, and the encoder refuses it.
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.0.push(family);
    }

    /// Packets and bytes under one name.
    pub(super) fn counts<'a>(
        &mut self,
        name: &str,
        what: &str,
        series: impl IntoIterator<Item = (Labels<'a>, Count)>,
    ) {
        let (mut packets, mut bytes) = (Vec::new(), Vec::new());
        for (labels, count) in series {
            packets.push((labels.clone(), count.packets));
            bytes.push((labels, count.bytes));
        }
        self.labelled_counters(&format!("{name}_packets_total"), &format!("Packets {what}."), packets);
        self.labelled_counters(&format!("{name}_bytes_total"), &format!("Bytes of packets {what}."), bytes);
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.labelled_counters(name, help, [(vec![], value)]);
    }

    pub(super) fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &'a str,
        series: impl IntoIterator<Item = (&'a str, u64)>,
    ) {
        self.labelled_counters(
            name,
            help,
            series.into_iter().map(|(value, count)| (vec![(label, value)], count)),
        );
    }

    pub(super) fn labelled_counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'a>, u64)>,
    ) {
        let metrics = series.into_iter().map(|(labels, value)| counter(labels, value as f64)).collect();
        self.push(&format!("vesper_{name}"), help, MetricType::COUNTER, metrics);
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.gauges(name, help, [(vec![], value)]);
    }

    pub(super) fn gauges<'a>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'a>, f64)>,
    ) {
        let metrics = series.into_iter().map(|(labels, value)| gauge(labels, value)).collect();
        self.push(&format!("vesper_{name}"), help, MetricType::GAUGE, metrics);
    }

    pub(super) fn histogram(&mut self, name: &str, help: &str, latency: &Latency) {
        let buckets = BUCKETS.iter().zip(latency.cumulative()).map(|(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(count);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(latency.count());
        histogram.set_sample_sum(latency.sum_seconds());
        let mut metric = Metric::default();
        metric.set_histogram(histogram);
        self.push(&format!("vesper_{name}"), help, MetricType::HISTOGRAM, vec![metric]);
    }
}

fn counter(labels: Labels<'_>, value: f64) -> Metric {
    let mut inner = Counter::default();
    inner.set_value(value);
    let mut metric = Metric::from_label(pairs(labels));
    metric.set_counter(inner);
    metric
}

fn gauge(labels: Labels<'_>, value: f64) -> Metric {
    let mut inner = Gauge::default();
    inner.set_value(value);
    let mut metric = Metric::from_label(pairs(labels));
    metric.set_gauge(inner);
    metric
}

fn pairs(labels: Labels<'_>) -> Vec<LabelPair> {
    labels
        .into_iter()
        .map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value.to_owned());
            pair
        })
        .collect()
}
