//! From hyper's requests to the service's, and from its answers back.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, Version};
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
    body::{Body, answer},
    semantics::host,
};

/// The body of a request, as it comes from the client.
///
/// Dropped before its end, what is left of it is not read: an HTTP/1.1 connection is closed after
/// the response, an HTTP/2 stream is reset.
pub struct RequestBody {
    incoming: Incoming,
    /// `None` for a request without a body.
    _running: Option<Running>,
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
        if self.incoming.is_end_stream() {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.incoming)
            .poll_frame(cx)
            .map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
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
            return Answering {
                answer: Answer::Refused { error: Some(error) },
                running: Some(running),
            };
        }
        let mut request = request.map(|incoming| RequestBody {
            _running: (!incoming.is_end_stream()).then(|| running.clone()),
            incoming,
        });
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        Answering {
            answer: Answer::Service {
                answer: Oneshot::new(self.service.clone(), request),
            },
            running: Some(running),
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
        running: Option<Running>,
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
        let running = this.running.take();
        Poll::Ready(Ok(match answer {
            Ok(response) => response.map(|body| ResponseBody {
                body: Source::Service { body },
                _running: running,
            }),
            Err(error) => answer::error(error).map(|body| ResponseBody {
                body: Source::Plain { body },
                _running: running,
            }),
        }))
    }
}

pin_project! {
    /// A response's body. The request runs until hyper drops it.
    pub(super) struct ResponseBody<B> {
        #[pin]
        body: Source<B>,
        _running: Option<Running>,
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
