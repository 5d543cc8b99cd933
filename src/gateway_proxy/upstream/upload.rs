//! A request on its way out.

use std::{
    fmt::Write as _,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body as _;
use tokio::io::AsyncWrite;

use super::{http1::head, stream::Stream, trailers};
use crate::{Body, BoxError, Error, ErrorKind};

/// How many pieces are written before the answer is looked at. A body that never pauses, and an
/// upstream that takes it as fast, would hide what the upstream says and stop the clock.
const TURN: usize = 16;

/// How the end of a request's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway_proxy) enum Coding {
    /// By its length, which was said.
    Length(u64),
    /// RFC 9112 §7.1.
    Chunked,
}

/// The bytes of a request that are not written yet, and where more come from.
#[derive(Debug)]
pub(super) struct Upload {
    /// The head; the line before a chunk; the data; the line after the chunk, or the end of all.
    queue: [Bytes; 4],
    body: Option<Body>,
    coding: Coding,
    /// Whether the body waits until the upstream has said that it wants it.
    is_held: bool,
    /// Whether a byte was written, or may have been.
    was_taken: bool,
    /// Whether what was written may still be on this side (TLS).
    is_unflushed: bool,
    /// Whether the peer reads no more. What it may still say is the answer.
    is_deaf: bool,
}

/// How far a request has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It was written to its end before.
    Done,
    /// The upstream takes no more for now, and took nothing since it was last asked.
    Stuck,
    /// The upstream has taken something, perhaps the end.
    Moving,
    /// There is nothing to write: the client has yet to send it, or the upstream to ask for it.
    Starved,
}

impl Default for Upload {
    fn default() -> Self {
        Self::new(BytesMut::new(), Body::empty(), Coding::Length(0), false)
    }
}

impl Upload {
    pub(super) fn new(head: BytesMut, body: Body, coding: Coding, is_held: bool) -> Self {
        // A client of HTTP/2 may say the end of an empty body later, and nobody waits for that.
        let is_over =
            coding == Coding::Length(0) || coding != Coding::Chunked && body.is_end_stream();
        Self {
            queue: [head.freeze(), Bytes::new(), Bytes::new(), Bytes::new()],
            body: (!is_over).then_some(body),
            coding,
            is_held,
            was_taken: false,
            is_unflushed: false,
            is_deaf: false,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        let is_written = self.body.is_none() && self.queue.iter().all(Bytes::is_empty);
        self.is_deaf || is_written && !self.is_unflushed
    }

    /// Whether it was written to its end, and read.
    pub(super) fn was_read(&self) -> bool {
        !self.is_deaf && self.is_done()
    }

    pub(super) fn was_taken(&self) -> bool {
        self.was_taken
    }

    /// The rest is not wanted any more. The connection cannot be used again.
    pub(super) fn give_up(&mut self) {
        self.is_deaf = true;
        self.body = None;
    }

    /// The body is wanted.
    pub(super) fn release(&mut self) {
        self.is_held = false;
    }

    /// Writes what can be written now, or as much as one turn allows. An error is one of the
    /// request's own body.
    pub(super) fn poll(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Result<Progress, Error> {
        let mut was_moving = false;
        for _ in 0..TURN {
            if self.is_done() {
                return Ok(match was_moving {
                    true => Progress::Moving,
                    false => Progress::Done,
                });
            }
            let is_starved = !self.fetch(cx)?;
            let is_empty = self.queue.iter().all(Bytes::is_empty);
            let written = match is_empty {
                true if self.is_unflushed => self.flush(stream, cx),
                true if is_starved => return Ok(Progress::Starved),
                true => continue,
                false => self.write(stream, cx),
            };
            match written {
                Poll::Pending if was_moving => return Ok(Progress::Moving),
                Poll::Pending => return Ok(Progress::Stuck),
                Poll::Ready(Ok(())) => was_moving = true,
                // It answered, or will not: an upstream may close before it has read the whole
                // request (413, 401), and what it said waits to be read.
                Poll::Ready(Err(_)) => self.is_deaf = true,
            }
        }
        cx.waker().wake_by_ref();
        Ok(Progress::Moving)
    }

    /// Puts the next piece of the body into the queue, if there is room. `false` if there is none
    /// yet.
    fn fetch(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        let is_full = self.queue[1..].iter().any(|piece| !piece.is_empty());
        let Some(body) = self.body.as_mut().filter(|_| !is_full) else {
            return Ok(true);
        };
        if self.is_held {
            return Ok(false);
        }
        let frame = match Pin::new(body).poll_frame(cx) {
            Poll::Pending => return Ok(false),
            Poll::Ready(None) => {
                self.end(None)?;
                return Ok(true);
            }
            Poll::Ready(Some(frame)) => frame.map_err(of_the_body)?,
        };
        match frame.into_data() {
            Ok(data) => self.push(data)?,
            Err(frame) => self.end(frame.into_trailers().ok().and_then(trailers::of_request))?,
        }
        // One write less when this was the last of it.
        if self.coding == Coding::Length(0) {
            self.body = None;
        }
        Ok(true)
    }

    fn push(&mut self, data: Bytes) -> Result<(), Error> {
        match &mut self.coding {
            Coding::Length(left) => {
                // More would be taken for the next request.
                *left = left
                    .checked_sub(data.len() as u64)
                    .ok_or_else(|| wrong_length("it is longer than it said"))?;
            }
            Coding::Chunked if data.is_empty() => return Ok(()),
            Coding::Chunked => {
                let mut line = BytesMut::with_capacity(18);
                // Writing into a buffer does not fail.
                let _ = write!(line, "{:x}\r\n", data.len());
                self.queue[1] = line.freeze();
                self.queue[3] = Bytes::from_static(b"\r\n");
            }
        }
        self.queue[2] = data;
        Ok(())
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Error> {
        match self.coding {
            Coding::Length(0) => {}
            Coding::Length(_) => return Err(wrong_length("it is shorter than it said")),
            Coding::Chunked => {
                self.queue[3] = match trailers {
                    None => Bytes::from_static(b"0\r\n\r\n"),
                    Some(trailers) => {
                        let mut last = BytesMut::from(&b"0\r\n"[..]);
                        head::write_fields(&trailers, &mut last);
                        last.extend_from_slice(b"\r\n");
                        last.freeze()
                    }
                };
            }
        }
        self.body = None;
        Ok(())
    }

    fn write(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let pieces = self.queue.each_ref().map(|piece| IoSlice::new(piece));
        let written = Pin::new(&mut *stream).poll_write_vectored(cx, &pieces);
        if matches!(written, Poll::Ready(Err(_))) {
            self.was_taken |= stream.may_fail_in_part();
        }
        let Poll::Ready(written) = written? else {
            return Poll::Pending;
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.was_taken = true;
        self.is_unflushed = true;
        let mut left = written;
        for piece in &mut self.queue {
            let here = left.min(piece.len());
            piece.advance(here);
            left -= here;
        }
        Poll::Ready(Ok(()))
    }

    fn flush(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(stream).poll_flush(cx);
        self.is_unflushed = flushed.is_pending();
        flushed
    }
}

/// The body of the request broke off, and says why if it is one of this crate.
fn of_the_body(error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => Error::new(ErrorKind::RequestBodyIncomplete).with_source(error),
    }
}

fn wrong_length(reason: &'static str) -> Error {
    Error::new(ErrorKind::RequestBodyIncomplete).with_source(reason)
}
