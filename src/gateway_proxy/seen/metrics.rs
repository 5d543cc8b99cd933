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
use crate::{
    ErrorKind,
    gateway_proxy::{health::Change, upstream::Address},
};

/// The requests of one proxy.
#[derive(Clone, Debug, Default)]
pub(in crate::gateway_proxy) struct Requests(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    over: [[OnceLock<Counter>; CLASSES.len()]; Outcome::COUNT],
    all: OnceLock<All>,
}

/// Statuses by their first digit; 0 if there is none.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

#[derive(Debug)]
struct All {
    duration: Histogram,
    request_bytes: Counter,
    response_bytes: Counter,
    tunnels: Gauge,
}

impl Requests {
    pub(in crate::gateway_proxy) fn new() -> Self {
        Self::default()
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
            let (outcome, status) = (outcome.name(), CLASSES[class]);
            counter!("tower_gateway_proxy_requests_total", "outcome" => outcome, "status" => status)
        });
        over.increment(1);
        let all = self.all();
        all.duration.record(total);
        all.request_bytes.increment(sent);
        all.response_bytes.increment(received);
    }

    /// One is answered with an error.
    pub(super) fn failed(&self, kind: ErrorKind) {
        counter!("tower_gateway_proxy_errors_total", "kind" => kind.name()).increment(1);
    }

    /// Fields of one were dropped for their names.
    pub(super) fn dropped(&self, fields: u64) {
        counter!("tower_gateway_proxy_dropped_fields_total").increment(fields);
    }

    /// One becomes a tunnel, which is open for as long as what is returned is there.
    pub(super) fn tunnel(&self) -> Open {
        Open::new(&self.all().tunnels)
    }

    fn all(&self) -> &All {
        self.0.all.get_or_init(|| {
            describe();
            All {
                duration: histogram!("tower_gateway_proxy_request_duration_seconds"),
                request_bytes: counter!("tower_gateway_proxy_request_bytes_total"),
                response_bytes: counter!("tower_gateway_proxy_response_bytes_total"),
                tunnels: gauge!("tower_gateway_proxy_tunnels"),
            }
        })
    }
}

/// One more in a gauge, for as long as it is there.
pub(in crate::gateway_proxy) struct Open(Gauge);

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

/// What is counted of one upstream.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct Tally {
    upstream: SharedString,
    handles: OnceLock<Handles>,
}

#[derive(Debug)]
struct Handles {
    tries: Counter,
    first_byte: Histogram,
    waited: Histogram,
    connecting: Histogram,
    connected: Counter,
    in_use: Gauge,
    idle: Gauge,
    waiting: Gauge,
}

impl Tally {
    pub(in crate::gateway_proxy) fn new(upstream: &Address) -> Self {
        Self {
            upstream: SharedString::from_shared(Arc::from(upstream.to_string())),
            handles: OnceLock::new(),
        }
    }

    fn handles(&self) -> &Handles {
        macro_rules! of_this {
            ($kind:ident, $name:literal) => {
                $kind!($name, "upstream" => self.upstream.clone())
            };
        }
        self.handles.get_or_init(|| Handles {
            tries: of_this!(counter, "tower_gateway_proxy_tries_total"),
            first_byte: of_this!(histogram, "tower_gateway_proxy_first_byte_seconds"),
            waited: of_this!(histogram, "tower_gateway_proxy_wait_seconds"),
            connecting: of_this!(histogram, "tower_gateway_proxy_connect_seconds"),
            connected: of_this!(counter, "tower_gateway_proxy_connections_opened_total"),
            in_use: of_this!(gauge, "tower_gateway_proxy_connections_in_use"),
            idle: of_this!(gauge, "tower_gateway_proxy_connections_idle"),
            waiting: of_this!(gauge, "tower_gateway_proxy_requests_waiting"),
        })
    }

    /// A request is sent to it.
    pub(in crate::gateway_proxy) fn tried(&self) {
        self.handles().tries.increment(1);
    }

    /// It is tried again, here or elsewhere, what was sent to it: `reason` is why.
    pub(in crate::gateway_proxy) fn retried(&self, reason: &'static str) {
        let upstream = self.upstream.clone();
        counter!("tower_gateway_proxy_retries_total", "upstream" => upstream, "reason" => reason)
            .increment(1);
    }

    /// It did not do its part.
    pub(in crate::gateway_proxy) fn failed(&self, kind: ErrorKind) {
        let (upstream, kind) = (self.upstream.clone(), kind.name());
        counter!("tower_gateway_proxy_failures_total", "upstream" => upstream, "kind" => kind)
            .increment(1);
    }

    /// It is said to be well, or not.
    pub(in crate::gateway_proxy) fn changed(&self, change: &Change) {
        let upstream = self.upstream.clone();
        match change {
            Change::Ejected(_) => {
                counter!("tower_gateway_proxy_ejections_total", "upstream" => upstream)
            }
            Change::Down => {
                counter!("tower_gateway_proxy_health_changes_total", "upstream" => upstream, "to" => "down")
            }
            Change::Up | Change::Returned => {
                counter!("tower_gateway_proxy_health_changes_total", "upstream" => upstream, "to" => "up")
            }
        }
        .increment(1);
    }

    /// The head of an answer came, so long after the try began.
    pub(in crate::gateway_proxy) fn answered(&self, after: Duration) {
        self.handles().first_byte.record(after);
    }

    /// A connection came free after this time.
    pub(in crate::gateway_proxy) fn waited(&self, time: Duration) {
        self.handles().waited.record(time);
    }

    /// A connection was made in this time.
    pub(in crate::gateway_proxy) fn connected(&self, time: Duration) {
        let handles = self.handles();
        handles.connected.increment(1);
        handles.connecting.record(time);
    }

    /// A connection is in use.
    pub(in crate::gateway_proxy) fn in_use(&self) -> Open {
        Open::new(&self.handles().in_use)
    }

    /// A connection is kept.
    pub(in crate::gateway_proxy) fn idle(&self) -> Open {
        Open::new(&self.handles().idle)
    }

    /// A request waits for a connection.
    pub(in crate::gateway_proxy) fn waiting(&self) -> Open {
        Open::new(&self.handles().waiting)
    }
}
