//! Writes metrics of the few shapes there are.

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder},
    metrics::MetricType,
};

use super::DurationHistogram;

/// The metrics page being written.
pub(super) struct Page<'a>(DescriptorEncoder<'a>);

/// A value of one kind of metric.
pub(super) trait Sample {
    const KIND: MetricType;

    fn write(self, encoder: MetricEncoder) -> fmt::Result;
}

/// Of a counter.
pub(super) struct Count(pub(super) u64);

/// Of a counter that is not whole.
pub(super) struct Amount(pub(super) f64);

/// Of a gauge.
pub(super) struct Level(pub(super) f64);

impl Sample for Count {
    const KIND: MetricType = MetricType::Counter;

    fn write(self, mut encoder: MetricEncoder) -> fmt::Result {
        encoder.encode_counter::<[(&str, &str); 0], u64, u64>(&self.0, None)
    }
}

impl Sample for Amount {
    const KIND: MetricType = MetricType::Counter;

    fn write(self, mut encoder: MetricEncoder) -> fmt::Result {
        encoder.encode_counter::<[(&str, &str); 0], f64, u64>(&self.0, None)
    }
}

impl Sample for Level {
    const KIND: MetricType = MetricType::Gauge;

    fn write(self, mut encoder: MetricEncoder) -> fmt::Result {
        encoder.encode_gauge(&self.0)
    }
}

impl<'a> Page<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    pub(super) fn metric<'s>(
        &'s mut self,
        name: &'static str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }

    pub(super) fn counter(&mut self, name: &'static str, help: &str, value: u64) -> fmt::Result {
        Count(value).write(self.metric(name, help, Count::KIND)?)
    }

    pub(super) fn amount(&mut self, name: &'static str, help: &str, value: f64) -> fmt::Result {
        Amount(value).write(self.metric(name, help, Amount::KIND)?)
    }

    pub(super) fn histogram(&mut self, name: &'static str, help: &str, histogram: &DurationHistogram) -> fmt::Result {
        let recorded = histogram.recorded();
        self.metric(name, help, MetricType::Histogram)?.encode_histogram::<[(&str, &str); 0]>(
            recorded.sum_seconds,
            recorded.count,
            &recorded.buckets,
            None,
        )
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &str, value: f64) -> fmt::Result {
        Level(value).write(self.metric(name, help, Level::KIND)?)
    }

    /// A metric that has a value for each set of labels.
    pub(super) fn family<L: EncodeLabelSet, S: Sample>(
        &mut self,
        name: &'static str,
        help: &str,
        samples: impl IntoIterator<Item = (L, S)>,
    ) -> fmt::Result {
        let mut family = self.metric(name, help, S::KIND)?;
        samples.into_iter().try_for_each(|(labels, sample)| sample.write(family.encode_family(&labels)?))
    }

    /// Counters that one label tells apart.
    pub(super) fn counters<'v>(
        &mut self,
        name: &'static str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        self.family(name, help, values.into_iter().map(|(value, count)| ([(label, value)], Count(count))))
    }
}
