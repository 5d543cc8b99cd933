//! One call of an inner service.

use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use pin_project_lite::pin_project;
use tower::util::Oneshot;
use tower_service::Service;

pin_project! {
    /// The answer of a service that is called as soon as it is ready: mostly at once, and then this
    /// is no more than the service's own future.
    ///
    /// A request is large, and a future that holds one is moved with it, by each layer.
    pub(crate) struct Call<S, R>
    where
        S: Service<R>,
    {
        #[pin]
        state: State<S, R>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, R>
    where
        S: Service<R>,
    {
        Called { #[pin] response: S::Future },
        // Who waits can afford a box, so that nobody else moves what it is made of.
        Waits { oneshot: Pin<Box<Oneshot<S, R>>> },
    }
}

impl<S, R> Call<S, R>
where
    S: Service<R> + Clone,
{
    /// Leaves `service` behind as one that was asked for nothing.
    #[inline]
    pub(crate) fn new(service: &mut S, request: R) -> Self {
        // Nobody is to be woken: one that is not ready now, or never will be, is asked again by the
        // task that waits for the answer.
        let state = match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => State::Called {
                response: service.call(request),
            },
            Poll::Ready(Err(_)) | Poll::Pending => State::wait(service, request),
        };
        Self { state }
    }
}

impl<S, R> State<S, R>
where
    S: Service<R> + Clone,
{
    #[cold]
    fn wait(service: &mut S, request: R) -> Self {
        // The one that was asked may have a place in a line by now, which is this request's.
        let fresh = service.clone();
        let asked = mem::replace(service, fresh);
        Self::Waits {
            oneshot: Box::pin(Oneshot::new(asked, request)),
        }
    }
}

impl<S, R> Future for Call<S, R>
where
    S: Service<R>,
{
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Called { response } => response.poll(cx),
            StateProj::Waits { oneshot } => oneshot.as_mut().poll(cx),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test it is an assertion.
mod tests;
