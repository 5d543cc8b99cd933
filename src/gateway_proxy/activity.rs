//! When something was last heard of, told from where it happens to where the time runs.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use crate::{ErrorKind, body::quiet::Quiet};

/// The last sign of life; `None` while it is not the other side's turn.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Mutex<Option<Instant>>>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Some(Instant::now()))))
    }

    pub(super) fn heard(&self) {
        self.set(Some(Instant::now()));
    }

    /// As [`heard`](Activity::heard), unless it is not the other side's turn anyway.
    fn touch(&self) {
        if let Some(last) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            *last = Instant::now();
        }
    }

    /// Whether it is not the other side's turn.
    fn is_starved(&self) -> bool {
        self.last().is_none()
    }

    fn set(&self, last: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }

    fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A limit on how long there may be no activity.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    quiet: Quiet,
    /// `None`: nothing is heard of until it is over.
    activity: Option<Activity>,
    deadline: Option<Instant>,
}

impl Patience {
    pub(super) fn new(limit: Duration, activity: Option<Activity>) -> Self {
        Self {
            limit,
            quiet: Quiet::new(limit),
            activity,
            deadline: None,
        }
    }

    /// And not beyond this moment, whatever happens.
    pub(super) fn until(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// Something else was heard: the limit counts from now.
    pub(super) fn rest(&mut self) {
        self.quiet.rest();
        if let Some(activity) = &self.activity {
            activity.touch();
        }
    }

    /// Ready when the limit is reached, with whose fault that is.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ErrorKind> {
        loop {
            ready!(self.quiet.poll_until(self.deadline, true, cx));
            if self.is_overdue() {
                let waits_for_client = self.activity.as_ref().is_some_and(Activity::is_starved);
                return Poll::Ready(match waits_for_client {
                    true => ErrorKind::RequestBodyTimeout,
                    false => ErrorKind::UpstreamTimeout,
                });
            }
            let last = match &self.activity {
                None => return Poll::Ready(ErrorKind::UpstreamTimeout),
                Some(activity) => activity.last().unwrap_or_else(Instant::now),
            };
            if last.elapsed() >= self.limit {
                return Poll::Ready(ErrorKind::UpstreamTimeout);
            }
            self.quiet.restart_from(last);
        }
    }

    /// Whether the moment has come beyond which nothing goes on.
    pub(super) fn is_overdue(&self) -> bool {
        self.deadline.is_some_and(|end| end <= Instant::now())
    }
}

pin_project_lite::pin_project! {
    /// A request body that tells when a piece of it was taken by the upstream, and when the
    /// upstream waits for the client.
    pub(super) struct Upload<B> {
        #[pin]
        inner: B,
        activity: Activity,
    }
}

impl<B> Upload<B> {
    pub(super) fn new(inner: B, activity: Activity) -> Self {
        Self { inner, activity }
    }
}

impl<B: http_body::Body<Data = Bytes>> http_body::Body for Upload<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = this.inner.poll_frame(cx);
        match frame {
            Poll::Ready(_) => this.activity.heard(),
            Poll::Pending => this.activity.set(None),
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
