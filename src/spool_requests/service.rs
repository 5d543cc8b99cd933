use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Version, header};
use http_body_util::BodyExt;
use pin_project_lite::pin_project;
use tower::util::Oneshot;
use tower_service::Service;

use crate::{
    Body, BoxError, Error, ErrorKind,
    body::{
        answer,
        spool::{Spool, Spooled},
    },
    semantics::hop,
};

/// A service that is called with whole bodies. See the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct SpoolRequestsService<S> {
    inner: S,
    spool: Arc<Spool>,
}

impl<S> SpoolRequestsService<S> {
    pub(super) fn new(inner: S, spool: Arc<Spool>) -> Self {
        Self { inner, spool }
    }
}

impl<S, B, R> Service<Request<B>> for SpoolRequestsService<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ResponseFuture<S>;

    /// Always ready: the inner service is made ready when the body is there.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture<S> {
        let inner = self.inner.clone();
        let state = if request.body().is_end_stream() {
            State::called(inner, request.map(|_| Body::empty()))
        } else {
            State::Spooling {
                whole: Box::pin(take_in(Arc::clone(&self.spool), request)),
                inner: Some(inner),
            }
        };
        ResponseFuture { state }
    }
}

/// The request with its whole body, or the answer for one that did not come.
async fn take_in<B>(spool: Arc<Spool>, request: Request<B>) -> Result<Request<Body>, Response<Body>>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (mut head, body) = request.into_parts();
    // RFC 9112 §6.1: "A server that receives a request message with a transfer coding it does not
    // understand SHOULD respond with 501 (Not Implemented)." Nobody inside could tell any more.
    if !hop::is_plain_or_chunked(&head.headers) {
        return Err(refusal(
            ErrorKind::UnknownTransferCoding.into(),
            head.version,
        ));
    }
    match spool.collect(body).await {
        Ok(spooled) => {
            // RFC 9112 §6.1: the coding is a property of the message, and ended with it.
            if head.headers.remove(header::TRANSFER_ENCODING).is_some() {
                let length = HeaderValue::from(spooled.len());
                head.headers.insert(header::CONTENT_LENGTH, length);
            }
            Ok(Request::from_parts(head, with_trailers(&spooled)))
        }
        Err(error) => Err(refusal(error, head.version)),
    }
}

fn refusal(error: Error, version: Version) -> Response<Body> {
    tracing::debug!(reason = %error, "refused a request body");
    answer::refuse_body(error, version)
}

fn with_trailers(spooled: &Spooled) -> Body {
    match spooled.trailers().cloned() {
        None => spooled.body(),
        Some(trailers) => Body::new(
            spooled
                .body()
                .with_trailers(std::future::ready(Some(Ok(trailers)))),
        ),
    }
}

pin_project! {
    /// The response of a service that is called with whole bodies.
    ///
    /// Dropped before the body is there, it drops the body and what was spooled of it.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S>
    where
        S: Service<Request<Body>>,
    {
        #[pin]
        state: State<S>,
    }
}

type Whole = Pin<Box<dyn Future<Output = Result<Request<Body>, Response<Body>>> + Send>>;

pin_project! {
    #[project = StateProj]
    enum State<S>
    where
        S: Service<Request<Body>>,
    {
        Spooling { whole: Whole, inner: Option<S> },
        Called { #[pin] response: Oneshot<S, Request<Body>> },
    }
}

impl<S: Service<Request<Body>>> State<S> {
    fn called(inner: S, request: Request<Body>) -> Self {
        Self::Called {
            response: Oneshot::new(inner, request),
        }
    }
}

impl<S, R> Future for ResponseFuture<S>
where
    S: Service<Request<Body>, Response = Response<R>>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                // ## Spooling => (Called | an answer of our own)
                StateProj::Spooling { whole, inner } => match ready!(whole.as_mut().poll(cx)) {
                    Ok(request) => {
                        let inner = inner.take().expect("a body is whole once");
                        this.state.set(State::called(inner, request));
                    }
                    Err(response) => return Poll::Ready(Ok(response)),
                },
                StateProj::Called { response } => {
                    let response = ready!(response.poll(cx))?;
                    return Poll::Ready(Ok(response.map(Body::new)));
                }
            }
        }
    }
}

impl<S: Service<Request<Body>>> fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
