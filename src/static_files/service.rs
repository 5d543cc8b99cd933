//! What a call does.

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    io, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use pin_project_lite::pin_project;
use tokio::task::{JoinHandle, spawn_blocking};
use tower::util::Oneshot;
use tower_service::Service;

use super::{
    answer::Target,
    layer::{Config, StaticFiles},
    source::Wait,
};
use crate::{
    Body, BoxError, Error, ErrorKind,
    body::answer::{error, plain, refuse_path},
};

/// Answers with a file where there is one, and calls the service inside where there is none. Made
/// by [`StaticFiles`].
///
/// It is always ready: a service inside that is busy never delays a file. A call needs a tokio
/// runtime around it.
#[derive(Clone, Debug)]
pub struct StaticFilesService<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> StaticFilesService<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }

    fn respond<B>(&self, mut request: Request<B>) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>> + Clone,
    {
        let inner = self.inner.clone();
        if let Err(refusal) = self.config.paths.enforce(request.uri_mut()) {
            return ResponseFuture::answered(refuse_path(refusal, request.extensions()));
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let target = match reads {
            true => Target::of(&self.config, request.uri().path()),
            false => None,
        };
        let Some(target) = target else {
            return ResponseFuture::inner(inner, request);
        };

        let (head, body) = request.into_parts();
        // What the system's caches have is answered here: a trip to another thread would take
        // longer than all the rest.
        let head = match look_up(&target, &self.config, head, Wait::Never) {
            Lookup::Answer(response) => return ResponseFuture::answered(response),
            Lookup::Miss(head) => {
                return ResponseFuture::inner(inner, Request::from_parts(head, body));
            }
            Lookup::Wait(head) => head,
        };
        let config = Arc::clone(&self.config);
        // The head goes along, so that one trip is enough to decide what has to be read.
        let lookup = spawn_blocking(move || look_up(&target, &config, head, Wait::Blocking));
        ResponseFuture {
            state: State::Looking {
                rest: Some((inner, body)),
                lookup,
            },
        }
    }
}

/// What came of looking for a file.
#[derive(Debug)]
enum Lookup {
    Answer(Response<Body>),
    /// With the head of the request, as it was.
    Miss(Parts),
    /// The disk has to be asked.
    Wait(Parts),
}

fn look_up(target: &Target, config: &Config, head: Parts, wait: Wait) -> Lookup {
    match target.answer(config, &head, wait) {
        Ok(Some(response)) => {
            let status = response.status().as_u16();
            tracing::debug!(path = head.uri.path(), status, "answered with a file");
            Lookup::Answer(response)
        }
        Ok(None) => Lookup::Miss(head),
        Err(error) if wait == Wait::Never && error.kind() == io::ErrorKind::WouldBlock => {
            Lookup::Wait(head)
        }
        Err(source) => {
            tracing::warn!(path = head.uri.path(), error = %source, "could not read a file");
            Lookup::Answer(error(Error::new(ErrorKind::Io).with_source(source)))
        }
    }
}

impl<S, B, R> Service<Request<B>> for StaticFilesService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.respond(request)
    }
}

impl<B> Service<Request<B>> for StaticFiles {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture<NotFound, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.ending().respond(request)
    }
}

pin_project! {
    /// The answer of [`StaticFilesService`] in the making.
    ///
    /// Dropped, it calls no service inside, and a file that is being opened is closed.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B>
    where
        S: Service<Request<B>>,
    {
        /// There is nothing to wait for.
        Answered { response: Response<Body> },
        /// The blocking pool looks for a file.
        Looking {
            rest: Option<(S, B)>,
            lookup: JoinHandle<Lookup>,
        },
        /// It is not a file's request.
        Inner { #[pin] future: Oneshot<S, Request<B>> },
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn answered(response: Response<Body>) -> Self {
        Self {
            state: State::Answered { response },
        }
    }

    fn inner(service: S, request: Request<B>) -> Self {
        Self {
            state: State::Inner {
                future: Oneshot::new(service, request),
            },
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Answered { response } => {
                    return Poll::Ready(Ok(mem::take(response)));
                }
                StateProj::Inner { future } => {
                    let response = ready!(future.poll(cx))?;
                    return Poll::Ready(Ok(response.map(Body::new)));
                }
                // ## Looking => (answered | Inner)
                StateProj::Looking { rest, lookup } => {
                    let head = match ready!(Pin::new(lookup).poll(cx)) {
                        Ok(Lookup::Answer(response)) => return Poll::Ready(Ok(response)),
                        Ok(Lookup::Miss(head) | Lookup::Wait(head)) => head,
                        Err(source) => {
                            tracing::warn!(error = %source, "the search for a file broke off");
                            let failed = Error::new(ErrorKind::Io).with_source(source);
                            return Poll::Ready(Ok(error(failed)));
                        }
                    };
                    let (inner, body) = rest.take().expect("polled after it was ready");
                    State::Inner {
                        future: Oneshot::new(inner, Request::from_parts(head, body)),
                    }
                }
            };
            this.state.set(next);
        }
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// What stands behind [`StaticFiles`] when it ends a stack: 404 for `GET` and `HEAD`, 204 with
/// `Allow` for `OPTIONS`, 405 with `Allow` for other methods, whether there is a file or not.
#[derive(Clone, Copy, Debug, Default)]
pub struct NotFound {
    _private: (),
}

impl NotFound {
    pub(super) fn new() -> Self {
        Self { _private: () }
    }
}

impl<B> Service<Request<B>> for NotFound {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut response = match *request.method() {
            Method::GET | Method::HEAD => return ready(Ok(plain(StatusCode::NOT_FOUND))),
            Method::OPTIONS => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            _ => plain(StatusCode::METHOD_NOT_ALLOWED),
        };
        let allowed = HeaderValue::from_static("GET, HEAD, OPTIONS");
        response.headers_mut().insert(header::ALLOW, allowed);
        ready(Ok(response))
    }
}
