//! What you can say about retries.

use std::time::Duration;

use http::StatusCode;

use crate::gateway_proxy::statuses::Statuses;

/// Which requests are sent once more when a try failed, how often, and when.
///
/// | what happened | is tried again | counts in the [budget](Self::budget) |
/// |---|---|---|
/// | refused, unreachable | any method | no |
/// | not connected in time | any method, at another server only | no |
/// | a kept connection was found closed | idempotent methods, and any of which nothing was sent: once, at once, on a fresh connection, beyond the number of [tries](Self::tries) | no |
/// | closed or reset before the head of the answer was whole | idempotent methods, and any of which nothing was sent | yes |
/// | no answer in time | the same, if asked [`on_timeout`](Self::on_timeout) | yes |
/// | one of the [statuses](Self::on_status), if any were given | idempotent methods | yes |
/// | not HTTP; no connection came free; the client's own fault | no | |
///
/// Never is a request sent again whose body was streamed, once a byte of that body was taken: it is
/// gone. Nor when the answer has begun to reach the client.
///
/// Idempotent are GET, HEAD, OPTIONS, TRACE, PUT, and DELETE (RFC 9110 §9.2.2): "A proxy MUST NOT
/// automatically retry non-idempotent requests."
///
/// The next try goes to another server if there is one, at once; to the same one after a short
/// pause, of 0 to 25 milliseconds by chance, 50 after the next, up to 250.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// use axum::{Router, http::StatusCode, routing::get};
/// use http::Request;
/// use tower::ServiceExt;
/// use tower_gateway::{Body, GatewayProxy, gateway_proxy::Retries};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// // An application that says 503 to every other request.
/// static IS_WELL: AtomicBool = AtomicBool::new(true);
/// let page = || async {
///     match IS_WELL.fetch_xor(true, Ordering::Relaxed) {
///         true => StatusCode::SERVICE_UNAVAILABLE,
///         false => StatusCode::OK,
///     }
/// };
/// let app = Router::new().route("/", get(page).post(page));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let url = format!("http://{}", listener.local_addr()?);
/// tokio::spawn(async move { axum::serve(listener, app).await });
///
/// let proxy = GatewayProxy::to(&url)?.retries(Retries::new().on_status([502, 503, 504]));
/// for (method, status) in [("GET", 200), ("POST", 503), ("POST", 200)] {
///     let request = Request::builder().method(method).uri("/").header("host", "localhost");
///     let response = proxy.clone().oneshot(request.body(Body::empty())?).await?;
///     assert_eq!(response.status(), status, "{method}");
/// }
/// # Ok::<(), tower_gateway::BoxError>(())
/// # })?;
/// # Ok::<(), tower_gateway::BoxError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Retries {
    pub(super) tries: u32,
    pub(super) statuses: Statuses,
    pub(super) on_timeout: bool,
    pub(super) non_idempotent: bool,
    pub(super) budget: f64,
    pub(super) min_per_second: u32,
    pub(super) backoff: Duration,
    pub(super) max_backoff: Duration,
    pub(super) max_retry_after: Duration,
    try_timeout: Option<Duration>,
}

impl Default for Retries {
    fn default() -> Self {
        Self::new()
    }
}

impl Retries {
    /// Retries as the setters' defaults have it.
    pub fn new() -> Self {
        Self {
            tries: 3,
            statuses: Statuses::NONE,
            on_timeout: false,
            non_idempotent: false,
            budget: 0.2,
            min_per_second: 3,
            backoff: Duration::from_millis(25),
            max_backoff: Duration::from_millis(250),
            max_retry_after: Duration::from_secs(1),
            try_timeout: None,
        }
    }

    /// Each request is tried once.
    ///
    /// A kept connection that is found closed is replaced all the same, and the request sent on the
    /// fresh one: that a connection had grown old is no failure of a try.
    pub fn none() -> Self {
        Self {
            tries: 1,
            ..Self::new()
        }
    }

