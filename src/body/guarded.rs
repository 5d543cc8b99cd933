//! A request body with limits: how much, and how long between two reads.

use std::{
    error,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::LengthLimitError;

use crate::{BoxError, Error, ErrorKind, body::quiet::Quiet};

pin_project_lite::pin_project! {
    /// Passes the frames of another body on, until it is too large, too slow, or broken off:
    /// then it ends with an [`Error`] that says which.
    #[derive(Debug)]
    pub(crate) struct Guarded<B> {
        #[pin]
        inner: B,
        remaining: u64,
        quiet: Quiet,
    }
}

impl<B> Guarded<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    /// Refuses at once what announces more than `limit` bytes.
    pub(crate) fn new(inner: B, limit: u64, timeout: Duration) -> Result<Self, Error> {
        if inner.size_hint().lower() > limit {
            return Err(ErrorKind::RequestBodyTooLarge.into());
        }
        Ok(Self {
            inner,
            remaining: limit,
            quiet: Quiet::new(timeout),
        })
    }
}

impl<B> http_body::Body for Guarded<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.project();
        let Poll::Ready(frame) = this.inner.poll_frame(cx) else {
            ready!(this.quiet.poll(cx));
            return Poll::Ready(Some(Err(ErrorKind::RequestBodyTimeout.into())));
        };
        this.quiet.rest();
        let Some(frame) = frame else {
            return Poll::Ready(None);
        };
        let frame = frame.map_err(|error| classify(error.into()))?;
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        match this.remaining.checked_sub(length) {
            Some(remaining) => *this.remaining = remaining,
            None => return Poll::Ready(Some(Err(ErrorKind::RequestBodyTooLarge.into()))),
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A body that another layer limited says so in its error; any other was broken off.
fn classify(error: BoxError) -> Error {
    let error = match error.downcast::<Error>() {
        Ok(error) => return *error,
        Err(error) => error,
    };
    let mut cause: Option<&(dyn error::Error + 'static)> = Some(&*error);
    while let Some(this) = cause {
        if this.is::<LengthLimitError>() {
            return Error::new(ErrorKind::RequestBodyTooLarge).with_source(error);
        }
        cause = this.source();
    }
    Error::new(ErrorKind::RequestBodyIncomplete).with_source(error)
}
