//! The body of a request on its way to the upstream.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;
use http_body::Body as _;
use tokio::task::JoinHandle;

use super::{Failure, Kind};
use crate::{Body, BoxError, gateway_proxy::upstream::trailers};

/// Sends a body as fast as the upstream takes it. Ready when there is nothing more to send, or
/// nobody to take it; why that is so, the answer tells.
///
/// Dropped before its end, its half of the stream is given up.
pub(super) struct Upload {
    stream: SendStream<Bytes>,
    body: Body,
    /// What was taken from the body and is not sent.
    chunk: Bytes,
    /// What has yet to be taken, if a length was said.
    left: Option<u64>,
}

/// There is nothing more to send, or nobody to take it.
struct Done;

impl Upload {
    pub(super) fn new(stream: SendStream<Bytes>, body: Body) -> Self {
        Self {
            stream,
            left: body.size_hint().exact(),
            body,
            chunk: Bytes::new(),
        }
    }

    /// Goes on beside the answer: a client may take the answer only when it has sent everything.
    pub(super) fn spawn(self) -> Uploading {
        Uploading(tokio::spawn(self))
    }

    /// Sends what the window lets through of the chunk.
    fn poll_send_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Done>> {
        while !self.chunk.is_empty() {
            // Asked for when there is something to send: what a quiet body reserves, the other
            // streams would miss.
            self.stream.reserve_capacity(self.chunk.len());
            let room = self.stream.capacity().min(self.chunk.len());
            if room == 0 {
                match ready!(self.stream.poll_capacity(cx)) {
                    Some(Ok(_)) => continue,
                    Some(Err(_)) | None => return Poll::Ready(Err(Done)),
                }
            }
            let piece = self.chunk.split_to(room);
            let is_last =
                self.chunk.is_empty() && self.body.is_end_stream() && !self.is_too_short();
            self.stream
                .send_data(piece, is_last)
                .map_err(|_told_by_the_answer| Done)?;
            if is_last {
                return Poll::Ready(Err(Done));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// RFC 9113 §8.1.1: "A request or response that is defined as having content when it contains a
    /// Content-Length header field is malformed if the value of the Content-Length header field does
    /// not equal the sum of the DATA frame payload lengths that form the content".
    fn take(&mut self, data: Bytes) -> Result<(), &'static str> {
        if let Some(left) = &mut self.left {
            let rest = left.checked_sub(data.len() as u64);
            *left = rest.ok_or("it is longer than it said")?;
        }
        self.chunk = data;
        Ok(())
    }

    fn is_too_short(&self) -> bool {
        self.left.is_some_and(|left| left > 0)
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> Poll<Result<(), Failure>> {
        if self.is_too_short() {
            return self.fail("it is shorter than it said");
        }
        let sent = match trailers {
            None => self.stream.send_data(Bytes::new(), true),
            Some(trailers) => self.stream.send_trailers(trailers),
        };
        // It fails on a stream that is over; of fields that h2 does not send none is left.
        let _told_by_the_answer = sent;
        Poll::Ready(Ok(()))
    }

    fn fail(&mut self, error: impl Into<BoxError>) -> Poll<Result<(), Failure>> {
        // RFC 9113 §8.1: a request that is not whole must not look whole.
        self.stream.send_reset(Reason::CANCEL);
        Poll::Ready(Err(Failure::new(Kind::RequestBody, error)))
    }
}

impl Future for Upload {
    type Output = Result<(), Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let this = &mut *self;
        loop {
            // RFC 9113 §8.1: "the server MAY request that the client abort transmission of a
            // request without error by sending a RST_STREAM with an error code of NO_ERROR after
            // sending a complete response".
            if this.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            if let Err(Done) = ready!(this.poll_send_chunk(cx)) {
                return Poll::Ready(Ok(()));
            }
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return this.fail(error),
                None => return this.end(None),
            };
            match frame.into_data() {
                Ok(data) => {
                    if let Err(wrong) = this.take(data) {
                        return this.fail(wrong);
                    }
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        return this.end(trailers::of_request(trailers));
                    }
                }
            }
        }
    }
}

/// An upload that goes on by itself, until this is dropped.
#[derive(Debug)]
pub(super) struct Uploading(JoinHandle<Result<(), Failure>>);

impl Uploading {
    /// What became of it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Pin::new(&mut self.0).poll(cx).map(|ended| match ended {
            Ok(sent) => sent,
            Err(panicked) => Err(Failure::new(Kind::RequestBody, panicked)),
        })
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        self.0.abort();
    }
}
