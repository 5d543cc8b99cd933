//! One HTTP/2 connection to an upstream, used by many requests at once: RFC 9113.
//!
//! Directly over the `h2` crate. hyper's client stands between it and what a gateway has to know:
//! it shows a response that was broken off by `RST_STREAM(NO_ERROR)` as a whole one, goes on
//! uploading when the answer is dropped, does not tell which requests `GOAWAY` left unprocessed,
//! and queues requests without a limit.

mod body;
mod driver;
mod failure;
mod head;
#[cfg(test)]
mod tests;
mod upload;

use std::{
    convert::Infallible,
    fmt,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use ::http::{Request, Response};
use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http_body::Body as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
};

pub(in crate::gateway_proxy) use self::body::Http2Body;
use self::{
    driver::{Heard, KeepAlive, Pulse},
    upload::Upload,
};
pub(in crate::gateway_proxy) use self::{
    failure::{Failure, Kind},
    head::prepare,
};
use crate::Body;

/// RFC 9113 §6.9.1: "A sender MUST NOT allow a flow-control window to exceed 2^31-1 octets."
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// How many streams are opened before the upstream has said how many it allows. RFC 9113 §6.5.2:
/// "It is recommended that this value be no smaller than 100".
const FIRST_STREAMS: usize = 100;

/// How many streams that were reset here are remembered, so that what was on its way for them is
/// let pass: clients that go away must not look like an upstream that breaks the rules.
const REMEMBERED_RESETS: usize = 1024;

/// How many informational responses (1xx) come before an answer.
const MAX_INFORMATIONAL: usize = 32;

/// What a connection is held to.
#[derive(Clone, Debug)]
pub(in crate::gateway_proxy) struct Settings {
    /// How large the fields of an answer may be, counted as RFC 9113 §6.5.2 has it.
    pub(in crate::gateway_proxy) max_header_list: u32,
    /// How much of one answer the upstream sends ahead of its client: what a slow client costs.
    ///
    /// There is no such limit for the connection: with one, a few clients that read nothing would
    /// stop all others.
    pub(in crate::gateway_proxy) stream_window: u32,
    /// How long the upstream may say nothing, while requests are open, before it is asked whether
    /// it is there; without any, before the connection counts as forgotten.
    pub(in crate::gateway_proxy) ping_interval: Duration,
    /// How long it may take to say that it is.
    pub(in crate::gateway_proxy) ping_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_header_list: 64 << 10,
            stream_window: 256 << 10,
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(10),
        }
    }
}

/// A handle to a connection. Its clones, and the requests that are open on it, share it; with the
/// last of them it is closed.
#[derive(Clone)]
pub(in crate::gateway_proxy) struct Http2 {
    // In this order: with the last handle gone the driver has nothing left to wait for.
    sender: SendRequest<Bytes>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pulse: Arc<Pulse>,
    /// Requests whose answer is not over.
    streams: Arc<AtomicUsize>,
    /// Whether one was answered.
    was_used: AtomicBool,
    /// Dropped, it tells the driver to say farewell.
    _alive: oneshot::Sender<Infallible>,
}

