//! What is counted of workers, told to the `metrics` facade.

use std::sync::Arc;

use metrics::{Gauge, SharedString, Unit, counter, describe_counter, describe_gauge, gauge};

use super::{super::super::handle::WorkerState, Row};

/// The numbers of one container's workers. What it has told of them is taken back when it is dropped:
/// containers of one application add up, as all gauges do.
#[derive(Debug)]
pub(super) struct Numbers {
    application: SharedString,
    told: Vec<(Gauge, f64)>,
}

/// The states, and the memory behind them.
const STATES: [(WorkerState, &str); 5] = [
    (WorkerState::Starting, "starting"),
    (WorkerState::Ready, "ready"),
    (WorkerState::Leaving, "leaving"),
    (WorkerState::Draining, "draining"),
    (WorkerState::Killed, "killed"),
];

impl Numbers {
    pub(super) fn new(application: &Arc<str>) -> Self {
        Self {
            application: SharedString::from_shared(Arc::clone(application)),
            told: Vec::new(),
        }
    }

    /// A worker is replaced, or is to be.
    pub(super) fn replaced(&mut self, reason: &'static str) {
        let application = self.application.clone();
        counter!(
            "tower_gateway_wsgi_replaced_total",
            "application" => application,
            "reason" => reason
        )
        .increment(1);
    }

    pub(super) fn workers(&mut self, rows: &[Row]) {
        let of_state = |state| rows.iter().filter(|row| row.state == state).count() as f64;
        let memory: u64 = rows.iter().filter_map(|row| row.memory).sum();
        let states = STATES.map(|(state, _)| of_state(state));
        let values = states.into_iter().chain([memory as f64]);
        for ((gauge, told), value) in self.gauges().iter_mut().zip(values) {
            if *told != value {
                gauge.increment(value - *told);
                *told = value;
            }
        }
    }

    fn gauges(&mut self) -> &mut [(Gauge, f64)] {
        if self.told.is_empty() {
            describe();
            for (_, state) in STATES {
                let application = self.application.clone();
                let gauge = gauge!(
                    "tower_gateway_wsgi_workers",
                    "application" => application,
                    "state" => state
                );
                self.told.push((gauge, 0.0));
            }
            let application = self.application.clone();
            let gauge = gauge!("tower_gateway_wsgi_memory_bytes", "application" => application);
            self.told.push((gauge, 0.0));
        }
        &mut self.told
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        for (gauge, told) in &self.told {
            gauge.decrement(*told);
        }
    }
}

/// What the numbers mean, for those who export them.
fn describe() {
    describe_gauge!(
        "tower_gateway_wsgi_workers",
        Unit::Count,
        "Worker processes, by what they are at."
    );
    describe_gauge!(
        "tower_gateway_wsgi_memory_bytes",
        Unit::Bytes,
        "What all worker processes occupy, shared pages counted for each (Linux)."
    );
    describe_counter!(
        "tower_gateway_wsgi_replaced_total",
        Unit::Count,
        "Worker processes that were replaced, or did not come up, by reason."
    );
}
