//! What a call does.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tower::util::{Oneshot, ServiceExt};
use tower_service::Service;
use tracing::Instrument;

use super::{GatewayProxy, exchange, layer::Shared, seen::Seen};
use crate::{Body, BoxError, ClientAddr, body::answer};

/// The service that [`GatewayProxy`] makes as a layer.
#[derive(Clone, Debug)]
pub struct GatewayProxyService<S> {
    proxy: GatewayProxy,
    inner: S,
}

impl<S> GatewayProxyService<S> {
    pub(super) fn new(proxy: GatewayProxy, inner: S) -> Self {
        Self { proxy, inner }
    }
}

/// Whose a request is.
enum Route {
    Upstream,
    Inner,
    /// Nobody's: this is the answer.
    Refused(Box<Response<Body>>),
}

impl Shared {
    fn route<B>(&self, request: &mut Request<B>) -> Route {
        let config = &self.config;
        if let Err(refusal) = config.paths.enforce(request.uri_mut()) {
            let response = answer::refuse_path(refusal, request.extensions());
            return Route::Refused(Box::new(self.drawn(request, response)));
        }
        let path = request.uri().path();
        let is_ours = config.prefixes.is_empty()
            || config
                .prefixes
                .iter()
                .any(|prefix| prefix.strip(path).is_some());
        if is_ours {
            return Route::Upstream;
        }
        if let Some(client) = config
            .clients
            .trust
            .client(request.headers(), request.extensions())
        {
            request.extensions_mut().insert(ClientAddr(client));
        }
        Route::Inner
    }

    /// What is nobody's, where the proxy ends the stack.
    fn not_found<B>(&self, request: &Request<B>) -> Response<Body> {
        self.drawn(request, answer::plain(StatusCode::NOT_FOUND))
    }

    /// The user's page in place of this answer, if there is one.
    fn drawn<B>(&self, request: &Request<B>, plain: Response<Body>) -> Response<Body> {
        match &self.config.error_answers {
            Some(pages) => pages.refuse(&pages.note(request), plain),
            None => plain,
        }
    }
}

impl<B> Service<Request<B>> for GatewayProxy
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ProxyFuture;

    /// Always ready: who has to wait waits in the response future.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> ProxyFuture {
        ProxyFuture(match self.shared.route(&mut request) {
            Route::Upstream => Proxying::forward(&self.shared, request),
            Route::Inner => Proxying::Answered(Some(Box::new(self.shared.not_found(&request)))),
            Route::Refused(response) => Proxying::Answered(Some(response)),
        })
    }
}

impl<S, B, R> Service<Request<B>> for GatewayProxyService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    /// Always ready: the inner service is driven in the response future.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> ResponseFuture<S, B> {
        let shared = &self.proxy.shared;
        let state = match shared.route(&mut request) {
            Route::Upstream => State::Proxy {
                proxying: Proxying::forward(shared, request),
            },
            Route::Refused(response) => State::Proxy {
                proxying: Proxying::Answered(Some(response)),
            },
            Route::Inner => State::Inner {
                future: self.inner.clone().oneshot(request),
            },
        };
        ResponseFuture { state }
    }
}

/// The response of a [`GatewayProxy`] that ends a stack.
///
/// # Cancel safety
///
/// Dropped, it closes the connection to the upstream that it has taken, if any.
#[must_use = "futures do nothing unless polled"]
pub struct ProxyFuture(Proxying);

enum Proxying {
    Answered(Option<Box<Response<Body>>>),
    // The one box of a request: it is a conversation of many steps, written as one.
    Forwarding(Pin<Box<dyn Future<Output = Response<Body>> + Send>>),
}

impl Proxying {
    fn forward<B>(shared: &Arc<Shared>, request: Request<B>) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        shared.start();
        let seen = Seen::new(request.method(), &shared.requests);
        let span = seen.span();
        let forwarding = exchange::forward(Arc::clone(shared), request, seen);
        Self::Forwarding(Box::pin(forwarding.instrument(span)))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        match self {
            Self::Answered(response) => {
                Poll::Ready(*response.take().expect("not polled after it was ready"))
            }
            Self::Forwarding(future) => future.as_mut().poll(cx),
        }
    }
}

impl Future for ProxyFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx).map(Ok)
    }
}

impl fmt::Debug for ProxyFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyFuture").finish_non_exhaustive()
    }
}

pin_project_lite::pin_project! {
    /// The response of a [`GatewayProxyService`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, it closes the connection to the upstream that it has taken, if any.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B>,
    }
}

pin_project_lite::pin_project! {
    #[project = StateProj]
    enum State<S, B>
    where
        S: Service<Request<B>>,
    {
        Proxy { proxying: Proxying },
        Inner { #[pin] future: Oneshot<S, Request<B>> },
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
        match self.project().state.project() {
            StateProj::Proxy { proxying } => proxying.poll(cx).map(Ok),
            StateProj::Inner { future } => {
                let response = ready!(future.poll(cx))?;
                Poll::Ready(Ok(response.map(Body::new)))
            }
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
