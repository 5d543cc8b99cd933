//! One connection, from its first byte to its last.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    select,
    sync::OwnedSemaphorePermit,
    time::sleep,
};
use tower_service::Service;

use super::{
    request::{RequestBody, Requests},
    stream::Stream,
    streams::Streams,
    watch::{Alarm, Timeouts, Waiting, Watch},
};
use crate::{BoxError, PeerAddr, body::Drain};

/// How long a connection that has not said anything yet is waited for when the server drains.
const FIRST_BYTES: Duration = Duration::from_millis(250);

/// What is said to hyper about every connection.
#[derive(Clone, Debug)]
pub(super) struct Protocol {
    pub(super) max_header_size: u32,
    pub(super) max_streams: u32,
    pub(super) ping_interval: Option<Duration>,
    pub(super) ping_timeout: Duration,
}

/// hyper's two servers, set up once.
///
/// hyper-util has one that tells them apart by itself; it waits for the first bytes without end,
/// and does not hand `max_header_size` on.
#[derive(Clone, Debug)]
pub(super) struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<Streams>,
}

impl Protocols {
    pub(super) fn new(protocol: &Protocol, send_timeout: Duration) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .max_header_size(usize::try_from(protocol.max_header_size).unwrap_or(usize::MAX))
            // `Watch` has this one, and more.
            .header_read_timeout(None);
        let mut http2 = http2::Builder::new(Streams { send_timeout });
        http2
            .timer(TokioTimer::new())
            .max_header_list_size(protocol.max_header_size)
            .max_concurrent_streams(protocol.max_streams)
            .keep_alive_interval(protocol.ping_interval)
            .keep_alive_timeout(protocol.ping_timeout)
            // RFC 8441 §3: SETTINGS_ENABLE_CONNECT_PROTOCOL. Without it no browser opens a
            // WebSocket on this connection.
            .enable_connect_protocol();
        Self { http1, http2 }
    }
}

pub(super) struct Connection<T, S> {
    pub(super) io: T,
    pub(super) peer: Option<PeerAddr>,
    pub(super) slot: OwnedSemaphorePermit,
    pub(super) service: S,
    pub(super) protocols: Arc<Protocols>,
    pub(super) timeouts: Timeouts,
    pub(super) drain: Drain,
}

impl<T, S, B> Connection<T, S>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// Serves the connection until it is over.
    pub(super) async fn serve(self) {
        let peer = self.peer;
        match self.speak().await {
            Ok(None) => {}
            Ok(Some(late)) => tracing::debug!(?peer, ?late, "closed a connection: client is late"),
            Err(error) => tracing::debug!(?peer, error = &*error, "a connection broke off"),
        }
    }

    /// What the client was late with, if it was.
    async fn speak(mut self) -> Result<Option<Waiting>, BoxError> {
        let watch = Watch::new(self.timeouts);
        let mut alarm = Alarm::new(&watch);
        let told = self.drain.clone();
        let mut drain = pin!(self.drain.begun());
        let (mut stream, life) = Stream::new(self.io, Arc::clone(&watch), self.slot);
        let is_http2 = select! {
            biased;
            is_http2 = stream.speaks_http2() => is_http2?,
            // Who has connected just now has a request on its way.
            () = async { drain.as_mut().await; sleep(FIRST_BYTES).await } => return Ok(None),
            late = alarm.late() => return Ok(Some(late)),
        };
        let stream = TokioIo::new(stream);
        let requests = Requests {
            service: self.service,
            peer: self.peer,
            watch: Arc::clone(&watch),
            drain: told,
        };
        if is_http2 {
            watch.speaks_http2();
            let http = self.protocols.http2.serve_connection(stream, requests);
            let stop = http2::Connection::graceful_shutdown;
            drive(pin!(http), stop, drain, &watch, alarm).await
        } else {
            let http = self.protocols.http1.serve_connection(stream, requests);
            let stop = http1::UpgradeableConnection::graceful_shutdown;
            let ended = drive(pin!(http.with_upgrades()), stop, drain, &watch, alarm).await;
            // Whoever carries it after an upgrade drops it, or is cut off when the server stops.
            life.over().await;
            ended
        }
    }
}

/// Lets hyper work, until the client is late or the server drains.
async fn drive<C, D>(
    mut http: Pin<&mut C>,
    stop: fn(Pin<&mut C>),
    drain: Pin<&mut D>,
    watch: &Watch,
    mut alarm: Alarm,
) -> Result<Option<Waiting>, BoxError>
where
    C: Future<Output = hyper::Result<()>>,
    D: Future,
{
    // The connection first: the other two see the state in which it has left things.
    let late = select! {
        biased;
        ended = http.as_mut() => return ended.map(|()| None).map_err(Into::into),
        _ = drain => None,
        late = alarm.late() => Some(late),
    };
    if late.is_some_and(|late| late != Waiting::Next) {
        return Ok(late);
    }
    // An idle HTTP/1.1 connection is closed at once. HTTP/2 says GOAWAY, and answers what is
    // on its way.
    stop(http.as_mut());
    watch.closes();
    select! {
        biased;
        ended = http => ended.map(|()| late).map_err(Into::into),
        late = alarm.late() => Ok(Some(late)),
    }
}