impl Http2 {
    /// Speaks HTTP/2 over `io` from now on; whether the other side does is seen with the first
    /// request. The connection is driven by a task of its own on this runtime.
    pub(in crate::gateway_proxy) async fn handshake<S>(
        io: S,
        settings: &Settings,
    ) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let pulse = Arc::new(Pulse::default());
        let (sender, mut connection) = Builder::new()
            .enable_push(false)
            .max_header_list_size(settings.max_header_list)
            .initial_window_size(settings.stream_window.min(LARGEST_WINDOW))
            .initial_connection_window_size(LARGEST_WINDOW)
            .initial_max_send_streams(FIRST_STREAMS)
            .max_concurrent_reset_streams(REMEMBERED_RESETS)
            .handshake(Heard::new(io, Arc::clone(&pulse)))
            .await
            .map_err(|error| {
                error
                    .into_io()
                    .unwrap_or_else(|| io::ErrorKind::Other.into())
            })?;
        let (alive, last_handle) = oneshot::channel();
        let streams = Arc::new(AtomicUsize::new(0));
        let keep_alive = connection
            .ping_pong()
            .map(|pings| KeepAlive::new(pings, settings, &pulse, &streams));
        tokio::spawn(driver::drive(
            connection,
            keep_alive,
            Arc::clone(&pulse),
            last_handle,
        ));
        Ok(Self {
            sender,
            shared: Arc::new(Shared {
                pulse,
                streams,
                was_used: AtomicBool::new(false),
                _alive: alive,
            }),
        })
    }

    /// Whether another request may be sent: the connection is up, and the upstream has not said
    /// that it is going away.
    pub(in crate::gateway_proxy) fn is_open(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        !self.shared.pulse.is_over()
            && matches!(self.sender.clone().poll_ready(&mut cx), Poll::Ready(Ok(())))
    }

    /// Whether it was idle for so long that a new one is cheaper than to find out, with a request,
    /// that nobody is there any more.
    pub(in crate::gateway_proxy) fn was_forgotten(&self) -> bool {
        self.shared.pulse.was_forgotten()
    }

    /// How many requests are open: until the body of the answer is over or dropped.
    pub(in crate::gateway_proxy) fn streams(&self) -> usize {
        self.shared.streams.load(Ordering::Relaxed)
    }

    /// Whether a request was answered on it, so that the upstream may have closed it since.
    pub(in crate::gateway_proxy) fn was_used(&self) -> bool {
        self.shared.was_used.load(Ordering::Relaxed)
    }

    /// How many may be open at once; 100 until the upstream has said. A request beyond that waits
    /// inside [`send`](Self::send) for its turn.
    pub(in crate::gateway_proxy) fn max_streams(&self) -> usize {
        self.sender.current_max_send_streams()
    }

    /// Sends a [prepared](prepare) request, and waits for the head of the answer. Its body is sent
    /// at the same time, and goes on being sent after that, until the answer is over.
    ///
    /// Dropped before its end, the stream is reset (`CANCEL`), and nothing else is.
    pub(in crate::gateway_proxy) async fn send(
        &self,
        request: Request<Body>,
    ) -> Result<Response<Http2Body>, Failure> {
        let mut sender = self.sender.clone();
        if let Err(error) = poll_fn(|cx| sender.poll_ready(cx)).await {
            return Err(Failure::untaken(error, request));
        }
        let using = Using::new(&self.shared);
        let (parts, body) = request.into_parts();
        let is_whole = body.is_end_stream();
        let (answer, stream) = sender
            .send_request(Request::from_parts(parts, ()), is_whole)
            .map_err(Failure::unsent)?;
        drop(sender);
        let exchange = Exchange {
            answer,
            upload: (!is_whole).then(|| Upload::new(stream, body)),
            informational: 0,
            using: Some(using),
        };
        exchange.await
    }
}

impl fmt::Debug for Http2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2")
            .field("streams", &self.streams())
            .field("is_open", &self.is_open())
            .finish_non_exhaustive()
    }
}

/// One request that is open. It keeps the connection.
#[derive(Debug)]
struct Using {
    shared: Arc<Shared>,
}

impl Using {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.streams.fetch_add(1, Ordering::Relaxed);
        Self {
            shared: Arc::clone(shared),
        }
    }

    fn pulse(&self) -> &Pulse {
        &self.shared.pulse
    }
}

impl Drop for Using {
    fn drop(&mut self) {
        self.shared.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request, from its head to the head of the answer.
struct Exchange {
    answer: ResponseFuture,
    upload: Option<Upload>,
    informational: usize,
    using: Option<Using>,
}

impl Future for Exchange {
    type Output = Result<Response<Http2Body>, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(upload) = &mut this.upload
            && let Poll::Ready(sent) = Pin::new(upload).poll(cx)
        {
            this.upload = None;
            sent?;
        }
        while let Poll::Ready(Some(Ok(_))) = this.answer.poll_informational(cx) {
            this.informational += 1;
            if this.informational > MAX_INFORMATIONAL {
                let reason = "it sent too many informational responses";
                return Poll::Ready(Err(Failure::new(Kind::Protocol, reason)));
            }
        }
        let answer = ready!(Pin::new(&mut this.answer).poll(cx));
        let using = this.using.take().expect("polled after completion");
        match answer {
            Ok(answer) => {
                using.shared.was_used.store(true, Ordering::Relaxed);
                let upload = this.upload.take();
                let (parts, stream) = answer.into_parts();
                let body = Http2Body::new(stream, &parts.headers, upload, using);
                Poll::Ready(Ok(Response::from_parts(parts, body)))
            }
            Err(error) => Poll::Ready(Err(Failure::of(error, using.pulse()))),
        }
    }
}
