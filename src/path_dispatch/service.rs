use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::util::Oneshot;
use tower_service::Service;

use super::layer::Routes;
use crate::{Body, BoxError, Error, ErrorKind, body::answer, semantics::path::PathError};

/// A service with others mounted in front of it. See the [module docs](super) for an example.
pub struct PathDispatchService<S, B> {
    inner: S,
    routes: Arc<Routes<B>>,
}

impl<S, B> PathDispatchService<S, B> {
    pub(super) fn new(inner: S, routes: Arc<Routes<B>>) -> Self {
        Self { inner, routes }
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

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ResponseFuture {
            state: self.dispatch(request),
        }
    }
}

impl<S, B> PathDispatchService<S, B>
where
    S: Service<Request<B>> + Clone,
{
    fn dispatch(&self, mut request: Request<B>) -> State<S, B> {
        let routes = &*self.routes;
        if let Err(refusal) = routes.paths.enforce(request.uri_mut()) {
            return State::answered(answer::refuse_path(refusal, request.extensions()));
        }
        let Some(place) = routes.table.find(request.uri().path()) else {
            return State::Inner {
                response: Oneshot::new(self.inner.clone(), request),
            };
        };
        if routes.strip(place, &mut request).is_none() {
            // A part of a path is a path, and shorter: this does not happen.
            let error = Error::new(ErrorKind::BadPath).with_source(PathError::TooLong);
            return State::answered(answer::error(error));
        }
        State::Mounted {
            response: routes.mounts[place].service.call(request),
        }
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
        Inner { #[pin] response: Oneshot<S, Request<B>> },
        Mounted { response: MountedFuture },
        Answered { response: Option<Response<Body>> },
    }
}

impl<S: Service<Request<B>>, B> State<S, B> {
    fn answered(response: Response<Body>) -> Self {
        Self::Answered {
            response: Some(response),
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
        Poll::Ready(Ok(match self.project().state.project() {
            StateProj::Inner { response } => ready!(response.poll(cx))?.map(Body::new),
            StateProj::Mounted { response } => ready!(response.as_mut().poll(cx)),
            StateProj::Answered { response } => response.take().expect("polled after completion"),
        }))
    }
}

type MountedFuture = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// A mounted service, its type erased: shared, and cloned for each call.
pub(super) trait Mounted<B>: Send + Sync {
    fn call(&self, request: Request<B>) -> MountedFuture;
}

impl<S, B, R> Mounted<B> for S
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
    B: Send + 'static,
{
    fn call(&self, request: Request<B>) -> MountedFuture {
        let response = Oneshot::new(self.clone(), request);
        Box::pin(async {
            match response.await {
                Ok(response) => response.map(Body::new),
                Err(error) => failed(error.into()),
            }
        })
    }
}

fn failed(error: BoxError) -> Response<Body> {
    tracing::warn!(error = &*error, "a mounted service failed");
    answer::error(Error::new(ErrorKind::Service).with_source(error))
}

impl<S: Clone, B> Clone for PathDispatchService<S, B> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            routes: Arc::clone(&self.routes),
        }
    }
}

impl<S: fmt::Debug, B> fmt::Debug for PathDispatchService<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathDispatchService")
            .field("inner", &self.inner)
            .field("routes", &self.routes)
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
