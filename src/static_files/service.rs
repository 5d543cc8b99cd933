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
    fallbacks::{After, Wanted},
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
    /// Whether nobody stands inside: what is answered there is this layer's own.
    ends: bool,
}

impl StaticFilesService<NotFound> {
    pub(super) fn ending(config: Arc<Config>) -> Self {
        Self {
            inner: NotFound { _private: () },
            config,
            ends: true,
        }
    }
}

impl<S> StaticFilesService<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self {
            inner,
            config,
            ends: false,
        }
    }

    fn respond<B>(&self, mut request: Request<B>) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>> + Clone,
    {
        let config = &self.config;
        if let Err(refusal) = config.paths.enforce(request.uri_mut()) {
            let (head, _) = request.into_parts();
            let refusal = refuse_path(refusal, &head.extensions);
            seen::answered(Outcome::Refused, head.uri.path(), &refusal);
            return self.ended(refusal, &head);
        }
        let path = request.uri().path();
        let Some(below) = config.at.strip(path) else {
            return self.pass_on(request);
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return self.missed(StatusCode::METHOD_NOT_ALLOWED, request);
        }

        let below = path.len() - below.len();
        let (head, body) = request.into_parts();
        // What the system's caches have is answered here: a trip to another thread would take
        // longer than all the rest.
        match look_up(config, &head, below, Wait::Never) {
            Lookup::Answer(response) => self.ended(response, &head),
            Lookup::Miss => self.missed(StatusCode::NOT_FOUND, Request::from_parts(head, body)),
            Lookup::Wait(turn) => {
                let service = self.clone();
                let rest = Rest {
                    service,
                    below,
                    body,
                };
                ResponseFuture {
                    state: State::wait(head, turn, rest),
                }
            }
        }
    }

    /// An answer of this layer's own.
    fn ended<B>(&self, response: Response<Body>, head: &Parts) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        let after = After::of_own(&self.config, head, response.status());
        ResponseFuture {
            state: State::conclude(response, after),
        }
    }

    /// There is no file for this request, or not for its method.
    fn missed<B>(&self, status: StatusCode, request: Request<B>) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>> + Clone,
    {
        if self.config.fallbacks.leaves(status) && !self.ends {
            seen::passed(request.uri().path());
            return self.pass_on(request);
        }
        let (head, _) = request.into_parts();
        let response = no_file(&head.method);
        seen::answered(Outcome::Missing, head.uri.path(), &response);
        self.ended(response, &head)
    }

    fn pass_on<B>(&self, mut request: Request<B>) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>> + Clone,
    {
        let after = After::of_inner(&self.config, &mut request, self.ends);
        let future = Oneshot::new(self.inner.clone(), request);
        ResponseFuture {
            state: State::Inner { future, after },
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
            lookup: JoinHandle<(Parts, Lookup)>,
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
    service: StaticFilesService<S>,
    /// From which byte on its path is below the mount.
    below: usize,
    body: B,
}

impl<S, B> State<S, B>
where
    S: Service<Request<B>> + Clone,
{
    /// ## () => (Waiting | Looking)
    fn wait(head: Parts, turn: Turn, rest: Rest<S, B>) -> Self {
        if let Turn::Others(wakeup) = turn {
            let rest = Some(Box::new((head, rest)));
            return Self::Waiting { wakeup, rest };
        }
        let config = Arc::clone(&rest.service.config);
        let below = rest.below;
        // The head goes along, so that one trip is enough to decide what has to be read.
        let lookup = spawn_blocking(move || {
            let _until_it_ends = turn;
            let lookup = look_up(&config, &head, below, Wait::Blocking);
            (head, lookup)
        });
        let rest = Some(rest);
        Self::Looking { lookup, rest }
    }

    /// ## (Waiting | Looking) => (Looking | Inner | Answered | Fetching)
    fn looked(looked: Lookup, head: Parts, rest: Rest<S, B>) -> Self {
        match looked {
            Lookup::Answer(response) => rest.service.ended(response, &head).state,
            Lookup::Miss => {
                let request = Request::from_parts(head, rest.body);
                rest.service.missed(StatusCode::NOT_FOUND, request).state
            }
            // One who has waited goes now: what was found cannot be kept, or nothing was.
            Lookup::Wait(_) => Self::wait(head, Turn::Free, rest),
        }
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
                let mut extensions = answer.into_parts().0.extensions;
                extensions.extend(mem::take(response.extensions_mut()));
                *response.extensions_mut() = extensions;
                response
            }
            Ok(None) => answer,
            // The application left it to the file.
            Err(source) if is_named => failed(None, source),
            Err(source) => {
                tracing::warn!(error = %source, "could not read the page of an answer");
                answer
            }
        };
        Self::Answered { response }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
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
                    let config = &rest.service.config;
                    let looked = match is_over {
                        true => look_up(config, &head, rest.below, Wait::Never),
                        false => Lookup::Answer(failed(Some(head.uri.path()), too_long())),
                    };
                    State::looked(looked, head, rest)
                }
                StateProj::Looking { lookup, rest } => {
                    let looked = ready!(Pin::new(lookup).poll(cx));
                    let rest = rest.take().expect("polled after it was ready");
                    match looked {
                        Ok((head, looked)) => State::looked(looked, head, rest),
                        // The head is lost with the thread.
                        Err(source) => State::conclude(failed(None, broken_off(source)), None),
                    }
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
