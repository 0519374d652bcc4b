//! Writes metrics of the few shapes there are.

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, MetricEncoder},
    metrics::MetricType,
};

/// The metrics page being written.
pub(super) struct Page<'a>(DescriptorEncoder<'a>);

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
        self.metric(name, help, MetricType::Counter)?.encode_counter::<[(&str, &str); 0], u64, u64>(&value, None)
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &str, value: f64) -> fmt::Result {
        self.metric(name, help, MetricType::Gauge)?.encode_gauge(&value)
    }

    pub(super) fn counters<'v>(
        &mut self,
        name: &'static str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        let mut family = self.metric(name, help, MetricType::Counter)?;
        values.into_iter().try_for_each(|(value, count)| {
            let labels = [(label, value)];
            family.encode_family(&labels)?.encode_counter::<[(&str, &str); 0], u64, u64>(&count, None)
        })
    }

    pub(super) fn gauges<'v>(
        &mut self,
        name: &'static str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        let mut family = self.metric(name, help, MetricType::Gauge)?;
        values.into_iter().try_for_each(|(value, count)| {
            let labels = [(label, value)];
            family.encode_family(&labels)?.encode_gauge(&(count as f64))
        })
    }
}
