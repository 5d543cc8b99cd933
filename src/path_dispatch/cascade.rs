//! Several services at one path, each asked if those before it have nothing there.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower::util::Oneshot;
use tower_layer::Layer;
use tower_service::Service;

use super::mounted::{Mounted, MountedFuture};
use crate::{Body, BoxError, PathPolicy, body::answer};

/// Tries services in their order, the inner service last: what one answers with 404 the next one
/// is asked for. nginx calls it `try_files`, Rack a cascade.
///
/// Files first, of two folders, and then the application:
///
/// ```
/// use http::{Request, Response, StatusCode};
/// use http_body_util::BodyExt;
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_gateway::{Body, BoxError, PathDispatch, path_dispatch::Cascade};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// /// Something at one path, and 404 elsewhere.
/// async fn at(path: &str, request: Request<Body>) -> Result<Response<Body>, BoxError> {
///     let mut response = Response::new(Body::from(path.to_owned()));
///     if request.uri() != path {
///         *response.status_mut() = StatusCode::NOT_FOUND;
///     }
///     Ok(response)
/// }
///
/// let site = Cascade::new()
///     .attempt(service_fn(|request| at("/style.css", request)))
///     .attempt(service_fn(|request| at("/logo.png", request)))
///     .layer(service_fn(|request| at("/questions", request)));
/// let app = PathDispatch::new().mount("/site", site)?.into_service();
///
/// for path in ["/style.css", "/logo.png", "/questions"] {
///     let request = Request::get(format!("/site{path}")).body(Body::empty())?;
///     let response = app.clone().oneshot(request).await?;
///     assert_eq!(response.into_body().collect().await?.to_bytes(), path);
/// }
/// # Ok::<(), BoxError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
///
/// Only `GET` and `HEAD` requests without a body are tried: they change nothing, so that asking
/// twice is safe, and have nothing that could be given to one service only. All others go to the
/// inner service at once. Every answer but a 404 is the answer, also a 405 and a 500.
///
/// Cost: each attempt copies the request's head, and allocates its future.
#[derive(Clone)]
#[must_use]
pub struct Cascade {
    attempts: Arc<Vec<Arc<dyn Mounted<Body>>>>,
    paths: PathPolicy,
}

impl Cascade {
    /// No attempt: every request goes to the inner service.
    pub fn new() -> Self {
        Self {
            attempts: Arc::default(),
            paths: PathPolicy::new(),
        }
    }

    /// Tries this service after those before it. Its requests have no body.
    pub fn attempt<S, R>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<R>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
        Arc::make_mut(&mut self.attempts).push(Arc::new(service));
        self
    }

    /// How paths are read: once, for all services alike. Defaults to [`PathPolicy::new`].
    pub fn paths(mut self, policy: PathPolicy) -> Self {
        self.paths = policy;
        self
    }
}

impl<S> Layer<S> for Cascade {
    type Service = CascadeService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CascadeService {
            cascade: self.clone(),
            inner,
        }
    }
}

/// Several services and a last one, each asked if those before it have nothing there. Made by
/// [`Cascade`].
#[derive(Clone, Debug)]
pub struct CascadeService<S> {
    cascade: Cascade,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for CascadeService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    B: http_body::Body,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = CascadeFuture<S, B>;

    /// Always ready: each service is made ready in the response future.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if let Err(refusal) = self.cascade.paths.enforce(request.uri_mut()) {
            let refusal = answer::refuse_path(refusal, request.extensions());
            return CascadeFuture {
                state: State::Refused {
                    response: Some(refusal),
                },
            };
        }
        let is_safe = matches!(*request.method(), Method::GET | Method::HEAD);
        let first = self.cascade.attempts.first();
        let state = match first {
            Some(first) if is_safe && request.body().is_end_stream() => State::Attempt {
                response: first.call(without_body(&request)),
                next: 1,
                rest: Some((self.clone(), request)),
            },
            _ => State::Inner {
                response: Oneshot::new(self.inner.clone(), request),
            },
        };
        CascadeFuture { state }
    }
}

/// The request again, for somebody who may not answer it.
fn without_body<B>(request: &Request<B>) -> Request<Body> {
    let mut copy = Request::new(Body::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    copy
}

pin_project! {
    /// The response of the first service that has one.
    ///
    /// Dropped, it drops that of the service that is being asked.
    pub struct CascadeFuture<S, B>
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
        Attempt {
            response: MountedFuture,
            // Which attempt comes after this one.
            next: usize,
            rest: Option<(CascadeService<S>, Request<B>)>,
        },
        Inner { #[pin] response: Oneshot<S, Request<B>> },
        Refused { response: Option<Response<Body>> },
    }
}

impl<S, B, R> Future for CascadeFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let (response, next, rest) = match state.as_mut().project() {
                StateProj::Attempt {
                    response,
                    next,
                    rest,
                } => (response, next, rest),
                StateProj::Inner { response } => {
                    return Poll::Ready(Ok(ready!(response.poll(cx))?.map(Body::new)));
                }
                StateProj::Refused { response } => {
                    return Poll::Ready(Ok(response.take().expect("polled after completion")));
                }
            };
            let answer = ready!(response.as_mut().poll(cx));
            if answer.status() != StatusCode::NOT_FOUND {
                return Poll::Ready(Ok(answer));
            }
            let (service, request) = rest.take().expect("polled after completion");
            match service.cascade.attempts.get(*next) {
                Some(attempt) => {
                    *response = attempt.call(without_body(&request));
                    *next += 1;
                    *rest = Some((service, request));
                }
                None => state.set(State::Inner {
                    response: Oneshot::new(service.inner, request),
                }),
            }
        }
    }
}

impl Default for Cascade {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Cascade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cascade")
            .field("attempts", &self.attempts.len())
            .field("paths", &self.paths)
            .finish()
    }
}

impl<S, B> fmt::Debug for CascadeFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CascadeFuture").finish_non_exhaustive()
    }
}
