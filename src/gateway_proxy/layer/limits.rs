//! How long things may take, and how many there may be.

use std::time::Duration;

use super::GatewayProxy;

impl GatewayProxy {
    /// How long a connection may take to be made, with the lookup of its name. Defaults to 5
    /// seconds; beyond, another upstream is tried, or the answer is 504.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.limits.connect = timeout)
    }

    /// How long the head of an answer may take once the request is sent, and how long the
    /// upstream may take no more of a request. Defaults to 60 seconds, as nginx's
    /// `proxy_read_timeout`; beyond, the answer is 504.
    pub fn response_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.response_timeout = timeout)
    }

    /// How long the body of an answer may pause. Defaults to 60 seconds; beyond, the client's
    /// connection is broken off. Raise it for event streams that are quiet for longer.
    pub fn read_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.read_timeout = timeout)
    }

    /// How long an upgraded connection may be quiet in both directions. Defaults to one hour:
    /// WebSocket peers that care send a ping every minute or less, and those that do not should
    /// not be cut. It costs two descriptors for each peer that vanished without a word.
    pub fn upgrade_idle_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.upgrade_idle_timeout = timeout)
    }

    /// How long an upgraded connection may live, whether it is used or not. Not limited by default.
    ///
    /// A WebSocket is told to close (1001) first.
    pub fn upgrade_lifetime(self, time: Duration) -> Self {
        self.with(|config| config.upgrade_lifetime = Some(time))
    }

    /// How many connections to each upstream are used at once. Defaults to 512.
    ///
    /// A connection counts until the body of its answer is over, an upgraded one until it ends.
    /// Where one carries many requests (HTTP/2), it is the requests that are counted.
    /// Set it to what the upstream can work on: more only wait in its backlog, where they cannot
    /// be told to go away.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn max_connections(self, max: usize) -> Self {
        assert!(max > 0, "with no connection nothing is ever answered");
        let max = max.min(tokio::sync::Semaphore::MAX_PERMITS);
        self.with(|config| config.limits.max_connections = max)
    }

    /// How many requests may wait for a connection to one upstream, in the order of their coming.
    /// Defaults to 1024; the next is answered 503 at once. Each costs its head and its spooled
    /// body.
    pub fn max_waiting(self, max: usize) -> Self {
        self.with(|config| config.limits.max_waiting = max)
    }

    /// How long a request waits for a connection. Defaults to 5 seconds; beyond, the answer is
    /// 503.
    pub fn pool_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.limits.wait = timeout)
    }

    /// How many connections to each upstream are kept when nobody uses them. Defaults to 64; zero
    /// keeps none. Each costs a descriptor here and one there; a thread, where the upstream has one
    /// for each connection. Those of HTTP/2 are few, and kept until they are
    /// [old](GatewayProxy::max_connection_age).
    pub fn max_idle(self, max: usize) -> Self {
        self.with(|config| config.limits.max_idle = max)
    }

    /// How long a connection is kept when nobody uses it. Defaults to 1.5 seconds.
    ///
    /// It should be shorter than the upstream's own limit, or requests are sent into connections
    /// that are being closed: Gunicorn's `keepalive` is 2 seconds, and says so nowhere on the
    /// wire. One of HTTP/2 says when it is to be used no more, and is kept until then, until it is
    /// [too old](GatewayProxy::max_connection_age), or until it has neither carried a request nor
    /// heard a byte for 20 to 40 seconds: what stands between may have forgotten it.
    pub fn idle_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.limits.idle = timeout)
    }

    /// How old a connection may get before it is used no more. Defaults to one hour: what is
    /// changed behind a name or a load balancer is noticed by new connections only.
    pub fn max_connection_age(self, age: Duration) -> Self {
        self.with(|config| config.limits.max_age = age)
    }

    /// How many requests a connection may carry, one after the other. Defaults to 1000, as nginx's
    /// `keepalive_requests`. Those of HTTP/2 are not limited by it.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn max_connection_requests(self, max: u64) -> Self {
        assert!(
            max > 0,
            "a connection carries at least one request; max_idle(0) keeps none"
        );
        self.with(|config| config.limits.max_requests = max)
    }

    /// Sends every request on a connection that was kept, if there is one.
    ///
    /// Without it, only what may be sent twice is: an upstream may close a connection while a
    /// request is on its way to it, and nobody can tell whether it was worked on. RFC 9110 §9.2.2:
    /// "A proxy MUST NOT automatically retry non-idempotent requests." So a `POST`, and a request
    /// whose body is [streamed](GatewayProxy::stream_requests), gets a connection of its own,
    /// which costs a round trip to the upstream. With it, now and then such a request is answered
    /// 502, as nginx does.
    ///
    /// Over HTTP/2 all requests share connections in any case: there a server that closes one says
    /// which requests it has not begun (RFC 9113 §8.7), and those are sent again.
    pub fn reuse_for_every_request(self) -> Self {
        self.with(|config| config.reuses_always = true)
    }

    /// How long all of it may take, from when the request is there to the end of the answer:
    /// waiting, every try, and the body. None by default.
    ///
    /// Beyond it the answer is 504 (503 while a request still waits for a connection, 408 while the
    /// upstream waits for the rest of a streamed body), or is broken off when the client next asks
    /// for some of it: one that takes nothing at all is for the server's `send_timeout`. A server
    /// that was asked when half of the time was gone is not blamed for it. An upgraded connection
    /// is not limited by it.
    pub fn total_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.total_timeout = Some(timeout))
    }

    /// How many bytes the head of an answer may have. Defaults to 64 KiB (and 100 fields in
    /// HTTP/1.1, which is fixed); beyond, the answer is 502. It is the memory that an upstream can
    /// make one request take before its answer begins.
    pub fn max_response_head(self, bytes: usize) -> Self {
        // Places in a head are counted in 32 bits.
        let bytes = bytes.min(u32::MAX as usize);
        self.with(|config| config.limits.max_head = bytes)
    }
}
