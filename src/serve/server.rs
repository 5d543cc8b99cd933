//! What you can say about a server.

use std::{
    fmt,
    future::{self, Future, IntoFuture},
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use tower_service::Service;

use super::{
    accept, connection::Protocol, listener::Listener, request::RequestBody, watch::Timeouts,
};
use crate::BoxError;

/// Serves `service` to every client that `listener` lets in.
///
/// The service is cloned for each request; its responses may have any body of [`Bytes`]. An
/// error of the service is answered with 500, and the connection goes on. See the
/// [module documentation](crate::serve) for an example.
pub fn serve<L, S>(listener: L, service: S) -> Server<L, S>
where
    L: Listener,
{
    Server {
        listener,
        service,
        shutdown: future::pending(),
        config: Config::default(),
    }
}

/// A server that is being set up; `.await` runs it.
///
/// # Cancel safety
///
/// Dropping its future closes the listener and aborts every connection, in the middle of a
/// response if need be, upgraded ones as well.
#[must_use = "a server does nothing until it is awaited"]
pub struct Server<L, S, F = future::Pending<()>> {
    pub(super) listener: L,
    pub(super) service: S,
    pub(super) shutdown: F,
    pub(super) config: Config,
}

#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) timeouts: Timeouts,
    pub(super) protocol: Protocol,
    pub(super) max_connections: usize,
    pub(super) drain_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeouts: Timeouts {
                header: Duration::from_secs(30),
                keep_alive: Duration::from_secs(75),
                send: Duration::from_secs(60),
                linger: Duration::from_secs(30),
            },
            protocol: Protocol {
                max_header_size: 32 << 10,
                max_streams: 128,
                ping_interval: Some(Duration::from_secs(30)),
                ping_timeout: Duration::from_secs(20),
            },
            max_connections: 10_000,
            drain_timeout: Duration::from_secs(30),
        }
    }
}

