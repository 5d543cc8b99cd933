//! The two bodies of a request that somebody else answers, counted while they pass.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tracing::Span;

use super::Body;
use crate::{BoxError, Error, ErrorKind};

/// Who sees what becomes of an answer. Dropped when it is over, or given up.
pub(crate) trait Witness {
    /// What the answer's body is asked for in.
    fn span(&self) -> &Span;
    /// The body is asked for.
    fn asked(&mut self);
    /// So much of it has passed.
    fn received(&mut self, bytes: u64);
    /// All of it has.
    fn complete(&mut self);
    /// It ended before its end.
    fn broke_off(&mut self, kind: ErrorKind);
}

/// The body of an answer, whose witness is let go when it is over.
#[derive(Debug)]
pub(crate) struct SeenBody<B, W> {
    inner: B,
    /// `None` when it is over.
    witness: Option<W>,
}

impl<B, W> SeenBody<B, W> {
    pub(crate) fn new(inner: B, witness: W) -> Self {
        Self {
            inner,
            witness: Some(witness),
        }
    }
}

impl<B, W> http_body::Body for SeenBody<B, W>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
    W: Witness + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { inner, witness } = &mut *self;
        let Some(known) = witness else {
            return Pin::new(inner).poll_frame(cx).map_err(Into::into);
        };
        known.asked();
        let frame = {
            let _inside = known.span().enter();
            ready!(Pin::new(&mut *inner).poll_frame(cx))
        };
        let frame = frame.map(|frame| frame.map_err(Into::into));
        let is_over = match &frame {
            Some(Ok(frame)) => {
                known.received(length(frame));
                // With a known length the server need not ask again.
                inner.is_end_stream()
            }
            Some(Err(error)) => {
                known.broke_off(kind_of(error));
                *witness = None;
                false
            }
            None => true,
        };
        if is_over && let Some(mut known) = witness.take() {
            known.complete();
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

/// What kind of error ended a body: one of this crate, or of the disk.
fn kind_of(error: &BoxError) -> ErrorKind {
    error
        .downcast_ref::<Error>()
        .map_or(ErrorKind::Io, Error::kind)
}

fn length(frame: &Frame<Bytes>) -> u64 {
    frame.data_ref().map_or(0, |data| data.len() as u64)
}

/// Bytes of a request's body.
#[derive(Debug)]
pub(crate) enum Sent {
    Known(u64),
    /// It is counted while it is read, maybe by another task.
    Counted(Arc<AtomicU64>),
}

impl Sent {
    /// This body is counted from now on.
    pub(crate) fn count<B>(&mut self, body: B) -> Body
    where
        B: http_body::Body<Data = Bytes, Error = Error> + Send + 'static,
    {
        let counted = Arc::default();
        *self = Self::Counted(Arc::clone(&counted));
        Body::new(Counting {
            inner: body,
            counted,
        })
    }

    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Known(bytes) => *bytes,
            Self::Counted(bytes) => bytes.load(Ordering::Relaxed),
        }
    }
}

pin_project_lite::pin_project! {
    /// The body of a request, whose bytes are counted when they are taken.
    struct Counting<B> {
        #[pin]
        inner: B,
        counted: Arc<AtomicU64>,
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
            this.counted.fetch_add(length(frame), Ordering::Relaxed);
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

/// Writes a time into a span's field, in milliseconds.
pub(crate) fn record_time(span: &Span, field: &str, time: Option<Duration>) {
    if let Some(time) = time {
        // In microseconds: what is below is noise.
        span.record(field, time.as_micros() as f64 / 1e3);
    }
}
