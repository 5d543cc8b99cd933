//! From hyper's requests to the service's, and from its answers back.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    thread,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower::util::Oneshot;
use tower_service::Service;

use super::{
    streams,
    watch::{Running, Watch},
};
use crate::{
    BoxError, Error, ErrorKind, PeerAddr,
    body::{Body, Drain, Hold, answer},
    semantics::host,
};

/// The body of a request, as it comes from the client.
///
/// Dropped before its end, what is left of it is not read: an HTTP/1.1 connection is closed after
/// the response, an HTTP/2 stream is reset.
pub struct RequestBody {
    incoming: Incoming,
    /// `None` for a request without a body, and when it is over.
    running: Option<Running>,
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // hyper does not say that a body is over whose response was over before: it goes on to wait
        // for the next head, and forgets to close the channel. Its length tells.
        let frame = match self.incoming.is_end_stream() {
            true => None,
            false => ready!(Pin::new(&mut self.incoming).poll_frame(cx)),
        };
        if frame.is_none() || self.incoming.is_end_stream() {
            self.running = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(running) = &self.running
            && !self.incoming.is_end_stream()
        {
            running.leaves_body();
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}

/// The service as hyper sees it on one connection.
pub(super) struct Requests<S> {
    pub(super) service: S,
    pub(super) peer: Option<PeerAddr>,
    pub(super) watch: Arc<Watch>,
    pub(super) drain: Drain,
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Requests<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<B>>;
    type Error = Infallible;
    type Future = Answering<S>;

    fn call(&self, request: Request<Incoming>) -> Answering<S> {
        let running = self.watch.request();
        // RFC 9112 §3.2 asks it of every HTTP/1.1 server, and hyper leaves it to this one.
        if let Err(error) = has_one_meaning(&request) {
            tracing::debug!(%error, "refused a request without one host or target");
            if !request.body().is_end_stream() {
                running.leaves_body();
            }
            return Answering {
                answer: Answer::Refused { error: Some(error) },
                at_work: Some(AtWork::new(running, self.peer)),
                is_connect: false,
            };
        }
        let is_connect = request.method() == Method::CONNECT;
        let mut request = request.map(|incoming| RequestBody {
            running: (!incoming.is_end_stream()).then(|| running.clone()),
            incoming,
        });
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        if is_connect || request.headers().contains_key(header::UPGRADE) {
            // A stream of HTTP/2 that becomes a tunnel is a request that runs: without it the
            // connection would be closed as an idle one.
            request.extensions_mut().insert(Hold::new(running.clone()));
            request.extensions_mut().insert(self.drain.clone());
        }
        Answering {
            answer: Answer::Service {
                answer: Oneshot::new(self.service.clone(), request),
            },
            at_work: Some(AtWork::new(running, self.peer)),
            is_connect,
        }
    }
}

fn has_one_meaning<B>(request: &Request<B>) -> Result<(), BoxError> {
    if request.version() == Version::HTTP_11 {
        host::of(request.version(), request.uri(), request.headers())?;
    }
    match host::is_target_of(request.method(), request.uri()) {
        true => Ok(()),
        false => Err("its target is not one of its method's".into()),
    }
}

pin_project! {
    pub(super) struct Answering<S: Service<Request<RequestBody>>> {
        #[pin]
        answer: Answer<S>,
        at_work: Option<AtWork>,
        is_connect: bool,
    }
}

/// A request that a handler works on, until hyper drops the body of its response.
struct AtWork {
    running: Running,
    peer: Option<PeerAddr>,
}

impl AtWork {
    fn new(running: Running, peer: Option<PeerAddr>) -> Self {
        Self { running, peer }
    }
}

impl Drop for AtWork {
    /// Tells the operator whose request a panic has cost.
    fn drop(&mut self) {
        if thread::panicking() {
            let peer = self.peer;
            tracing::error!(
                ?peer,
                "a handler panicked: its connection is closed, or its stream reset"
            );
        }
    }
}

pin_project! {
    #[project = AnswerProjection]
    enum Answer<S: Service<Request<RequestBody>>> {
        Service { #[pin] answer: Oneshot<S, Request<RequestBody>> },
        Refused { error: Option<BoxError> },
    }
}

impl<S, B> Future for Answering<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
    S::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = match this.answer.project() {
            AnswerProjection::Refused { error } => {
                let error = error.take().expect("not polled after it was ready");
                Err(Error::new(ErrorKind::BadRequest).with_source(error))
            }
            AnswerProjection::Service { answer } => ready!(answer.poll(cx)).map_err(|error| {
                let error: BoxError = error.into();
                tracing::warn!(error = &*error, "the service failed; answered 500");
                Error::new(ErrorKind::Service).with_source(error)
            }),
        };
        let at_work = this.at_work.take().expect("not polled after it was ready");
        if *this.is_connect {
            streams::becomes_a_tunnel(&at_work.running);
        }
        if let Ok(response) = &answer
            && (response.status() == StatusCode::SWITCHING_PROTOCOLS
                || *this.is_connect && response.status().is_success())
        {
            at_work.running.switches();
        }
        Poll::Ready(Ok(match answer {
            Ok(response) => response.map(|body| ResponseBody {
                body: Source::Service { body },
                _at_work: at_work,
            }),
            Err(error) => answer::error(error).map(|body| ResponseBody {
                body: Source::Plain { body },
                _at_work: at_work,
            }),
        }))
    }
}

pin_project! {
    /// A response's body. The request runs until hyper drops it.
    pub(super) struct ResponseBody<B> {
        #[pin]
        body: Source<B>,
        _at_work: AtWork,
    }
}

pin_project! {
    #[project = SourceProjection]
    enum Source<B> {
        Service { #[pin] body: B },
        Plain { body: Body },
    }
}

fn length<E>(frame: &Option<Result<Frame<Bytes>, E>>) -> usize {
    let data = match frame {
        Some(Ok(frame)) => frame.data_ref(),
        _ => None,
    };
    data.map_or(0, Bytes::len)
}

impl<B> http_body::Body for ResponseBody<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match self.project().body.project() {
            SourceProjection::Service { body } => body.poll_frame(cx).map_err(Into::into),
            SourceProjection::Plain { body } => Pin::new(body).poll_frame(cx),
        };
        streams::asked(match &frame {
            Poll::Ready(frame) => Poll::Ready(length(frame)),
            Poll::Pending => Poll::Pending,
        });
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Source::Service { body } => body.is_end_stream(),
            Source::Plain { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Source::Service { body } => body.size_hint(),
            Source::Plain { body } => body.size_hint(),
        }
    }
}
