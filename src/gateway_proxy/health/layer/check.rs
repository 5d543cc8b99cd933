use std::{error, fmt, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::HOST,
    uri::{Authority, PathAndQuery},
};

use crate::{BoxError, gateway_proxy::statuses::Statuses};

/// Asks each server regularly whether it is well.
///
/// A server is down after [`falls`](Self::falls) bad probes in a row, and up again after
/// [`rises`](Self::rises) good ones. A probe is good if its answer has an
/// [expected status](Self::expect_status), and, where asked for, the
/// [expected text](Self::expect_body), within the [timeout](Self::timeout).
///
/// A server that is down gets no requests as long as another one is up. If none is, all are used:
/// the probe may be wrong, and a refusal helps nobody.
///
/// The probe is a request like any other to the application. Where all workers are busy (Gunicorn's
/// sync workers for a long report) it waits in the server's queue; a timeout shorter than the
/// slowest page calls busy servers down, and the rest gets all of the load. Each instance of the
/// gateway probes for itself.
///
/// ```
/// use std::time::Duration;
///
/// use axum::{Router, http::HeaderMap, routing::get};
/// use tower_gateway::gateway_proxy::{GatewayProxy, HealthCheck, UpstreamHealth};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let healthz = async |headers: HeaderMap| {
///     if headers["host"] == "www.example.org" { "all is ok" } else { "who?" }
/// };
/// let app = Router::new().route("/healthz", get(healthz));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let url = format!("http://{}", listener.local_addr()?);
/// tokio::spawn(async move { axum::serve(listener, app).await });
///
/// let check = HealthCheck::get("/healthz")
///     .host("www.example.org") // Django: one of ALLOWED_HOSTS
///     .interval(Duration::from_millis(50))
///     .expect_status([200])
///     .expect_body("ok")
///     .wait_for_first_success();
/// let handle = GatewayProxy::to(&url)?.health_check(check).handle();
/// assert_eq!(handle.upstreams()[0].health, UpstreamHealth::Unknown);
/// handle.start();
/// while handle.upstreams()[0].health != UpstreamHealth::Up {
///     tokio::time::sleep(Duration::from_millis(10)).await;
/// }
/// # Ok::<(), tower_gateway::BoxError>(())
/// # })?;
/// # Ok::<(), tower_gateway::BoxError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct HealthCheck {
    path: PathAndQuery,
    headers: HeaderMap,
    port: Option<u16>,
    statuses: Statuses,
    text: Option<Box<[u8]>>,
    max_body: usize,
    waits: bool,
    pub(in crate::gateway_proxy::health) interval: Duration,
    pub(in crate::gateway_proxy::health) timeout: Duration,
    pub(in crate::gateway_proxy::health) rises: u32,
    pub(in crate::gateway_proxy::health) falls: u32,
}

impl HealthCheck {
    /// Probes with `GET` of this path (and query).
    ///
    /// It should look at what all requests need (the database, if so) and at nothing else, and need
    /// no login.
    ///
    /// # Panics
    ///
    /// If it does not begin with a slash, or is no path.
    #[track_caller]
    pub fn get(path: &str) -> Self {
        let parsed = path.parse().ok().filter(|_| path.starts_with('/'));
        let Some(path) = parsed else {
            panic!("{path:?} is no path: give one that begins with a slash, as \"/healthz\"");
        };
        let not_an_error = Statuses::new(200..=399);
        Self {
            path,
            headers: HeaderMap::new(),
            port: None,
            statuses: not_an_error.expect("all of them are statuses"),
            text: None,
            max_body: 64 << 10,
            waits: false,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
            rises: 2,
            falls: 3,
        }
    }

