//! The body of an answer that came over HTTP/2.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use super::broken_off;
use crate::{
    Error, ErrorKind,
    gateway_proxy::{
        activity::{Activity, Patience},
        pool::Turn,
        server::Server,
        tries::{Credit, Work},
        upstream::http2::Http2Body,
    },
};

/// Holds the turn for as long as the answer lasts. Dropped before its end, its stream is reset.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct StreamBody {
    body: Http2Body<(Turn, Work)>,
    server: Arc<Server>,
    credit: Option<Credit>,
    patience: Patience,
}

impl StreamBody {
    /// `activity`: of the request, which the answer may wait for.
    pub(in crate::gateway_proxy) fn new(
        body: Http2Body,
        activity: Option<Activity>,
        (turn, work): (Turn, Work),
        credit: Option<Credit>,
        read_timeout: Duration,
        deadline: Option<Instant>,
    ) -> Self {
        let mut patience = Patience::new(read_timeout, activity).until(deadline);
        patience.rest();
        Self {
            server: work.server(),
            body: body.with_lease((turn, work)),
            credit,
            patience,
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
        // An upstream that is faster than its client is never waited for.
        let frame = match this.patience.is_overdue() {
            true => Some(Err(ErrorKind::UpstreamTimeout.into())),
            false => match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(frame) => {
                    frame.map(|frame| frame.map_err(|failure| failure.into_error()))
                }
                Poll::Pending => Some(Err(ready!(this.patience.poll(cx)).into())),
            },
        };
        this.patience.rest();
        match &frame {
            Some(Err(error)) => broken_off(&this.server, this.credit.take(), error),
            Some(Ok(_)) => {}
            None => this.credit = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