    /// How often a request is tried at most, the first time included. Defaults to 3.
    ///
    /// (RFC 9110 §9.2.2 would rather have 2: "A client SHOULD NOT automatically retry a failed
    /// automatic retry." A gateway knows more: which servers it has not asked yet. Of more tries
    /// than servers each costs a pause.)
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn tries(mut self, tries: u32) -> Self {
        if tries == 0 {
            panic!("a request that is tried zero times has no answer: say Retries::none()");
        }
        self.tries = tries;
        self
    }

    /// Which statuses of an answer are worth another try. Defaults to none. Replaces what was given
    /// before.
    ///
    /// 502, 503, and 504 are the usual ones. The answer is thrown away, with its connection if it
    /// has a body. When no try is left, the client gets the last answer.
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

    /// Tries again, too, when there is no answer in time. Not by default.
    ///
    /// The server may still be at work on the request that was given up; a slow page becomes
    /// as many slow pages as there are tries.
    pub fn on_timeout(mut self) -> Self {
        self.on_timeout = true;
        self
    }

    /// Treats all methods as idempotent. Not by default.
    ///
    /// RFC 9110 §9.2.2 leaves it to those who know, "through design or configuration", that a `POST`
    /// which is done twice is as good as one; say it only of an application that makes sure (by
    /// a key of idempotency). Otherwise orders are placed twice.
    pub fn non_idempotent(mut self) -> Self {
        self.non_idempotent = true;
        self
    }

    /// How many retries there may be, of all requests: `ratio` of the requests of the latest
    /// ten seconds, and `min_per_second` for each of those seconds. Defaults to 0.2 and 3.
    ///
    /// Without it, an upstream that cannot bear its load gets it three times over. 20 % is the
    /// budget of Envoy and of linkerd. The minimum keeps retries useful where there is little
    /// traffic: up to 30 of them at once after a quiet time. The table above says what is counted:
    /// not what never reached a server. `budget(0.0, 0)` leaves only that.
    ///
    /// # Panics
    ///
    /// If `ratio` is negative or not a finite number.
    #[track_caller]
    pub fn budget(mut self, ratio: f64, min_per_second: u32) -> Self {
        if !ratio.is_finite() || ratio < 0.0 {
            panic!("{ratio} is no share of requests: give 0.2 for a fifth");
        }
        self.budget = ratio;
        self.min_per_second = min_per_second;
        self
    }

    /// How long one try may take until the head of its answer, if less time than the response
    /// timeout. Defaults to none.
    ///
    /// When it is over there is another try only with [`on_timeout`](Self::on_timeout).
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn per_try_timeout(mut self, timeout: Duration) -> Self {
        if timeout.is_zero() {
            panic!("nothing is answered in no time: give a second, or more");
        }
        self.try_timeout = Some(timeout);
        self
    }

    /// The longest pause before the second try at the same server, and the longest one at all.
    /// Defaults to 25 and 250 milliseconds.
    ///
    /// The pause is anything from zero to `first`, by chance, so that those who failed together do
    /// not come back together; what `first` is doubles with each try.
    pub fn backoff(mut self, first: Duration, max: Duration) -> Self {
        self.backoff = first;
        self.max_backoff = max;
        self
    }

    /// The longest `Retry-After` that is waited for. Defaults to 1 second.
    ///
    /// A server that asks for more has its answer sent to the client, whom it was meant for.
    pub fn max_retry_after(mut self, wait: Duration) -> Self {
        self.max_retry_after = wait;
        self
    }

    /// Whether an answer with this status may be followed by another try.
    pub(in crate::gateway_proxy) fn is_status(&self, status: StatusCode) -> bool {
        self.statuses.contains(status)
    }

    /// How long one try may take.
    pub(in crate::gateway_proxy) fn try_timeout(&self) -> Option<Duration> {
        self.try_timeout
    }
}
