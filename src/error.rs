//! What can go wrong, and whose fault it is.

use std::{error, fmt, sync::Arc};

use http::StatusCode;

/// Any error, as tower and axum spell it.
pub type BoxError = Box<dyn error::Error + Send + Sync>;

/// Why a layer answered in place of the application.
///
/// The layers of this crate answer with responses, never with errors: a layer keeps the error
/// type of the service it wraps. What a layer could not do is a status (400, 413, 502, 503, …)
/// with a short plain body for the client, and an `Error` in the *response's extensions* for
/// the operator's own layers, which may log it or draw another page.
///
/// It is cheap to clone. `Display` speaks for this level only; the cause is
/// [`source`](error::Error::source). Neither text is part of the stable interface: match on
/// [`kind`](Error::kind).
///
/// ```
/// use tower_gateway::{Error, ErrorKind, Fault};
///
/// let error = Error::new(ErrorKind::UpstreamConnect).with_source("connection refused");
///
/// assert_eq!(error.status(), 502);
/// assert_eq!(error.fault(), Fault::Upstream);
/// assert_eq!(error.to_string(), "the upstream could not be reached");
/// assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "connection refused");
/// ```
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    source: Option<Arc<dyn error::Error + Send + Sync>>,
}

/// The reasons for which a layer answers in place of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request's path cannot be read in one way: 400.
    BadPath,
    /// The request breaks a rule of HTTP in another way: 400.
    BadRequest,
    /// The request's body ended before its time: 400.
    RequestBodyIncomplete,
    /// The request's body did not arrive in time: 408.
    RequestBodyTimeout,
    /// The request's body is larger than allowed: 413.
    RequestBodyTooLarge,
    /// The request's head is larger than the upstream's protocol can carry: 431.
    RequestHeadTooLarge,
    /// The request uses a transfer coding that is not known here: 501.
    UnknownTransferCoding,
    /// The request's method (`CONNECT`) is not for a gateway: 501.
    UnsupportedMethod,
    /// The request's method is not let through (`TRACE`), or nothing is mounted for it: 405.
    MethodNotAllowed,
    /// The request has come by here before: 508.
    LoopDetected,
    /// A mounted service failed with an error of its own: 500.
    Service,
    /// The application raised an exception before its answer began: 500.
    Application,
    /// Reading or writing a local file failed: 500.
    Io,
    /// The queue for a permit is full: 503.
    QueueFull,
    /// The wait for a permit took too long: 503.
    QueueTimeout,
    /// Too many requests of this client (or whatever is counted) are running or waiting: 429.
    KeyLimit,
    /// No new requests are let in: 503.
    Draining,
    /// No connection to the upstream came free in time: 503.
    UpstreamBusy,
    /// There is no upstream to ask: all are taken out, or drained: 503.
    UpstreamUnavailable,
    /// The upstream could not be reached: 502.
    UpstreamConnect,
    /// The upstream did not accept a connection in time: 504.
    UpstreamConnectTimeout,
    /// The upstream broke the connection off before its answer: 502.
    UpstreamReset,
    /// What the upstream answered is not HTTP, or breaks its rules: 502.
    UpstreamProtocol,
    /// The upstream did not answer in time: 504.
    UpstreamTimeout,
}

impl ErrorKind {
    /// Its name in snake case, for labels and fields: `upstream_reset`.
    #[must_use]
    pub fn name(self) -> &'static str {
        use ErrorKind::*;
        match self {
            BadPath => "bad_path",
            BadRequest => "bad_request",
            RequestBodyIncomplete => "request_body_incomplete",
            RequestBodyTimeout => "request_body_timeout",
            RequestBodyTooLarge => "request_body_too_large",
            RequestHeadTooLarge => "request_head_too_large",
            UnknownTransferCoding => "unknown_transfer_coding",
            UnsupportedMethod => "unsupported_method",
            MethodNotAllowed => "method_not_allowed",
            LoopDetected => "loop_detected",
            Service => "service",
            Application => "application",
            Io => "io",
            QueueFull => "queue_full",
            QueueTimeout => "queue_timeout",
            KeyLimit => "key_limit",
            Draining => "draining",
            UpstreamBusy => "upstream_busy",
            UpstreamUnavailable => "upstream_unavailable",
            UpstreamConnect => "upstream_connect",
            UpstreamConnectTimeout => "upstream_connect_timeout",
            UpstreamReset => "upstream_reset",
            UpstreamProtocol => "upstream_protocol",
            UpstreamTimeout => "upstream_timeout",
        }
    }
}

