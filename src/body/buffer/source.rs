//! An answer's body, with what was read of it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::{Answer, Buffering, store::Store};
use crate::{Error, ErrorKind};

/// An answer's body, and what was read of it and not yet taken.
pub(super) struct Source<B> {
    /// Dropped when it is over.
    pub(super) inner: Option<B>,
    /// The oldest piece, as long as it is the only one.
    only: Bytes,
    pub(super) store: Store,
    trailers: Option<HeaderMap>,
    /// What comes after all that.
    failed: Option<Error>,
}

impl<B: Answer> Source<B> {
    pub(super) fn new(inner: B, buffering: &Buffering) -> Self {
        Self {
            inner: Some(inner),
            only: Bytes::new(),
            store: Store::new(buffering),
            trailers: None,
            failed: None,
        }
    }

    /// Reads what is there, as far as memory allows.
    pub(super) fn fill(&mut self, cx: &mut Context<'_>) {
        self.end_if_over();
        while self.store.has_memory() && self.poll_inner(cx).is_ready() {}
    }

    /// Takes one frame in, or the end. Pending if there is none, also after the end.
    pub(super) fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(inner) = &mut self.inner else {
            return Poll::Pending;
        };
        let frame = Pin::new(inner).poll_frame(cx);
        self.take_in(frame)
    }

    /// What the inner body said when it was polled.
    pub(super) fn take_in(&mut self, frame: Poll<Option<Result<Frame<Bytes>, Error>>>) -> Poll<()> {
        match ready!(frame) {
            Some(Ok(frame)) => {
                self.take(frame);
                self.end_if_over();
            }
            Some(Err(error)) => self.fail(error),
            None => self.inner = None,
        }
        Poll::Ready(())
    }

    pub(super) fn take(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            Ok(data) if self.only.is_empty() && self.store.is_empty() => self.only = data,
            Ok(data) => self.store.push(data),
            Err(frame) => self.trailers = frame.into_trailers().ok(),
        }
    }

    pub(super) fn fail(&mut self, error: Error) {
        self.inner = None;
        self.failed = Some(error);
    }

    /// What the body holds (a connection, a permit) goes with its last byte, not when the client
    /// has it.
    pub(super) fn end_if_over(&mut self) {
        self.inner.take_if(|inner| inner.is_end_stream());
    }

    /// The whole body, if it is there and nothing but bytes in one piece.
    pub(super) fn whole(&mut self) -> Option<Bytes> {
        let is_whole = self.inner.is_none()
            && self.failed.is_none()
            && self.trailers.is_none()
            && self.store.is_empty();
        is_whole.then(|| std::mem::take(&mut self.only))
    }

    /// What was read before. `Ready(None)` if there is nothing of it.
    pub(super) fn poll_stored(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        if !self.only.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.only))));
        }
        match ready!(self.store.poll_pop(cx)) {
            Ok(piece) => Poll::Ready(piece.map(Ok)),
            Err(source) => {
                // Nothing may come after what is missing.
                self.inner = None;
                self.trailers = None;
                let error = Error::new(ErrorKind::Io).with_source(source);
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    /// What comes after the last byte, if that is known.
    pub(super) fn after(&mut self) -> Option<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(trailers) = self.trailers.take() {
            return Some(Some(Ok(Frame::trailers(trailers))));
        }
        if let Some(error) = self.failed.take() {
            return Some(Some(Err(error)));
        }
        self.inner.is_none().then_some(None)
    }

    pub(super) fn stored(&self) -> u64 {
        self.store.len() + self.only.len() as u64
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.stored() == 0
            && self.trailers.is_none()
            && self.failed.is_none()
            && self.inner.as_ref().is_none_or(B::is_end_stream)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let stored = self.stored();
        let rest = match &self.inner {
            Some(inner) => inner.size_hint(),
            // A server that knows the length says it, and has no place for trailers.
            None if self.failed.is_some() || self.trailers.is_some() => SizeHint::default(),
            None => SizeHint::with_exact(0),
        };
        let mut hint = SizeHint::default();
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(stored)) {
            hint.set_upper(upper);
        }
        hint.set_lower(rest.lower().saturating_add(stored));
        hint
    }
}
