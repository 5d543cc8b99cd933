use std::time::Duration;

use crate::{
    ErrorKind,
    gateway_proxy::{outcome::Outcome, statuses::Statuses},
};

/// When a server that fails is left out for a while, by what its own requests show.
///
/// A server is ejected after a number of [consecutive](Self::consecutive) failures, or, where
/// asked for, by its [rate of failures](Self::error_rate); for 30 seconds the first time, and
/// twice as long each time that follows, up to [`max_time`](Self::max_time). When the time is over
/// it is tried again, and is on trial: its first success lets it stay, its first failure sends it
/// out again. A server that has stayed for [`reset_after`](Self::reset_after) has a clean record.
///
/// With a [`HealthCheck`](super::HealthCheck), enough good probes end a *first* ejection early, so
/// that a restart costs seconds. One that failed again is out for its whole time: the path that
/// is probed may be well where others are not.
///
/// A failure is
///
/// - a connection refused, or not made in time;
/// - a connection reset or closed before the answer is whole;
/// - an answer that is not HTTP;
/// - no answer in time;
/// - an answer with one of the [statuses](Self::on_status).
///
/// What an answer is shows at its end: one that is whole, or that the client gave up, is a success.
/// So an answer that goes on for hours (events, not a tunnel) says nothing good before it is over.
///
/// No failure is: a kept connection that is found closed (servers close those as they like), a
/// full queue of this proxy's own, an answer that
/// [`total_timeout`](crate::GatewayProxy::total_timeout) cuts short, and all that is the client's
/// fault. Requests that were sent before an ejection was over say nothing afterwards.
///
/// Ejection only chooses among servers; it never refuses a request. At least one server is left,
/// and never more than [`max_share`](Self::max_share) is out; so a table of one server ejects
/// nothing. If none is left all the same (a health check calls the rest down), the ejected ones
/// are used.
///
/// ```
/// use std::time::Duration;
///
/// use http::Request;
/// use tower::ServiceExt;
/// use tower_gateway::{
///     Body, GatewayProxy,
///     gateway_proxy::{Balance, Ejection, UpstreamHealth},
/// };
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let ejection = Ejection::new()
///     .consecutive(2)
///     .base_time(Duration::from_secs(10));
/// // Nobody is there.
/// let proxy = GatewayProxy::to_all(["http+unix:/nowhere/a", "http+unix:/nowhere/b"])?
///     .balance(Balance::RoundRobin)
///     .ejection(ejection);
/// for _ in 0..4 {
///     let request = Request::get("/").header("host", "localhost").body(Body::empty())?;
///     assert_eq!(proxy.clone().oneshot(request).await?.status(), 502);
/// }
/// // Of two, one always stays.
/// let upstreams = proxy.handle().upstreams();
/// let ejected = upstreams
///     .iter()
///     .filter(|upstream| matches!(upstream.health, UpstreamHealth::Ejected(_)));
/// assert_eq!(ejected.count(), 1);
/// # Ok::<(), tower_gateway::BoxError>(())
/// # })?;
/// # Ok::<(), tower_gateway::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Ejection {
    pub(in crate::gateway_proxy::health) is_on: bool,
    pub(in crate::gateway_proxy::health) consecutive: u32,
    pub(in crate::gateway_proxy::health) rate: Option<Rate>,
    pub(in crate::gateway_proxy::health) base_time: Duration,
    pub(in crate::gateway_proxy::health) max_time: Duration,
    pub(in crate::gateway_proxy::health) reset_after: Duration,
    pub(in crate::gateway_proxy::health) max_share: f64,
    statuses: Statuses,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::gateway_proxy::health) struct Rate {
    pub(in crate::gateway_proxy::health) share: f64,
    pub(in crate::gateway_proxy::health) window: Duration,
    pub(in crate::gateway_proxy::health) min_requests: u32,
}

impl Default for Ejection {
    fn default() -> Self {
        Self::new()
    }
}

impl Ejection {
    /// Ejection as the setters' defaults have it.
    pub fn new() -> Self {
        let gateway_failures = Statuses::new([502, 503, 504]);
        Self {
            is_on: true,
            consecutive: 5,
            rate: None,
            base_time: Duration::from_secs(30),
            max_time: Duration::from_secs(300),
            reset_after: Duration::from_secs(300),
            max_share: 0.5,
            statuses: gateway_failures.expect("all three are statuses"),
        }
    }

    /// No server is ever ejected.
    pub fn off() -> Self {
        Self {
            is_on: false,
            ..Self::new()
        }
    }

    /// How many failures in a row eject a server. Defaults to 5; `u32::MAX` leaves it to the
    /// [rate](Self::error_rate).
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn consecutive(mut self, failures: u32) -> Self {
        if failures == 0 {
            panic!("zero failures would eject every server: give at least 1");
        }
        self.consecutive = failures;
        self
    }

