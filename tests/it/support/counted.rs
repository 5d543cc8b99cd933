//! What the `metrics` facade was told, for tests of it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, GaugeValue, Histogram, HistogramFn, Key, KeyName, Metadata,
    Recorder, SharedString, Unit,
};

/// What was counted, by name and label.
#[derive(Clone, Default)]
pub struct Counted {
    values: Arc<Mutex<HashMap<String, f64>>>,
    described: Arc<Mutex<HashSet<String>>>,
}

/// A counter, a gauge or a histogram.
struct One(Counted, String);

impl Counted {
    /// What this is now; `name` is followed by the values of the labels. Of a histogram, how many
    /// there were.
    pub fn of(&self, name: &str) -> f64 {
        let known = self.values.lock().unwrap();
        known.get(name).copied().unwrap_or_default()
    }

    pub fn all(&self) -> HashMap<String, f64> {
        self.values.lock().unwrap().clone()
    }

    /// Adds up what has this in its name.
    pub fn sum(&self, part: &str) -> f64 {
        let all = self.all().into_iter();
        all.filter(|(name, _)| name.contains(part))
            .map(|(_, value)| value)
            .sum()
    }

    /// The names that were said to mean something.
    pub fn described(&self) -> HashSet<String> {
        self.described.lock().unwrap().clone()
    }

    fn describe(&self, name: &KeyName) {
        self.described
            .lock()
            .unwrap()
            .insert(name.as_str().to_owned());
    }

    fn one(&self, key: &Key) -> Arc<One> {
        let labels = key.labels().map(|label| format!(" {}", label.value()));
        let name = key.name().to_owned() + &labels.collect::<String>();
        Arc::new(One(self.clone(), name))
    }
}

impl One {
    fn add(&self, value: f64) {
        *self
            .0
            .values
            .lock()
            .unwrap()
            .entry(self.1.clone())
            .or_default() += value;
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
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

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
