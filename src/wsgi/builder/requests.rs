//! What can be said of requests and answers.

use std::time::Duration;

use http::uri::Scheme;

use super::Builder;
use crate::{
    PathPolicy,
    body::{buffer::Buffering, spool::Spool},
    semantics::{
        client::{ForwardedHeaders, Introduction},
        trust::InvalidNetwork,
    },
};

/// What is said of requests.
#[derive(Clone, Debug)]
pub(in crate::wsgi) struct Requests {
    pub(in crate::wsgi) timeout: Duration,
    pub(in crate::wsgi) queue: usize,
    pub(in crate::wsgi) queue_timeout: Duration,
    pub(in crate::wsgi) prefetch: usize,
    pub(in crate::wsgi) spool: Spool,
    pub(in crate::wsgi) is_streamed: bool,
    pub(in crate::wsgi) buffering: Buffering,
    /// What is added to each `environ`, by the workers.
    pub(in crate::wsgi) environ: Vec<(String, String)>,
    pub(in crate::wsgi) introduction: Introduction,
    pub(in crate::wsgi) paths: PathPolicy,
    pub(in crate::wsgi) server_name: Option<String>,
    pub(in crate::wsgi) server_port: Option<u16>,
    pub(in crate::wsgi) shows_tracebacks: bool,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            queue: 256,
            queue_timeout: Duration::from_secs(5),
            prefetch: 0,
            spool: Spool::new(),
            is_streamed: false,
            buffering: Buffering::new(),
            environ: Vec::new(),
            introduction: Introduction::new(ForwardedHeaders::Neither),
            paths: PathPolicy::new(),
            server_name: None,
            server_port: None,
            shows_tracebacks: false,
        }
    }
}

