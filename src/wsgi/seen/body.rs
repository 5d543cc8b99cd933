//! Bodies that are counted while they pass.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{Facts, Outcome, kind_of};
use crate::BoxError;

/// The body of an answer, which tells what became of the request when it is over.
#[derive(Debug)]
pub(super) struct SeenBody<B> {
    inner: B,
    /// `None` when it was told.
    facts: Option<Box<Facts>>,
}

impl<B> SeenBody<B> {
    pub(super) fn new(inner: B, facts: Box<Facts>) -> Self {
        Self {
            inner,
            facts: Some(facts),
        }
    }
}

impl<B> http_body::Body for SeenBody<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { inner, facts } = &mut *self;
        let Some(known) = facts else {
            return Pin::new(inner).poll_frame(cx).map_err(Into::into);
        };
        known.is_read = true;
        let frame = {
            let _inside = known.span.enter();
            ready!(Pin::new(&mut *inner).poll_frame(cx))
        };
        let frame = frame.map(|frame| frame.map_err(Into::into));
        match &frame {
            Some(Ok(frame)) => {
                known.received += frame.data_ref().map_or(0, |data| data.len() as u64);
                // With a known length the server need not ask again.
                if inner.is_end_stream() {
                    known.outcome = Some(Outcome::Complete);
                }
            }
            Some(Err(error)) => known.broke_off(kind_of(error)),
            None => known.outcome = Some(Outcome::Complete),
        }
        if known.outcome.is_some() {
            *facts = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

pin_project_lite::pin_project! {
    /// The body of a request, whose bytes are counted when they are taken.
    pub(super) struct Counting<B> {
        #[pin]
        inner: B,
        counted: Arc<AtomicU64>,
    }
}

impl<B> Counting<B> {
    pub(super) fn new(inner: B, counted: Arc<AtomicU64>) -> Self {
        Self { inner, counted }
    }
}

impl<B> http_body::Body for Counting<B>
where
    B: http_body::Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            this.counted.fetch_add(bytes, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
