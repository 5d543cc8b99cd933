//! A mounted service, its type erased.

use std::{
    any::Any,
    future::{pending, ready as at_once},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::seen;
use crate::{Body, BoxError, Error, ErrorKind, body::answer, call::Call};

/// It never fails: an error is an answer.
pub(super) type MountedFuture = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

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
        Box::pin(Answer {
            response: Call::new(&mut self.clone(), request),
        })
    }
}

pin_project! {
    struct Answer<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        response: Call<S, Request<B>>,
    }
}

impl<S, B, R> Future for Answer<S, B>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Output = Response<Body>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        Poll::Ready(match ready!(self.project().response.poll(cx)) {
            Ok(response) => response.map(Body::new),
            Err(error) => failed(error.into()),
        })
    }
}

fn failed(error: BoxError) -> Response<Body> {
    tracing::warn!(error = &*error, "a mounted service failed");
    seen::failed(seen::Failure::Error);
    answer::error(Error::new(ErrorKind::Service).with_source(error))
}

/// Calls the service. A panic is an answer.
pub(super) fn call_catching<B>(service: &dyn Mounted<B>, request: Request<B>) -> MountedFuture {
    // What is seen after a panic: see below.
    let called = catch_unwind(AssertUnwindSafe(|| service.call(request)));
    called.unwrap_or_else(|panic| Box::pin(at_once(panicked(&*panic))))
}

/// Polls once. A panic is an answer, and the end of the future.
pub(super) fn poll_catching(
    future: &mut MountedFuture,
    cx: &mut Context<'_>,
) -> Poll<Response<Body>> {
    // What is seen after a panic: not the future, which is dropped at once, and not the service,
    // which was cloned for this request. What its clones share is left as a panic in a task of its
    // own would leave it.
    match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled,
        Err(panic) => {
            let ended = std::mem::replace(future, Box::pin(pending()));
            // What it held may panic as well; that is the same end.
            catch_unwind(AssertUnwindSafe(|| drop(ended))).ok();
            Poll::Ready(panicked(&*panic))
        }
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Response<Body> {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    tracing::error!(panic = text, "a mounted service panicked");
    seen::failed(seen::Failure::Panic);
    let source = format!("it panicked: {text}");
    answer::error(Error::new(ErrorKind::Service).with_source(source))
}
