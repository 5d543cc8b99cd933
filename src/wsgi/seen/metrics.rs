//! What is counted, told to the `metrics` facade.
//!
//! What every request counts is looked up once and kept; what seldom happens is looked up when it
//! does.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::StatusCode;
use metrics::{Counter, Gauge, Histogram, SharedString, counter, gauge, histogram};

use super::{Outcome, described::describe};
use crate::ErrorKind;

/// The requests of one container.
#[derive(Clone, Debug)]
pub(in crate::wsgi) struct Tally(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    application: SharedString,
    over: [[OnceLock<Counter>; CLASSES.len()]; Outcome::COUNT],
    all: OnceLock<All>,
}

/// Statuses by their first digit; 0 if there is none.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

#[derive(Debug)]
struct All {
    duration: Histogram,
    wait: Histogram,
    request_bytes: Counter,
    response_bytes: Counter,
    busy: Gauge,
    waiting: Gauge,
}

impl Tally {
    pub(in crate::wsgi) fn new(application: &str) -> Self {
        Self(Arc::new(Counted {
            application: SharedString::from_shared(Arc::from(application)),
            over: Default::default(),
            all: OnceLock::new(),
        }))
    }

    /// One is over.
    pub(super) fn over(
        &self,
        outcome: Outcome,
        status: Option<StatusCode>,
        total: Duration,
        sent: u64,
        received: u64,
    ) {
        let class = status.map_or(0, |status| usize::from(status.as_u16() / 100));
        let class = if class < CLASSES.len() { class } else { 0 };
        let over = &self.0.over[outcome as usize][class];
        let over = over.get_or_init(|| {
            let application = self.0.application.clone();
            let (outcome, status) = (outcome.name(), CLASSES[class]);
            counter!("tower_gateway_wsgi_requests_total", "application" => application, "outcome" => outcome, "status" => status)
        });
        over.increment(1);
        let all = self.all();
        all.duration.record(total);
        all.request_bytes.increment(sent);
        all.response_bytes.increment(received);
    }

    /// One is answered with an error.
    pub(super) fn failed(&self, kind: ErrorKind) {
        let (application, kind) = (self.0.application.clone(), kind.name());
        counter!("tower_gateway_wsgi_errors_total", "application" => application, "kind" => kind)
            .increment(1);
    }

    /// One waits, for as long as what is returned is there.
    pub(super) fn waiting(&self) -> Open {
        Open::new(&self.all().waiting)
    }

    /// One has waited.
    pub(super) fn waited(&self, time: Duration) {
        self.all().wait.record(time);
    }

    /// A thread is busy, for as long as what is returned is there.
    pub(super) fn busy(&self) -> Open {
        Open::new(&self.all().busy)
    }

    fn all(&self) -> &All {
        macro_rules! of_this {
            ($kind:ident, $name:literal) => {
                $kind!(concat!("tower_gateway_wsgi_", $name), "application" => self.0.application.clone())
            };
        }
        self.0.all.get_or_init(|| {
            describe();
            All {
                duration: of_this!(histogram, "request_duration_seconds"),
                wait: of_this!(histogram, "wait_seconds"),
                request_bytes: of_this!(counter, "request_bytes_total"),
                response_bytes: of_this!(counter, "response_bytes_total"),
                busy: of_this!(gauge, "threads_busy"),
                waiting: of_this!(gauge, "requests_waiting"),
            }
        })
    }
}

/// One more in a gauge, for as long as it is there.
pub(in crate::wsgi) struct Open(Gauge);

impl Open {
    fn new(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Open")
    }
}