/// Who has to mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The client sent what cannot be served.
    Client,
    /// This process, or the machine it runs on, could not do its part.
    Gateway,
    /// The application behind this process did not do its part.
    Upstream,
}

impl Error {
    /// An error of this kind, without a cause.
    #[must_use]
    pub fn new(kind: ErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// The same error with the cause it had.
    #[must_use]
    pub fn with_source(self, source: impl Into<BoxError>) -> Self {
        Self {
            source: Some(Arc::from(source.into())),
            ..self
        }
    }

    /// What went wrong, for code to match on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Who has to mend it.
    #[must_use]
    pub fn fault(&self) -> Fault {
        use ErrorKind::*;
        match self.kind {
            BadPath
            | BadRequest
            | RequestBodyIncomplete
            | RequestBodyTimeout
            | RequestBodyTooLarge
            | RequestHeadTooLarge
            | UnknownTransferCoding
            | UnsupportedMethod
            | MethodNotAllowed
            | KeyLimit => Fault::Client,
            LoopDetected | Service | Io | QueueFull | QueueTimeout | Draining | UpstreamBusy
            | UpstreamUnavailable => Fault::Gateway,
            Application
            | UpstreamConnect
            | UpstreamConnectTimeout
            | UpstreamReset
            | UpstreamProtocol
            | UpstreamTimeout => Fault::Upstream,
        }
    }

    /// Whether nothing of the request can have had an effect, so that sending it once more is
    /// safe whatever its method.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        use ErrorKind::*;
        matches!(
            self.kind,
            QueueFull
                | QueueTimeout
                | KeyLimit
                | Draining
                | UpstreamBusy
                | UpstreamUnavailable
                | UpstreamConnect
                | UpstreamConnectTimeout
        )
    }

    /// The status with which it is answered.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        use ErrorKind::*;
        match self.kind {
            BadPath | BadRequest | RequestBodyIncomplete => StatusCode::BAD_REQUEST,
            RequestBodyTimeout => StatusCode::REQUEST_TIMEOUT,
            RequestBodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            RequestHeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            UnknownTransferCoding | UnsupportedMethod => StatusCode::NOT_IMPLEMENTED,
            MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            LoopDetected => StatusCode::LOOP_DETECTED,
            Service | Application | Io => StatusCode::INTERNAL_SERVER_ERROR,
            KeyLimit => StatusCode::TOO_MANY_REQUESTS,
            QueueFull | QueueTimeout | Draining | UpstreamBusy | UpstreamUnavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            UpstreamConnect | UpstreamReset | UpstreamProtocol => StatusCode::BAD_GATEWAY,
            UpstreamConnectTimeout | UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ErrorKind::*;
        f.write_str(match self.kind {
            BadPath => "the request's path is malformed",
            BadRequest => "the request is malformed",
            RequestBodyIncomplete => "the request's body is incomplete",
            RequestBodyTimeout => "the request's body did not arrive in time",
            RequestBodyTooLarge => "the request's body is too large",
            RequestHeadTooLarge => "the request's head is too large",
            UnknownTransferCoding => "the request's transfer coding is not supported",
            UnsupportedMethod => "the request's method is not supported",
            MethodNotAllowed => "the request's method is not allowed",
            LoopDetected => "the request has come by here before",
            Service => "the service at this path failed",
            Application => "the application raised an exception",
            Io => "a local file could not be read or written",
            QueueFull => "too many requests are waiting",
            QueueTimeout => "the request waited too long for its turn",
            KeyLimit => "too many requests of this client at once",
            Draining => "no new requests are let in",
            UpstreamBusy => "no connection to the upstream came free in time",
            UpstreamUnavailable => "there is no upstream to ask",
            UpstreamConnect => "the upstream could not be reached",
            UpstreamConnectTimeout => "the upstream did not accept a connection in time",
            UpstreamReset => "the upstream broke the connection off",
            UpstreamProtocol => "the upstream's answer is not valid HTTP",
            UpstreamTimeout => "the upstream did not answer in time",
        })
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