    /// Ejects a server, too, when of its requests within `window` at least `share` (0.0 to 1.0)
    /// failed, and they are at least `min_requests`.
    ///
    /// Not asked for by default: in a small table the rate says more about what is asked for than
    /// about who is asked. One bad page on both of two servers would put one of them out. (Envoy
    /// too compares rates only from five hosts up.) With many servers and much traffic, 0.5 over 30
    /// seconds and 100 requests finds the server that fails half of the time.
    ///
    /// What is counted reaches back between half of the window and all of it. With a rate, each
    /// success takes a short lock of its server; without, it reads one atomic.
    ///
    /// # Panics
    ///
    /// If `share` is not above 0.0 and at most 1.0, or `window` or `min_requests` is zero.
    #[track_caller]
    pub fn error_rate(mut self, share: f64, window: Duration, min_requests: u32) -> Self {
        if !is_share(share) {
            panic!("{share} is no rate of failures: give more than 0.0 and at most 1.0");
        }
        if window.is_zero() || min_requests == 0 {
            panic!("a rate of nothing says nothing: give a window and a number of requests");
        }
        self.rate = Some(Rate {
            share,
            window,
            min_requests,
        });
        self
    }

    /// How long a server is out the first time; each time that follows is twice as long.
    /// Defaults to 30 seconds.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn base_time(mut self, time: Duration) -> Self {
        if time.is_zero() {
            panic!("an ejection for no time is none: say Ejection::off()");
        }
        self.base_time = time;
        self
    }

    /// The longest time for which a server is out. Defaults to 300 seconds. Less than the
    /// [`base_time`](Self::base_time) makes each ejection that short.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn max_time(mut self, time: Duration) -> Self {
        if time.is_zero() {
            panic!("an ejection for no time is none: say Ejection::off()");
        }
        self.max_time = time;
        self
    }

    /// How long after its latest ejection a server has to stay for the next one to be a first one.
    /// Defaults to 300 seconds.
    pub fn reset_after(mut self, time: Duration) -> Self {
        self.reset_after = time;
        self
    }

    /// The largest share of the servers (0.0 to 1.0) that may be out. Defaults to 0.5.
    ///
    /// It is rounded down, then raised to one server, and one server always stays: of 1, 2, 3, 4,
    /// 5 servers 0, 1, 1, 2, 2 may be out. Envoy's 10 % is for large tables; here what is left
    /// must be able to carry the load of those that are out. Servers that a
    /// [`HealthCheck`](super::HealthCheck) calls down are counted, but never kept in by this.
    ///
    /// # Panics
    ///
    /// If it is not above 0.0 and at most 1.0.
    #[track_caller]
    pub fn max_share(mut self, share: f64) -> Self {
        if !is_share(share) {
            panic!("{share} is no share: give more than 0.0 and at most 1.0, or Ejection::off()");
        }
        self.max_share = share;
        self
    }

    /// Which statuses of an answer are failures of the server. Defaults to 502, 503, and 504: what
    /// it says when it, or what is behind it, is not there. Replaces what was given before.
    ///
    /// 500 is no good choice as a rule: it is one page's fault, and ejects servers that are well.
    ///
    /// # Panics
    ///
    /// If one is not from 100 to 999.
    #[track_caller]
    pub fn on_status(mut self, statuses: impl IntoIterator<Item = u16>) -> Self {
        self.statuses = match Statuses::new(statuses) {
            Ok(statuses) => statuses,
            Err(code) => panic!("{code} is no status: give codes from 100 to 999"),
        };
        self
    }

    /// What one try says of the server: `Some(true)` that it fails, `Some(false)` that it is well,
    /// `None` nothing.
    pub(in crate::gateway_proxy) fn is_failure(&self, outcome: &Outcome) -> Option<bool> {
        match outcome {
            Outcome::Answered { status, .. } => Some(self.statuses.contains(*status)),
            Outcome::Failed(failed) if failed.is_stale() => None,
            Outcome::Failed(failed) => matches!(
                failed.kind,
                ErrorKind::UpstreamConnect
                    | ErrorKind::UpstreamConnectTimeout
                    | ErrorKind::UpstreamReset
                    | ErrorKind::UpstreamProtocol
                    | ErrorKind::UpstreamTimeout
            )
            .then_some(true),
        }
    }

    /// Whether each request is counted, also while the server is well.
    pub(in crate::gateway_proxy::health) fn counts_all(&self) -> bool {
        self.is_on && self.rate.is_some()
    }

    /// How long the `nth` ejection in a row takes, from 1.
    pub(in crate::gateway_proxy::health) fn time(&self, nth: u32) -> Duration {
        let doublings = nth.saturating_sub(1).min(31);
        let time = self.base_time.saturating_mul(1 << doublings);
        time.min(self.max_time)
    }
}

fn is_share(share: f64) -> bool {
    share > 0.0 && share <= 1.0
}
