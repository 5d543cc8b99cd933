use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready as at_once},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    handle::Live,
    layer::{Mount, Routes},
    mounted::{MountedFuture, call_catching, poll_catching},
    seen::{self, Outcome},
    table::Found,
};
use crate::{
    Body, BoxError, Error, ErrorKind, MountPoint,
    body::answer,
    call::Call,
    semantics::{
        host::{self, HostError},
        mount::external_prefix,
        path::PathError,
        rewrite,
    },
};

/// A service with others mounted in front of it. See the [module docs](super) for an example.
pub struct PathDispatchService<S, B> {
    inner: S,
    routes: Source<B>,
}

enum Source<B> {
    Fixed(Arc<Routes<B>>),
    Live(Arc<Live<B>>),
}

impl<S, B> PathDispatchService<S, B> {
    pub(super) fn fixed(inner: S, routes: Arc<Routes<B>>) -> Self {
        Self {
            inner,
            routes: Source::Fixed(routes),
        }
    }

    pub(super) fn live(inner: S, live: Arc<Live<B>>) -> Self {
        Self {
            inner,
            routes: Source::Live(live),
        }
    }
}

impl<S, B, R> Service<Request<B>> for PathDispatchService<S, B>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    /// Always ready: the service that a path belongs to is made ready in the response future.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let live;
        let routes: &Routes<B> = match &self.routes {
            Source::Fixed(routes) => routes,
            Source::Live(table) => {
                live = table.routes.load();
                &live
            }
        };
        let state = match routes.direct(&mut request) {
            Goes::Inside => {
                routes.tally.inside();
                State::Inner {
                    response: Call::new(&mut self.inner, request),
                }
            }
            Goes::To(mount) => {
                mount.tally.mounted(&mount.place);
                State::Mounted {
                    catches_panics: routes.catches_panics,
                    prefix: mount.redirect_prefix(&request),
                    response: match routes.catches_panics {
                        true => call_catching(&*mount.service, request),
                        false => mount.service.call(request),
                    },
                }
            }
            Goes::Nowhere(answer) => State::Answered {
                response: Some(answer),
            },
        };
        ResponseFuture { state }
    }
}

/// Where a request goes.
enum Goes<'a, B> {
    To(&'a Mount<B>),
    Inside,
    /// It is answered here.
    Nowhere(Response<Body>),
}

impl<B> Routes<B> {
    /// Finds out where a request goes, and makes it what is to be seen there.
    // By reference: a request is large, and each time it is handed on it is copied.
    fn direct(&self, request: &mut Request<B>) -> Goes<'_, B> {
        if let Err(refusal) = self.paths.enforce(request.uri_mut()) {
            seen::answered(Outcome::Refused);
            return Goes::Nowhere(answer::refuse_path(refusal, request.extensions()));
        }
        let (version, uri) = (request.version(), request.uri());
        let host = match self.table.has_hosts() {
            true => host::name(version, uri, request.headers()),
            false => Ok(None),
        };
        let found = match host {
            Ok(host) => self.table.find(host, request.method(), uri.path()),
            Err(error) => return Goes::Nowhere(bad_host(error)),
        };
        match found {
            Found::Mount(number) => self.mounts[number].enter(request),
            Found::OtherMethods(methods) if !self.passes_other_methods => {
                Goes::Nowhere(method_not_allowed(&methods))
            }
            Found::OtherMethods(_) | Found::Nothing => Goes::Inside,
        }
    }
}

impl<B> Mount<B> {
    /// Makes a request that belongs to this mount what its service sees.
    fn enter(&self, request: &mut Request<B>) -> Goes<'_, B> {
        let place = &self.place;
        if (place.strips || place.redirects_to_slash)
            && let Some(below) = self.below(request.uri().path())
        {
            if place.redirects_to_slash && below.is_empty() {
                return Goes::Nowhere(redirect_to_slash(request));
            }
            let below = below.len();
            if place.strips && MountPoint::enter(request, below).is_none() {
                // A part of a canonical path is one, and shorter: this does not happen.
                let error = Error::new(ErrorKind::BadPath).with_source(PathError::NotCanonical);
                return Goes::Nowhere(answer::error(error));
            }
        }
        Goes::To(self)
    }

    /// What is put before the path that a redirect leads to.
    fn redirect_prefix(&self, request: &Request<B>) -> Option<String> {
        self.place.rewrites_redirects.then(|| {
            let path = request.uri().path();
            external_prefix(request.extensions(), path).into_owned()
        })
    }
}

