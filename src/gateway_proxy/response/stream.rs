//! The body of an answer that came over HTTP/2.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use super::broken_off;
use crate::{
    Error, ErrorKind,
    body::quiet::Quiet,
    gateway_proxy::{pool::Turn, tries::Work, upstream::http2::Http2Body},
};

/// Holds the turn for as long as the answer lasts. Dropped before its end, its stream is reset.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct StreamBody {
    /// `None` when it is over.
    rest: Option<(Http2Body, Turn, Work)>,
    quiet: Quiet,
    deadline: Option<Instant>,
}

impl StreamBody {
    pub(in crate::gateway_proxy) fn new(
        body: Http2Body,
        turn: Turn,
        work: Work,
        read_timeout: Duration,
        deadline: Option<Instant>,
    ) -> Self {
        let is_over = http_body::Body::is_end_stream(&body);
        Self {
            rest: (!is_over).then_some((body, turn, work)),
            quiet: Quiet::new(read_timeout),
            deadline,
        }
    }
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let Some((body, _, work)) = &mut this.rest else {
            return Poll::Ready(None);
        };
        let frame = match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(frame) => frame.map(|frame| frame.map_err(|failure| failure.into_error())),
            Poll::Pending => {
                ready!(this.quiet.poll_until(this.deadline, true, cx));
                Some(Err(ErrorKind::UpstreamTimeout.into()))
            }
        };
        this.quiet.rest();
        match &frame {
            Some(Ok(_)) if !body.is_end_stream() => {}
            Some(Ok(_)) | None => this.rest = None,
            Some(Err(error)) => {
                broken_off(work.server().address(), error);
                this.rest = None;
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            None => SizeHint::with_exact(0),
            Some((body, ..)) => body.size_hint(),
        }
    }
}
