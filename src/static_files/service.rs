//! What a call does: look for a file, else call the service inside, and then look at what it
//! answered.

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
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use pin_project_lite::pin_project;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tower::util::Oneshot;
use tower_service::Service;

use super::{
    fallbacks::{After, Own, Wanted},
    layer::{Config, StaticFiles},
    look_up::{Lookup, look_up},
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
        let config = &self.config;
        let refused = config.paths.enforce(request.uri_mut());
        let after = After::of(config, &request);
        if let Err(refusal) = refused {
            let refusal = refuse_path(refusal, request.extensions());
            return ResponseFuture::ended(refusal, after);
        }
        let path = request.uri().path();
        let Some(below) = config.at.strip(path) else {
            return ResponseFuture::inner(self.inner.clone(), request, after);
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            if config.fallbacks.leaves(StatusCode::METHOD_NOT_ALLOWED) {
                return ResponseFuture::inner(self.inner.clone(), request, after);
            }
            return ResponseFuture::ended(no_file(request.method()), after);
        }

        let below = path.len() - below.len();
        let (head, body) = request.into_parts();
        // What the system's caches have is answered here: a trip to another thread would take
        // longer than all the rest.
        match look_up(config, head, below, Wait::Never) {
            Lookup::Answer(response) => ResponseFuture::ended(response, after),
            Lookup::Miss(head) => ResponseFuture::missed(
                config,
                (self.inner.clone(), Request::from_parts(head, body)),
                after,
            ),
            Lookup::Wait(head) => {
                let inner = self.inner.clone();
                let config = Arc::clone(config);
                let on_miss = Arc::clone(&config);
                // The head goes along, so that one trip is enough to decide what has to be read.
                let lookup = spawn_blocking(move || look_up(&config, head, below, Wait::Blocking));
                ResponseFuture {
                    state: State::Looking {
                        lookup,
                        rest: Some((on_miss, inner, body, after)),
                    },
                }
            }
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
        /// The blocking pool looks for a file.
        Looking {
            lookup: JoinHandle<Lookup>,
            rest: Option<(Arc<Config>, S, B, Option<Box<After>>)>,
        },
        /// It is not a file's request.
        Inner {
            #[pin]
            future: Oneshot<S, Request<B>>,
            after: Option<Box<After>>,
        },
        /// The blocking pool fetches the file that an answer leads to.
        Fetching {
            fetching: JoinHandle<io::Result<Option<Response<Body>>>>,
            is_named: bool,
            answer: Response<Body>,
        },
        /// There is nothing to wait for.
        Answered { response: Response<Body> },
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    /// An answer of this layer's own.
    fn ended(mut response: Response<Body>, after: Option<Box<After>>) -> Self {
        if after.is_some() {
            response.extensions_mut().insert(Own);
        }
        Self {
            state: State::conclude(response, after),
        }
    }

    fn inner(service: S, request: Request<B>, after: Option<Box<After>>) -> Self {
        Self {
            state: State::Inner {
                future: Oneshot::new(service, request),
                after,
            },
        }
    }

    fn missed(
        config: &Config,
        (service, request): (S, Request<B>),
        after: Option<Box<After>>,
    ) -> Self {
        if config.fallbacks.leaves(StatusCode::NOT_FOUND) {
            return Self::inner(service, request, after);
        }
        Self::ended(no_file(request.method()), after)
    }
}

impl<S, B> State<S, B>
where
    S: Service<Request<B>>,
{
    /// ## (Looking | Inner) => (Answered | Fetching)
    fn conclude(mut response: Response<Body>, after: Option<Box<After>>) -> Self {
        let Some(wanted) = after.and_then(|after| after.leads_to(&mut response)) else {
            return Self::Answered { response };
        };
        let is_named = wanted.is_named();
        match wanted.answer(Wait::Never) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Self::Fetching {
                fetching: spawn_blocking(move || Wanted::answer(&wanted, Wait::Blocking)),
                is_named,
                answer: response,
            },
            fetched => Self::fetched(fetched, is_named, response),
        }
    }

    /// ## Fetching => Answered
    fn fetched(
        fetched: io::Result<Option<Response<Body>>>,
        is_named: bool,
        answer: Response<Body>,
    ) -> Self {
        let response = match fetched {
            Ok(Some(mut response)) => {
                // Why it came to this is for those outside to know.
                response
                    .extensions_mut()
                    .extend(answer.into_parts().0.extensions);
                response
            }
            // What the application named has to be there.
            Ok(None) if is_named => plain(StatusCode::NOT_FOUND),
            Ok(None) => answer,
            Err(source) => failed(source),
        };
        Self::Answered { response }
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
                StateProj::Looking { lookup, rest } => {
                    let looked = ready!(Pin::new(lookup).poll(cx));
                    let (config, inner, body, after) =
                        rest.take().expect("polled after it was ready");
                    let next = match looked {
                        Ok(Lookup::Answer(response)) => ResponseFuture::ended(response, after),
                        Ok(Lookup::Miss(head) | Lookup::Wait(head)) => {
                            let request = Request::from_parts(head, body);
                            ResponseFuture::missed(&config, (inner, request), after)
                        }
                        Err(source) => ResponseFuture::ended(failed(broken_off(source)), after),
                    };
                    next.state
                }
                StateProj::Inner { future, after } => {
                    let response = ready!(future.poll(cx))?.map(Body::new);
                    State::conclude(response, after.take())
                }
                StateProj::Fetching {
                    fetching,
                    is_named,
                    answer,
                } => {
                    let fetched = ready!(Pin::new(fetching).poll(cx));
                    let fetched = fetched.unwrap_or_else(|source| Err(broken_off(source)));
                    State::fetched(fetched, *is_named, mem::take(answer))
                }
                StateProj::Answered { response } => {
                    return Poll::Ready(Ok(mem::take(response)));
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

fn broken_off(source: JoinError) -> io::Error {
    io::Error::other(source)
}

/// A file could not be read.
pub(super) fn failed(source: io::Error) -> Response<Body> {
    tracing::warn!(error = %source, "could not read a file");
    error(Error::new(ErrorKind::Io).with_source(source))
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
        ready(Ok(no_file(request.method())))
    }
}

/// What a request is answered with that has no file, and nobody else to answer it.
fn no_file(method: &Method) -> Response<Body> {
    let mut response = match *method {
        Method::GET | Method::HEAD => return plain(StatusCode::NOT_FOUND),
        Method::OPTIONS => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        _ => plain(StatusCode::METHOD_NOT_ALLOWED),
    };
    let allowed = HeaderValue::from_static("GET, HEAD, OPTIONS");
    response.headers_mut().insert(header::ALLOW, allowed);
    response
}