impl Builder {
    /// How long a worker may hold a request without a word: until its answer begins, and from one
    /// piece of it to the next. Defaults to 30 seconds, as Gunicorn's `timeout`.
    ///
    /// What the client takes does not count: neither the time in which its body is waited for, nor
    /// that in which it does not take the answer. Beyond it the client is answered 504 (or is broken
    /// off, if the answer had begun), the stacks of the worker's threads go to the log, and the worker
    /// is replaced. Raise it for event streams that are quiet for longer; [`Duration::MAX`] is none
    /// (Gunicorn's 0).
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        assert!(
            !timeout.is_zero(),
            "no worker answers in no time: give a timeout of seconds, or Duration::MAX for none"
        );
        self.requests.timeout = timeout;
        self
    }

    /// How many requests may wait for a worker, in the order of their coming. Defaults to 256; the
    /// next is answered 503 at once, as every 503 from here with `Retry-After: 1`. With 0, none waits. Each costs its head
    /// and its spooled body.
    ///
    /// Gunicorn's `backlog`, uWSGI's `listen`.
    pub fn queue(mut self, requests: usize) -> Self {
        self.requests.queue = requests;
        self
    }

    /// How long a request waits for a worker. Defaults to 5 seconds; beyond, the answer is 503.
    ///
    /// It is also how long requests are kept while workers that crashed are started anew.
    pub fn queue_timeout(mut self, timeout: Duration) -> Self {
        self.requests.queue_timeout = timeout;
        self
    }

    /// How many requests a thread of a worker is sent ahead, behind the one that it is at. Defaults to 0;
    /// more than 16 is 16.
    ///
    /// It then goes on to the next without waiting for this process, which is worth it where a request
    /// takes less than a millisecond, and where the two share a core: see the benches. The price is
    /// fairness: what was sent ahead waits for that one thread, even if another becomes idle: not for
    /// applications with answers that go on (event streams). Nothing more is sent ahead once an answer
    /// has begun. Only requests that wait in the queue, are safe (such as `GET`, `HEAD`), have no body, and
    /// are no longer than 8 KiB are sent ahead.
    ///
    /// What was sent ahead is in the queue until it is its turn: it counts for [`queue`](Self::queue),
    /// is answered 503 after the [`queue_timeout`](Self::queue_timeout), and its
    /// [`timeout`](Self::timeout) begins with its turn. A worker that dies loses at most the one whose
    /// turn it is, and one that is replaced none; nor does one that hangs, if the time in the queue
    /// suffices: they go to another. What goes to another, or whose client has left, may be worked on
    /// for nothing.
    pub fn prefetch(mut self, requests: usize) -> Self {
        self.requests.prefetch = requests.min(16);
        self
    }

    /// How request bodies are collected before a worker is taken, so that none waits for a client
    /// on a telephone: how much of one is held in memory (defaults to 64 KiB, then a temporary file,
    /// which the worker is handed), how long it may be (100 MiB, beyond is 413), how long a client may
    /// pause (60 seconds, beyond is 408).
    pub fn spool(mut self, spool: Spool) -> Self {
        self.requests.spool = spool;
        self
    }

    /// Hands request bodies to the application as they come, instead of collecting them first.
    /// Defaults to `false`.
    ///
    /// A worker then takes as long as its client. Nothing is read that the application does not
    /// ask for; the limits of [`spool`](Self::spool) on length and pauses hold. A body without a
    /// length comes without `CONTENT_LENGTH`, which frameworks that do not know
    /// `wsgi.input_terminated` (Django) take for no body.
    pub fn stream_requests(mut self, stream: bool) -> Self {
        self.requests.is_streamed = stream;
        self
    }

    /// How far answers are read ahead of a client that is slower than the worker, so that the
    /// worker is free. Defaults to [`Buffering::new`]: 64 KiB in memory, then up to 1 GiB in a
    /// temporary file.
    pub fn buffering(mut self, buffering: Buffering) -> Self {
        self.requests.buffering = buffering;
        self
    }

    /// A string that is in each `environ`; may be given more than once. None by default.
    ///
    /// PEP 3333: "Servers and gateways **should** support this by allowing an application's deployer
    /// to specify name-value pairs to be placed in `environ`." What a request, or PEP 3333, says by
    /// the same name wins. As in all other values, a character stands for a byte, here of the
    /// value's UTF-8.
    pub fn environ(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.requests.environ.push((name.into(), value.into()));
        self
    }

    /// Believes what peers in this network (`10.0.0.0/8`, or one address) say of whom they
    /// speak for; may be given more than once. Nobody is trusted by default, and what untrusted
    /// peers say in `X-Forwarded-*` and `Forwarded` is removed.
    ///
    /// It decides `REMOTE_ADDR`, `wsgi.url_scheme`, `HTTP_HOST` (and by that `SERVER_NAME` and `SERVER_PORT`) and
    /// `SCRIPT_NAME`. A trusted peer must itself set or remove each of `X-Forwarded-For`, `-Proto`, `-Host`,
    /// `-Prefix` and `Forwarded`: what it passes on of a client's, the client chooses. See
    /// [`Identity::read`](crate::semantics::forwarded::Identity::read) for how they are read.
    ///
    /// # Errors
    ///
    /// If it is neither a network nor an address.
    pub fn trust(mut self, network: &str) -> Result<Self, InvalidNetwork> {
        let introduction = &mut self.requests.introduction;
        introduction.trust = introduction.trust.clone().network(network)?;
        Ok(self)
    }

    /// Whether peers on a Unix socket are believed, as those of a [`trust`](Self::trust)ed network are. Defaults to `false`.
    pub fn trust_unix_peers(mut self, trust: bool) -> Self {
        let introduction = &mut self.requests.introduction;
        introduction.trust = introduction.trust.clone().unix_peers(trust);
        self
    }

    /// Which fields of proxies are written anew for the application. Defaults to
    /// [`ForwardedHeaders::Neither`]: the `environ` itself says who asks, and an application behind
    /// this needs no middleware that reads such fields. What a trusted peer says in them is then left
    /// as it is. Each family is some variables more in each request.
    pub fn forwarded(mut self, families: ForwardedHeaders) -> Self {
        self.requests.introduction.forwarded = families;
        self
    }

    /// The scheme by which clients reach this server: `wsgi.url_scheme`. Defaults to `http`.
    ///
    /// Say `https` when TLS ends in this process; any other is `http`. A request with a [`Scheme`]
    /// among its extensions has that one, and one of a [trusted](Self::trust) peer that which the
    /// peer says. The scheme in the target of a request (HTTP/2's `:scheme`) is not used: it is what
    /// the client claims, over a plain connection too.
    pub fn scheme(mut self, scheme: Scheme) -> Self {
        self.requests.introduction.scheme = scheme;
        self
    }

    /// How a path is read. Defaults to [`PathPolicy::new`].
    pub fn paths(mut self, policy: PathPolicy) -> Self {
        self.requests.paths = policy;
        self
    }

    /// `SERVER_NAME`: the name of a host, or its address (of IPv6: in brackets). Defaults to the name in `Host`, and
    /// `localhost` without one.
    ///
    /// Anything else (an empty one, one with a port) is an error of [`spawn`](Self::spawn).
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.requests.server_name = Some(name.into());
        self
    }

    /// `SERVER_PORT`. Defaults to the port in `Host`, or the one of the scheme.
    pub fn server_port(mut self, port: u16) -> Self {
        self.requests.server_port = Some(port);
        self
    }

    /// Shows the traceback of an exception to whoever asked, as an HTML page. For development:
    /// it tells strangers how the application is made. Defaults to `false`: the page says no more
    /// than the status, and the traceback is an event of level `error`.
    pub fn traceback_page(mut self, show: bool) -> Self {
        self.requests.shows_tracebacks = show;
        self
    }
}
