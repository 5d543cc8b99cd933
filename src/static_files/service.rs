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
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use pin_project_lite::pin_project;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tower::util::Oneshot;
use tower_service::Service;

use super::{
    fallbacks::{After, Own, Wanted},
    layer::{Config, StaticFiles},
    look_up::{Lookup, look_up},
    seen::{self, Outcome},
    source::Wait,
    turns::{Turn, Wakeup},
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
            seen::answered(Outcome::Refused, request.uri().path(), &refusal);
            return ResponseFuture::ended(refusal, after);
        }
        // A file is answered without.
        let inner = || self.inner.clone();
        let path = request.uri().path();
        let Some(below) = config.at.strip(path) else {
            return ResponseFuture::inner(inner(), request, after);
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return ResponseFuture::left(config, inner, request, status, after);
        }

        let below = path.len() - below.len();
        let (head, body) = request.into_parts();
        // What the system's caches have is answered here: a trip to another thread would take
        // longer than all the rest.
        match look_up(config, head, below, Wait::Never) {
            Lookup::Answer(response) => ResponseFuture::ended(response, after),
            Lookup::Miss(head) => {
                let request = Request::from_parts(head, body);
                ResponseFuture::left(config, inner, request, StatusCode::NOT_FOUND, after)
            }
            Lookup::Wait(head, turn) => {
                let rest = Rest {
                    config: Arc::clone(config),
                    below,
                    inner: inner(),
                    body,
                    after,
                };
                ResponseFuture {
                    state: State::wait(head, turn, rest),
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
        /// Another request looks for the same file.
        Waiting {
            #[pin]
            wakeup: Wakeup,
            rest: Option<Box<(Parts, Rest<S, B>)>>,
        },
        /// The blocking pool looks for a file.
        Looking {
            lookup: JoinHandle<Lookup>,
            rest: Option<Rest<S, B>>,
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

/// What a request is, besides its head, while the disk is waited for.
struct Rest<S, B> {
    config: Arc<Config>,
    /// From which byte on its path is below the mount.
    below: usize,
    inner: S,
    body: B,
    after: Option<Box<After>>,
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

    /// Below the mount, and no file's: `status` says why.
    fn left(
        config: &Config,
        service: impl FnOnce() -> S,
        request: Request<B>,
        status: StatusCode,
        after: Option<Box<After>>,
    ) -> Self {
        let path = request.uri().path();
        if config.fallbacks.leaves(status) {
            seen::passed(path);
            return Self::inner(service(), request, after);
        }
        let response = no_file(request.method());
        seen::answered(Outcome::Missing, path, &response);
        Self::ended(response, after)
    }
}

impl<S, B> State<S, B>
where
    S: Service<Request<B>>,
{
    /// ## () => (Waiting | Looking)
    fn wait(head: Parts, turn: Turn, rest: Rest<S, B>) -> Self {
        if let Turn::Others(wakeup) = turn {
            let rest = Some(Box::new((head, rest)));
            return Self::Waiting { wakeup, rest };
        }
        let config = Arc::clone(&rest.config);
        let below = rest.below;
        // The head goes along, so that one trip is enough to decide what has to be read.
        let lookup = spawn_blocking(move || {
            let _until_it_ends = turn;
            look_up(&config, head, below, Wait::Blocking)
        });
        let rest = Some(rest);
        Self::Looking { lookup, rest }
    }

    /// ## (Waiting | Looking) => (Looking | Inner | Answered | Fetching)
    fn looked(looked: Lookup, rest: Rest<S, B>) -> Self {
        match looked {
            Lookup::Answer(response) => ResponseFuture::ended(response, rest.after).state,
            Lookup::Miss(head) => {
                let request = Request::from_parts(head, rest.body);
                let Rest {
                    config,
                    inner,
                    after,
                    ..
                } = rest;
                ResponseFuture::left(&config, || inner, request, StatusCode::NOT_FOUND, after).state
            }
            // One who has waited goes now: what was found cannot be kept, or nothing was.
            Lookup::Wait(head, _) => Self::wait(head, Turn::Free, rest),
        }
    }

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
            Err(source) => failed(None, source),
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
                StateProj::Waiting { wakeup, rest } => {
                    let is_over = ready!(wakeup.poll(cx));
                    let (head, rest) = *rest.take().expect("polled after it was ready");
                    let looked = match is_over {
                        true => look_up(&rest.config, head, rest.below, Wait::Never),
                        false => Lookup::Answer(failed(Some(head.uri.path()), too_long())),
                    };
                    State::looked(looked, rest)
                }
                StateProj::Looking { lookup, rest } => {
                    let looked = ready!(Pin::new(lookup).poll(cx));
                    let rest = rest.take().expect("polled after it was ready");
                    // The head is lost with the thread.
                    let looked = looked
                        .unwrap_or_else(|source| Lookup::Answer(failed(None, broken_off(source))));
                    State::looked(looked, rest)
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

fn too_long() -> io::Error {
    let message = "another request waits for the disk, and has for long";
    io::Error::new(io::ErrorKind::TimedOut, message)
}

/// A file could not be read.
pub(super) fn failed(path: Option<&str>, source: io::Error) -> Response<Body> {
    tracing::warn!(path, error = %source, "could not read a file");
    let response = error(Error::new(ErrorKind::Io).with_source(source));
    seen::answered(Outcome::Failed, path.unwrap_or_default(), &response);
    response
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
