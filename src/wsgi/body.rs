//! The body of an answer that is not here as a whole.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{call::Call, dispatch::Dispatch};
use crate::{Error, ErrorKind};

/// Holds the slot that it comes from, which is given back when its worker is idle. Dropped before its
/// end, it closes the connection.
#[derive(Debug)]
pub(super) struct AnswerBody {
    /// `None` when it is over.
    call: Option<Call>,
    dispatch: Arc<Dispatch>,
    /// How much is to come, if `Content-Length` says so. No server enforces it: what is longer
    /// would be read as the next answer.
    remaining: Option<u64>,
}

impl AnswerBody {
    pub(super) fn new(call: Call, dispatch: Arc<Dispatch>, length: Option<u64>) -> Self {
        Self {
            call: Some(call),
            dispatch,
            remaining: length,
        }
    }

    fn finish(&mut self) {
        let is_complete = self.remaining == Some(0);
        if let Some(call) = self.call.take() {
            call.finish(&self.dispatch, is_complete);
        }
    }

    fn take(&mut self, mut piece: Bytes) -> Bytes {
        if let Some(remaining) = &mut self.remaining {
            // What is longer than a `usize` is not cut.
            piece.truncate(usize::try_from(*remaining).unwrap_or(usize::MAX));
            *remaining -= piece.len() as u64;
        }
        let is_over = self.call.as_ref().is_some_and(Call::is_over);
        // The worker may well not have said so yet; the client has all of it.
        if self.remaining == Some(0) || (is_over && self.remaining.is_none()) {
            self.finish();
        }
        piece
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(call) = &mut self.call else {
            return Poll::Ready(None);
        };
        let error = match ready!(call.poll_piece(cx)) {
            Ok(Some(piece)) => {
                let piece = self.take(piece);
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            Ok(None) if matches!(self.remaining, None | Some(0)) => {
                self.finish();
                return Poll::Ready(None);
            }
            Ok(None) => Error::new(ErrorKind::Application)
                .with_source("its body is shorter than its Content-Length says"),
            Err(failure) => failure.error,
        };
        self.finish();
        let cause = std::error::Error::source(&error).map(tracing::field::display);
        tracing::warn!(reason = %error, cause, "an answer was broken off");
        Poll::Ready(Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.call.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.call, self.remaining) {
            (None, _) => SizeHint::with_exact(0),
            (Some(_), Some(remaining)) => SizeHint::with_exact(remaining),
            (Some(_), None) => SizeHint::default(),
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.finish();
    }
}