fn redirect_to_slash<B>(request: &Request<B>) -> Response<Body> {
    seen::answered(Outcome::Redirected);
    let path = request.uri().path();
    let prefix = external_prefix(request.extensions(), path);
    let (mark, query) = match request.uri().query() {
        Some(query) => ("?", query),
        None => ("", ""),
    };
    let location = [&*prefix, path, "/", mark, query].concat();
    answer::redirect(StatusCode::PERMANENT_REDIRECT, &location)
}

fn bad_host(source: HostError) -> Response<Body> {
    tracing::debug!(reason = %source, "refused a request's host");
    seen::answered(Outcome::Refused);
    answer::error(Error::new(ErrorKind::BadRequest).with_source(source))
}

fn method_not_allowed(methods: &[Method]) -> Response<Body> {
    tracing::debug!(mounted = ?methods, "refused a request's method");
    seen::answered(Outcome::MethodNotAllowed);
    let mut response = answer::error(ErrorKind::MethodNotAllowed.into());
    let mut names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    if methods.contains(&Method::GET) {
        names.push("HEAD");
    }
    names.sort_unstable();
    names.dedup();
    // RFC 9110 §15.5.6: "The origin server MUST generate an Allow header field in a 405 response
    // containing a list of the target resource's currently supported methods."
    if let Ok(allow) = HeaderValue::try_from(names.join(", ")) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// Puts the prefix before the path that a service's redirect leads to.
fn rewrite_redirect(response: &mut Response<Body>, prefix: &str) {
    let Some(location) = response.headers_mut().get_mut(header::LOCATION) else {
        return;
    };
    let moved = rewrite::prefixed(location.as_bytes(), prefix);
    if let Some(Ok(moved)) = moved.map(HeaderValue::try_from) {
        *location = moved;
    }
}

pin_project! {
    /// The response of a mounted service, or of the inner one.
    ///
    /// Dropped, it drops theirs.
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
        Inner { #[pin] response: Call<S, Request<B>> },
        Mounted {
            response: MountedFuture,
            catches_panics: bool,
            // What is put before the path of a redirect.
            prefix: Option<String>,
        },
        Answered { response: Option<Response<Body>> },
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Inner { response } => {
                let response = ready!(response.poll(cx))?;
                Poll::Ready(Ok(response.map(Body::new)))
            }
            StateProj::Mounted {
                response,
                catches_panics,
                prefix,
            } => {
                let mut polled = match *catches_panics {
                    true => poll_catching(response, cx),
                    false => response.as_mut().poll(cx),
                };
                if let (Poll::Ready(response), Some(prefix)) = (&mut polled, prefix) {
                    rewrite_redirect(response, prefix);
                }
                polled.map(Ok)
            }
            StateProj::Answered { response } => {
                Poll::Ready(Ok(response.take().expect("polled after completion")))
            }
        }
    }
}

impl<S: Clone, B> Clone for PathDispatchService<S, B> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            routes: self.routes.clone(),
        }
    }
}

impl<B> Clone for Source<B> {
    fn clone(&self) -> Self {
        match self {
            Self::Fixed(routes) => Self::Fixed(Arc::clone(routes)),
            Self::Live(live) => Self::Live(Arc::clone(live)),
        }
    }
}

impl<S: fmt::Debug, B> fmt::Debug for PathDispatchService<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathDispatchService")
            .field("inner", &self.inner)
            .field(
                "routes",
                match &self.routes {
                    Source::Fixed(routes) => routes,
                    Source::Live(live) => live,
                },
            )
            .finish()
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

/// The inner service where there is none: 404. Of [`PathDispatch::into_service`](super::PathDispatch::into_service).
#[derive(Clone, Copy, Debug)]
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

    fn call(&mut self, _: Request<B>) -> Self::Future {
        at_once(Ok(answer::plain(StatusCode::NOT_FOUND)))
    }
}
