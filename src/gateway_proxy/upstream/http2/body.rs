//! The body of an answer.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use ::http::{HeaderMap, header};
use bytes::Bytes;
use h2::RecvStream;
use http_body::{Frame, SizeHint};

use super::{
    Failure, Kind, Using,
    upload::{Upload, Uploading},
};
use crate::gateway_proxy::upstream::trailers;

/// The body of an answer, and what is held for as long as it lasts: `lease` is whatever the user
/// of the connection wants to have back at its end.
///
/// Dropped before its end, its stream is reset (`CANCEL`), and nothing else is. When the answer is
/// over before the request is, the rest of the request is not sent.
pub(in crate::gateway_proxy) struct Http2Body<L = ()> {
    stream: RecvStream,
    phase: Phase,
    /// What is left, if a length was announced.
    remaining: Option<u64>,
    /// `None` when the answer is over.
    held: Option<Held<L>>,
}

struct Held<L> {
    /// The rest of the request, while it is not sent.
    upload: Option<Uploading>,
    using: Using,
    _lease: L,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Data,
    Trailers,
    Over,
}

impl Http2Body {
    pub(super) fn new(
        stream: RecvStream,
        headers: &HeaderMap,
        upload: Option<Upload>,
        using: Using,
    ) -> Self {
        let length = headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let is_over = stream.is_end_stream();
        let mut body = Self {
            stream,
            phase: Phase::Data,
            remaining: length,
            held: Some(Held {
                upload: upload.filter(|_| !is_over).map(Upload::spawn),
                using,
                _lease: (),
            }),
        };
        if is_over {
            body.finish();
        }
        body
    }

    /// The same body, which drops `lease` when it is over or dropped.
    pub(in crate::gateway_proxy) fn with_lease<L>(self, lease: L) -> Http2Body<L> {
        Http2Body {
            stream: self.stream,
            phase: self.phase,
            remaining: self.remaining,
            held: self.held.map(|held| Held {
                upload: held.upload,
                using: held.using,
                _lease: lease,
            }),
        }
    }
}

impl<L> Http2Body<L> {
    fn finish(&mut self) {
        self.phase = Phase::Over;
        self.held = None;
    }

    /// The cause is with the request if that has failed: then the stream was reset here. On a
    /// stream that is broken the upload ends at once.
    fn poll_failure(&mut self, error: h2::Error, cx: &mut Context<'_>) -> Poll<Failure> {
        let Some(held) = &mut self.held else {
            return Poll::Ready(Failure::new(Kind::Closed, error));
        };
        if let Some(upload) = &mut held.upload
            && let Err(failure) = ready!(upload.poll(cx))
        {
            return Poll::Ready(failure);
        }
        Poll::Ready(Failure::of(error, held.using.pulse()))
    }
}

impl<L: Unpin> http_body::Body for Http2Body<L> {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = &mut *self;
        let frame = loop {
            match this.phase {
                Phase::Over => return Poll::Ready(None),
                Phase::Data => match ready!(this.stream.poll_data(cx)) {
                    // Most often the end, in a frame of its own.
                    Some(Ok(data)) if data.is_empty() => {}
                    Some(Ok(data)) => {
                        if let Some(remaining) = &mut this.remaining {
                            *remaining = remaining.saturating_sub(data.len() as u64);
                        }
                        // The window is of what is not taken yet. It fails on a stream that is over.
                        let _closed = this.stream.flow_control().release_capacity(data.len());
                        break Ok(Frame::data(data));
                    }
                    Some(Err(error)) => break Err(error),
                    None => this.phase = Phase::Trailers,
                },
                Phase::Trailers => match ready!(this.stream.poll_trailers(cx)) {
                    Ok(trailers) => {
                        this.finish();
                        let trailers = trailers.and_then(trailers::of_answer);
                        return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
                    }
                    Err(error) => break Err(error),
                },
            }
        };
        match frame {
            Ok(frame) => {
                // Whoever reads it need not ask again.
                if this.stream.is_end_stream() {
                    this.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Err(error) => {
                let failure = ready!(this.poll_failure(error, cx));
                this.finish();
                Poll::Ready(Some(Err(failure)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.phase == Phase::Over
    }

    fn size_hint(&self) -> SizeHint {
        match (self.phase, self.remaining) {
            (Phase::Over, _) => SizeHint::with_exact(0),
            (_, Some(remaining)) => SizeHint::with_exact(remaining),
            (_, None) => SizeHint::default(),
        }
    }
}

impl<L> fmt::Debug for Http2Body<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2Body")
            .field("remaining", &self.remaining)
            .field("is_over", &(self.phase == Phase::Over))
            .finish_non_exhaustive()
    }
}
