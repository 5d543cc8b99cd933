//! The body of a request on its way to the upstream.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body as _;
use tokio::task::JoinHandle;

use super::{Failure, Kind};
use crate::{Body, BoxError};

/// Sends a body as fast as the upstream takes it. Ready when there is nothing more to send, or
/// nobody to take it; why that is so, the answer tells.
///
/// Dropped before its end, its half of the stream is given up.
pub(super) struct Upload {
    stream: SendStream<Bytes>,
    body: Body,
    /// What was taken from the body and is not sent.
    chunk: Bytes,
}

/// There is nothing more to send, or nobody to take it.
struct Done;

impl Upload {
    pub(super) fn new(stream: SendStream<Bytes>, body: Body) -> Self {
        Self {
            stream,
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
            let is_last = self.chunk.is_empty() && self.body.is_end_stream();
            self.stream
                .send_data(piece, is_last)
                .map_err(|_told_by_the_answer| Done)?;
            if is_last {
                return Poll::Ready(Err(Done));
            }
        }
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
                None => {
                    let _told_by_the_answer = this.stream.send_data(Bytes::new(), true);
                    return Poll::Ready(Ok(()));
                }
            };
            match frame.into_data() {
                Ok(data) => this.chunk = data,
                Err(frame) => {
                    let Ok(trailers) = frame.into_trailers() else {
                        continue;
                    };
                    return match this.stream.send_trailers(trailers) {
                        Err(error)
                            if !(error.is_io() || error.is_reset() || error.is_go_away()) =>
                        {
                            this.fail(error)
                        }
                        _ => Poll::Ready(Ok(())),
                    };
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
