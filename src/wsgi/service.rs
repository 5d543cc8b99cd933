//! What a call does.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use tower_service::Service;
use tracing::Instrument;

use super::{
    Handle,
    builder::{Builder, Requests},
    dispatch::Dispatch,
    exchange,
    seen::{Seen, Tally},
};
use crate::{Body, BoxError, body::answer};

/// Python workers that run an application: a service that ends a stack.
///
/// Its clones share them. See the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct WsgiContainer {
    shared: Arc<Shared>,
    // Not among what requests share: an answer that lasts does not keep a container.
    handle: Handle,
}

/// What all requests of a container have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Requests,
    pub(super) dispatch: Arc<Dispatch>,
    tally: Tally,
}

impl WsgiContainer {
    /// An application that is to be run, as `module:callable`: `config.wsgi:application`.
    ///
    /// As Gunicorn takes it: `module` is short for `module:application`, and a call with literal arguments
    /// makes the application (`app:create_app("production")`). Whether it can be meant is found out by
    /// [`spawn`](Builder::spawn).
    #[allow(clippy::new_ret_no_self)]
    pub fn new(application: impl Into<String>) -> Builder {
        Builder::new(application.into())
    }

    /// What is done with the container while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Sends requests to the slots of `dispatch`.
    pub(super) fn over(
        config: Requests,
        dispatch: Arc<Dispatch>,
        application: &str,
        handle: Handle,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                dispatch,
                tally: Tally::new(application),
            }),
            handle,
        }
    }
}

impl<B> Service<Request<B>> for WsgiContainer
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    /// Always ready: who has to wait waits in the response future.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> ResponseFuture {
        let shared = &self.shared;
        if let Err(refusal) = shared.config.paths.enforce(request.uri_mut()) {
            let response = answer::refuse_path(refusal, request.extensions());
            return ResponseFuture(State::Answered(Some(Box::new(response))));
        }
        let seen = Seen::new(request.method(), &shared.tally);
        let span = seen.span();
        let exchange = exchange::serve(Arc::clone(shared), request, seen);
        ResponseFuture(State::Asking {
            answer: Box::pin(exchange.instrument(span)),
            _container: self.handle.clone(),
        })
    }
}

/// The response of a [`WsgiContainer`], which it keeps running.
///
/// # Cancel safety
///
/// Dropped, it gives up its place in the queue, or closes the connection to the worker's thread, which
/// sees that when it next sends or asks for something, and then closes what it iterates over.
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture(State);

enum State {
    Answered(Option<Box<Response<Body>>>),
    Asking {
        // The one box of a request: it is a conversation of many steps, written as one.
        answer: Pin<Box<dyn Future<Output = Response<Body>> + Send>>,
        // `oneshot` drops the service before the answer is there: a request is not refused since its
        // container was the last one.
        _container: Handle,
    },
}

impl Future for ResponseFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Answered(response) => {
                let response = response.take().expect("not polled after it was ready");
                Poll::Ready(Ok(*response))
            }
            State::Asking { answer, .. } => answer.as_mut().poll(cx).map(Ok),
        }
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
