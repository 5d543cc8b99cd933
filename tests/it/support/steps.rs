//! A future, one poll at a time.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

pub struct Steps<F: Future>(Pin<Box<F>>);

impl<F: Future> Steps<F> {
    pub fn new(future: F) -> Self {
        Self(Box::pin(future))
    }

    /// One poll, then everything else in the runtime has its turn.
    pub async fn step(&mut self) -> Option<F::Output> {
        let polled = poll_fn(|cx| Poll::Ready(self.0.as_mut().poll(cx))).await;
        tokio::task::yield_now().await;
        match polled {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    /// All the polls that are left.
    pub async fn finish(self) -> F::Output {
        self.0.await
    }
}