    /// How long from the beginning of one probe to that of the next. Defaults to 5 seconds.
    ///
    /// Each is up to a tenth shorter or longer, by chance, so that the probes of several gateways
    /// do not come in step. A probe that takes longer is followed by the next at once. A server
    /// that died is found after `falls` times the interval, or the timeout if that is longer.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn interval(mut self, interval: Duration) -> Self {
        if interval.is_zero() {
            panic!("an interval of zero probes without a pause: give a second, or more");
        }
        self.interval = interval;
        self
    }

    /// How long a probe may take, from connecting to the end of what is read. Defaults to 5
    /// seconds.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if timeout.is_zero() {
            panic!("no probe is good within no time: give a second, or more");
        }
        self.timeout = timeout;
        self
    }

    /// How many good probes in a row bring a server back. Defaults to 2.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn rises(mut self, probes: u32) -> Self {
        if probes == 0 {
            panic!("zero good probes would never leave a server down: give at least 1");
        }
        self.rises = probes;
        self
    }

    /// How many bad probes in a row take a server out. Defaults to 3: one slow answer is none.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn falls(mut self, probes: u32) -> Self {
        if probes == 0 {
            panic!("zero bad probes would take every server out: give at least 1");
        }
        self.falls = probes;
        self
    }

    /// Which statuses are good. Defaults to 200 to 399 (an application may redirect to `https` or to
    /// a login). Replaces what was given before.
    ///
    /// # Panics
    ///
    /// If there are none, or one is not from 100 to 999.
    #[track_caller]
    pub fn expect_status(mut self, statuses: impl IntoIterator<Item = u16>) -> Self {
        self.statuses = match Statuses::new(statuses) {
            Ok(statuses) if statuses.is_empty() => {
                panic!("without an expected status no probe is good: give one, as [200]")
            }
            Ok(statuses) => statuses,
            Err(code) => panic!("{code} is no status: give codes from 100 to 999"),
        };
        self
    }

    /// Which text the body of a good answer has somewhere in it. Defaults to none, and the body is
    /// not read. It is compared byte by byte, in the first [`max_body`](Self::max_body) bytes.
    pub fn expect_body(mut self, text: &str) -> Self {
        self.text = Some(text.as_bytes().into());
        self
    }

    /// How many bytes of the body are looked at for the [expected text](Self::expect_body), at
    /// least as many as it has. Defaults to 64 KiB. A probe takes so much memory, and one more frame
    /// (128 KiB at most), and for the head of its answer
    /// [as much as any](crate::GatewayProxy::max_response_head).
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// What the probe says in `Host`. Defaults to the server's own name, `localhost` for a Unix
    /// socket. Django refuses what is not in its `ALLOWED_HOSTS`, with 400.
    ///
    /// # Panics
    ///
    /// If it is no host with or without a port.
    #[track_caller]
    pub fn host(self, host: &str) -> Self {
        let authority = host.parse::<Authority>().ok();
        let value = authority
            .filter(|authority| !authority.as_str().contains('@'))
            .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        match value {
            Some(value) => self.header(HOST, value),
            None => panic!("{host:?} is no host: give a name with or without a port"),
        }
    }

    /// A field that the probe has, such as `X-Forwarded-Proto: https` for an application that
    /// redirects anything else. Replaces one of the same name. There are none by default.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The port at which a server is probed, of the same address. Defaults to the port that gets
    /// the requests; a server at a Unix socket has none, and is probed at its socket.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn port(mut self, port: u16) -> Self {
        if port == 0 {
            panic!("nobody listens at port 0: give the port at which the server is to be probed");
        }
        self.port = Some(port);
        self
    }

    /// A new server gets no requests before its first good probe (one is enough). By default it
    /// gets them at once.
    ///
    /// Say so where servers are added while they start. As long as no server has passed, those that
    /// wait are used all the same.
    pub fn wait_for_first_success(mut self) -> Self {
        self.waits = true;
        self
    }

    pub(in crate::gateway_proxy) fn path(&self) -> &PathAndQuery {
        &self.path
    }

    /// The fields of a probe; `Host` among them if it was given.
    pub(in crate::gateway_proxy) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(in crate::gateway_proxy) fn probed_port(&self) -> Option<u16> {
        self.port
    }

    /// Whether a new server is unusable until it has passed a probe.
    pub(in crate::gateway_proxy) fn waits(&self) -> bool {
        self.waits
    }

    /// How many bytes of the body a probe has to read at most: none if nothing is looked for.
    pub(in crate::gateway_proxy) fn wanted_body(&self) -> usize {
        let text = self.text.as_ref();
        text.map_or(0, |text| self.max_body.max(text.len()))
    }

    /// Judges the answer to a probe.
    pub(in crate::gateway_proxy::health) fn judge(
        &self,
        status: StatusCode,
        body: &[u8],
    ) -> Result<(), Unwell> {
        if !self.statuses.contains(status) {
            return Err(Unwell::Status(status));
        }
        let Some(text) = &self.text else {
            return Ok(());
        };
        let body = &body[..body.len().min(self.wanted_body())];
        match contains(body, text) {
            true => Ok(()),
            false => Err(Unwell::Body),
        }
    }
}

/// Why a probe was bad.
#[derive(Debug)]
pub(in crate::gateway_proxy) enum Unwell {
    Status(StatusCode),
    Body,
    Timeout,
    Failed(BoxError),
}

impl fmt::Display for Unwell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "the answer was {}", status.as_u16()),
            Self::Body => f.write_str("the answer does not have the expected text"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Failed(_) => f.write_str("no answer"),
        }
    }
}

impl error::Error for Unwell {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Failed(error) => Some(&**error),
            _ => None,
        }
    }
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|part| part == text)
}
