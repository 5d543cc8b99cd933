//! What the `metrics` facade was told, for tests of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, GaugeValue, Histogram, HistogramFn, Key, KeyName, Metadata,
    Recorder, SharedString, Unit,
};

/// What was counted, by name and label.
#[derive(Clone, Default)]
pub struct Counted(Arc<Mutex<HashMap<String, f64>>>);

/// A counter, a gauge or a histogram.
struct One(Counted, String);

impl Counted {
    /// What this is now; `name` is followed by the values of the labels. Of a histogram, how many
    /// there were.
    pub fn of(&self, name: &str) -> f64 {
        let known = self.0.lock().unwrap();
        known.get(name).copied().unwrap_or_default()
    }

    pub fn all(&self) -> HashMap<String, f64> {
        self.0.lock().unwrap().clone()
    }

    /// Adds up what has this in its name.
    pub fn sum(&self, part: &str) -> f64 {
        let all = self.all().into_iter();
        all.filter(|(name, _)| name.contains(part))
            .map(|(_, value)| value)
            .sum()
    }

    fn one(&self, key: &Key) -> Arc<One> {
        let labels = key.labels().map(|label| format!(" {}", label.value()));
        let name = key.name().to_owned() + &labels.collect::<String>();
        Arc::new(One(self.clone(), name))
    }
}

impl One {
    fn add(&self, value: f64) {
        *self.0.0.lock().unwrap().entry(self.1.clone()).or_default() += value;
    }
}

impl CounterFn for One {
    fn increment(&self, value: u64) {
        self.add(value as f64);
    }

    fn absolute(&self, _: u64) {
        panic!("nothing here is absolute");
    }
}

impl GaugeFn for One {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, value: f64) {
        panic!(
            "{value} would count for one of several: {:?}",
            GaugeValue::Absolute(value)
        );
    }
}

impl HistogramFn for One {
    fn record(&self, value: f64) {
        assert!(value >= 0.0, "{value}");
        self.add(1.0);
    }
}

impl Recorder for Counted {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.one(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.one(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.one(key))
    }
}