impl<L, S, F> Server<L, S, F> {
    /// How long a client may take to send a request's head, from its first byte to its last; the
    /// first head counts from the moment the connection is accepted. A client that is late is
    /// cut off without an answer, however busily it trickles.
    ///
    /// On an HTTP/2 connection this is the time to the first request.
    ///
    /// Defaults to 30 seconds: a slow mobile network needs a few, and nginx's 60 are twice as much
    /// for an attacker who opens connections and sends nothing. Cost: one timer per connection.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.config.timeouts.header = timeout;
        self
    }

    /// How long a connection may stay without a request after a response was sent.
    ///
    /// Defaults to 75 seconds, as nginx's. In front of it (a load balancer, a CDN), the
    /// other side's idle timeout should be the shorter one: a connection that is closed just as the
    /// next request is on its way costs that request.
    pub fn keep_alive_timeout(mut self, timeout: Duration) -> Self {
        self.config.timeouts.keep_alive = timeout;
        self
    }

    /// How long a client may take none of what is to be sent to it before it is cut off.
    ///
    /// Not the time for a whole response: a slow client that takes a little now and then has all
    /// the time it needs. Defaults to 60 seconds, as nginx's `send_timeout`.
    ///
    /// On HTTP/2 it holds for each stream as well, whose client has this long for every 16 KiB
    /// that the response's body has given; a late stream is reset, and the others go on. What
    /// hyper still holds when the body is over has to be taken before the connection counts as
    /// idle for too long.
    pub fn send_timeout(mut self, timeout: Duration) -> Self {
        self.config.timeouts.send = timeout;
        self
    }

    /// How long an HTTP/1.1 client that was answered before it had sent everything (413, 431, a body
    /// that nobody wanted, requests behind the last one) is listened to before its connection is
    /// closed. What it sends is thrown away. Closed at once, the connection would be reset, and the
    /// client would lose the answer.
    ///
    /// It ends when the client closes, pauses for 5 seconds, or has sent 64 MiB more. The connection
    /// counts until then. Defaults to 30 seconds, as nginx's `lingering_time`; zero closes at once.
    pub fn linger_timeout(mut self, timeout: Duration) -> Self {
        self.config.timeouts.linger = timeout;
        self
    }

    /// The largest head of a request, in bytes; a larger one is answered with 431.
    ///
    /// Defaults to 32 KiB, as nginx's `large_client_header_buffers` in sum. A head is looked at
    /// when it is whole; what of it has come is bounded by hyper's buffer, at about 400 KiB per
    /// connection, so more than that says nothing. More than 100 fields of HTTP/1.1 are 431 as
    /// well, whatever is said here. On HTTP/2 it is `SETTINGS_MAX_HEADER_LIST_SIZE`, which counts 32 bytes more for
    /// each field.
    pub fn max_header_size(mut self, bytes: u32) -> Self {
        self.config.protocol.max_header_size = bytes;
        self
    }

    /// How many connections may be open at once; upgraded ones count until they are closed.
    ///
    /// While that many are open none is accepted: further clients wait in the kernel's queue
    /// (whose length is the listener's backlog), and a warning is written once.
    ///
    /// Defaults to 10,000. Cost: a file descriptor each, and about 4 KiB for a connection that has sent
    /// nothing yet, 20 KiB for an idle one.
    ///
    /// # Panics
    ///
    /// If it is zero: nobody would ever be served.
    #[track_caller]
    pub fn max_connections(mut self, connections: usize) -> Self {
        assert!(
            connections > 0,
            "a server without a connection serves nobody"
        );
        self.config.max_connections = connections;
        self
    }

    /// How many requests may be open at once on one HTTP/2 connection.
    ///
    /// Defaults to 128, as nginx's. The worst case of requests at once is this many times
    /// [`max_connections`](Self::max_connections), which a limit in the stack should bound.
    pub fn max_http2_streams(mut self, streams: u32) -> Self {
        self.config.protocol.max_streams = streams;
        self
    }

    /// How often the other end of an HTTP/2 connection is asked whether it is still there, and
    /// how long it may take to say so before the connection is closed. `None` asks never: a peer
    /// that vanished without a word in the middle of a request is then found only by
    /// [`send_timeout`](Self::send_timeout).
    ///
    /// Defaults to every 30 seconds, and 20 seconds.
    pub fn http2_ping(mut self, interval: impl Into<Option<Duration>>, timeout: Duration) -> Self {
        self.config.protocol.ping_interval = interval.into();
        self.config.protocol.ping_timeout = timeout;
        self
    }

    /// Stops the server when `signal` is ready: connections that the kernel holds already are let
    /// in, then no more; idle ones are closed at once (those without a first byte after 250 ms:
    /// it may be on its way), and requests that run may finish, to the end of their responses,
    /// within the [drain timeout](Self::drain_timeout). Whatever is left then is aborted.
    ///
    /// Meanwhile HTTP/1.1 responses say `Connection: close`, and HTTP/2 clients are sent GOAWAY.
    /// A connection that was upgraded (WebSocket) is waited for like a request that runs, and cut
    /// off in the end: reads and writes fail. Whoever carries it is told by
    /// [`Drain`](crate::body::Drain), an extension of each request that asks for an upgrade;
    /// `GatewayProxy` sends Close frames at its word.
    ///
    /// Without it, the server runs until its future is dropped.
    pub fn graceful_shutdown<G>(self, signal: G) -> Server<L, S, G>
    where
        G: Future<Output = ()> + Send + 'static,
    {
        Server {
            listener: self.listener,
            service: self.service,
            shutdown: signal,
            config: self.config,
        }
    }

    /// How long requests that run may take to finish once the server stops.
    ///
    /// Defaults to 30 seconds, as Gunicorn's `graceful_timeout`. It has to be shorter than
    /// whatever kills the process (90 s for systemd, 30 s for Kubernetes, 10 s for Docker).
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.config.drain_timeout = timeout;
        self
    }
}

impl<L, S, B, F> IntoFuture for Server<L, S, F>
where
    L: Listener,
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    F: Future<Output = ()> + Send + 'static,
{
    type Output = io::Result<()>;
    type IntoFuture = Serving;

    fn into_future(self) -> Serving {
        Serving(Box::pin(async move {
            accept::run(self).await;
            Ok(())
        }))
    }
}

impl<L, S, F> fmt::Debug for Server<L, S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// A server that runs: the future of [`Server`].
///
/// It is ready, with `Ok`, when the server has stopped gracefully. Nothing that happens to a
/// connection or to the listener ends it; the `Result` leaves room for what may.
#[must_use = "futures do nothing unless polled"]
pub struct Serving(Pin<Box<dyn Future<Output = io::Result<()>> + Send>>);

impl Future for Serving {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").finish_non_exhaustive()
    }
}
