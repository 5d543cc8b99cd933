//! One request on a connection.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{Method, Response, StatusCode};
use http_body::Frame;
use tokio::time::{Instant, Sleep, sleep};

use super::{
    connection::Connection,
    http1::{
        BadAnswer,
        chunked::Piece,
        framing::{self, Framing},
        head,
    },
    stream::Stream,
    trailers,
    upload::{Coding, Progress, Upload},
    uwsgi::answer::keeps_connection,
};
use crate::{Body, Error, ErrorKind};

/// How many answers that are none yet (1xx) may come before the one that is.
const MAX_INFORMATIONAL: u32 = 32;

/// A request on a connection, until the end of its answer.
// All of it is in the connection's box: it is handed on from the one who waits for the head to the
// body of the answer, and should cost no more than that box then.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct Call(Box<Connection>);

/// What there is to know of the request that a connection carries.
#[derive(Debug, Default)]
pub(super) struct Ongoing {
    method: Method,
    pub(super) upload: Upload,
    /// How long the body waits to be asked for: the client that asked for it may be the only one
    /// who knows of such things.
    hold: Option<Pin<Box<Sleep>>>,
    /// When all has to be over.
    deadline: Option<Instant>,
    /// Whether a byte of the answer came.
    was_heard: bool,
    /// Whether it came before the request was written to its end.
    was_answered_early: bool,
    informational: u32,
    framing: Option<Framing>,
    persists: bool,
}

/// A request as it is to be written.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct Outgoing {
    pub(in crate::gateway_proxy) method: Method,
    /// The bytes of its head.
    pub(in crate::gateway_proxy) head: BytesMut,
    pub(in crate::gateway_proxy) body: Body,
    pub(in crate::gateway_proxy) coding: Coding,
    /// Whether the body waits until the upstream has said that it wants it.
    pub(in crate::gateway_proxy) is_held: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct Failure {
    pub(in crate::gateway_proxy) error: Error,
    /// Whether a byte of the request was written.
    pub(in crate::gateway_proxy) was_taken: bool,
    /// Whether a byte of the answer came.
    pub(in crate::gateway_proxy) was_heard: bool,
}

/// What a call waits for, and how long.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct Patience {
    pub(in crate::gateway_proxy) response: Duration,
    pub(in crate::gateway_proxy) deadline: Option<Instant>,
    /// For a body that is to be asked for first.
    pub(in crate::gateway_proxy) hold: Duration,
}

impl Patience {
    /// For who has a limit of his own.
    pub(in crate::gateway_proxy) fn endless() -> Self {
        Self {
            response: Duration::MAX,
            deadline: None,
            hold: Duration::ZERO,
        }
    }
}

impl Call {
    /// A request is about to be written to this connection.
    pub(in crate::gateway_proxy) fn new(
        mut connection: Box<Connection>,
        request: Outgoing,
        patience: &Patience,
    ) -> Self {
        connection.requests += 1;
        connection.quiet.limit(patience.response);
        connection.request = Ongoing {
            hold: request.is_held.then(|| Box::pin(sleep(patience.hold))),
            method: request.method,
            upload: Upload::new(request.head, request.body, request.coding, request.is_held),
            deadline: patience.deadline,
            ..Ongoing::default()
        };
        Self(connection)
    }

    /// Writes the request and reads the head of the answer.
    pub(in crate::gateway_proxy) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<()>, Failure>> {
        let head = ready!(self.poll_answer(cx));
        Poll::Ready(head.map_err(|error| Failure {
            error,
            was_taken: self.0.request.upload.was_taken(),
            was_heard: self.0.request.was_heard,
        }))
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, Error>> {
        loop {
            self.poll_hold(cx);
            let progress = self.0.upload(cx)?;
            match self.0.poll_fill(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(ended())),
                // What an idle connection says (408, and closes) is no answer to a request that
                // did not get out.
                Poll::Ready(Ok(_)) if self.0.was_kept && !self.0.request.upload.was_taken() => {
                    return Poll::Ready(Err(ended()));
                }
                Poll::Ready(Ok(_)) => {
                    self.0.request.was_heard = true;
                    self.0.request.was_answered_early |= !self.0.request.upload.was_read();
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(broken(error))),
                Poll::Pending => {
                    return self.poll_patience(progress, cx).map(Err);
                }
            }
            while let Some(answer) = self.take_head()? {
                if answer.status().is_informational()
                    && answer.status() != StatusCode::SWITCHING_PROTOCOLS
                {
                    self.hear(answer.status())?;
                    continue;
                }
                return Poll::Ready(self.begin(answer));
            }
        }
    }

    fn take_head(&mut self) -> Result<Option<Response<()>>, Error> {
        let Connection {
            buffer,
            max_head,
            is_uwsgi,
            ..
        } = &mut *self.0;
        if buffer.is_empty() {
            return Ok(None);
        }
        let answer = match is_uwsgi {
            false => head::answer(buffer, *max_head),
            true => head::uwsgi_answer(buffer, *max_head),
        };
        answer.map_err(nonsense)
    }

    /// RFC 9110 §15.2: "A client MUST be able to parse one or more 1xx responses received prior to
    /// a final response". They are not told on: the server in front has no way to say them.
    fn hear(&mut self, status: StatusCode) -> Result<(), Error> {
        self.0.request.informational += 1;
        if self.0.request.informational > MAX_INFORMATIONAL {
            return Err(nonsense(BadAnswer(
                "it has too many informational responses",
            )));
        }
        // What came was no answer; what came with it may be one.
        self.0.request.was_answered_early =
            !self.0.buffer.is_empty() && !self.0.request.upload.was_read();
        if status == StatusCode::CONTINUE {
            self.let_go();
        }
        Ok(())
    }

    fn poll_hold(&mut self, cx: &mut Context<'_>) {
        if let Some(hold) = &mut self.0.request.hold
            && hold.as_mut().poll(cx).is_ready()
        {
            self.let_go();
        }
    }

    fn let_go(&mut self) {
        self.0.request.hold = None;
        self.0.request.upload.release();
    }

    fn begin(&mut self, mut answer: Response<()>) -> Result<Response<()>, Error> {
        let status = answer.status();
        let version = answer.version();
        let framed = framing::of(
            &self.0.request.method,
            version,
            status,
            answer.headers_mut(),
        )
        .map_err(nonsense)?;
        let is_delimited = !matches!(framed.framing, Framing::Close);
        self.0.request.persists = status != StatusCode::SWITCHING_PROTOCOLS
            && match self.0.is_uwsgi {
                false => framing::persists(version, answer.headers(), &framed),
                true => !framed.is_suspect && keeps_connection(answer.headers(), is_delimited),
            };
        self.0.request.framing = Some(framed.framing);
        // RFC 9110 §10.1.1: a client that waits for a 100 and gets a final answer need not send
        // the content.
        if self.0.request.hold.take().is_some() {
            self.0.request.upload.give_up();
        }
        Ok(answer)
    }

    /// Time runs while it is the upstream's turn: to take what there is to write, to answer, or
    /// to go on with its answer.
    fn poll_patience(&mut self, progress: Progress, cx: &mut Context<'_>) -> Poll<Error> {
        let quiet = &mut self.0.quiet;
        if matches!(progress, Progress::Moving | Progress::Starved) {
            quiet.rest();
        }
        let is_its_turn = progress != Progress::Starved;
        let until = self.0.request.deadline;
        ready!(quiet.poll_until(until, is_its_turn, cx));
        Poll::Ready(Error::new(match is_its_turn {
            true => ErrorKind::UpstreamTimeout,
            // The time for all of it is over, and the rest of the request has yet to come.
            false => ErrorKind::RequestBodyTimeout,
        }))
    }

    /// When all has to be over.
    pub(in crate::gateway_proxy) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.0.request.deadline = deadline;
    }

    /// How long the body may pause.
    pub(in crate::gateway_proxy) fn pause(&mut self, limit: Duration) {
        self.0.quiet.limit(limit);
    }

    /// Whether there is nothing (more) to read of the answer.
    pub(in crate::gateway_proxy) fn is_over(&self) -> bool {
        matches!(self.0.request.framing, Some(Framing::Length(0)))
    }

    /// The rest of the answer's length, if it was said.
    pub(in crate::gateway_proxy) fn length(&self) -> Option<u64> {
        match self.0.request.framing {
            Some(Framing::Length(left)) => Some(left),
            _ => None,
        }
    }

    /// Reads on in the body of the answer, and writes on in that of the request.
    pub(in crate::gateway_proxy) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.is_over() {
            return Poll::Ready(None);
        }
        // An upstream that is faster than its client is never waited for.
        if self
            .0
            .request
            .deadline
            .is_some_and(|end| end <= Instant::now())
        {
            return Poll::Ready(Some(Err(ErrorKind::UpstreamTimeout.into())));
        }
        let progress = self.0.upload(cx)?;
        loop {
            if let Some(frame) = self.take_frame()? {
                return Poll::Ready(frame.map(Ok));
            }
            match self.0.poll_fill(cx) {
                Poll::Ready(Ok(0)) => {
                    if !matches!(self.0.request.framing, Some(Framing::Close)) {
                        return Poll::Ready(Some(Err(ended())));
                    }
                    self.0.request.framing = Some(Framing::Length(0));
                    return Poll::Ready(None);
                }
                Poll::Ready(Ok(_)) => self.0.quiet.rest(),
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(broken(error)))),
                Poll::Pending => {
                    return self
                        .poll_patience(progress, cx)
                        .map(|error| Some(Err(error)));
                }
            }
        }
    }

    /// `None`: more has to be read. `Some(None)`: that was all.
    fn take_frame(&mut self) -> Result<Option<Option<Frame<Bytes>>>, Error> {
        let buffer = &mut self.0.buffer;
        let Some(framing) = &mut self.0.request.framing else {
            return Ok(Some(None));
        };
        let data = match framing {
            Framing::Length(0) => return Ok(Some(None)),
            _ if buffer.is_empty() => return Ok(None),
            Framing::Close => buffer.split(),
            Framing::Length(left) => {
                let here = usize::try_from(*left).map_or(buffer.len(), |n| n.min(buffer.len()));
                *left -= here as u64;
                buffer.split_to(here)
            }
            Framing::Chunked(chunked) => {
                let max = self.0.max_head;
                return match chunked.next(buffer, max).map_err(nonsense)? {
                    None => Ok(None),
                    Some(Piece::Data(data)) => Ok(Some(Some(Frame::data(data)))),
                    Some(Piece::End(trailers)) => {
                        *framing = Framing::Length(0);
                        Ok(Some(trailers::of_answer(trailers).map(Frame::trailers)))
                    }
                };
            }
        };
        Ok(Some(Some(Frame::data(data.freeze()))))
    }

    /// The connection, if another request may be sent: this one is written and answered to the end,
    /// in this order, and nobody said `close`.
    ///
    /// An upstream that answers before it has the whole request (401, 413) may close the
    /// connection without having said so, and with a reset, since there is something it did not
    /// read. What is sent before that arrives is lost.
    pub(in crate::gateway_proxy) fn into_usable(self) -> Option<Box<Connection>> {
        let is_usable = self.is_over()
            && self.0.request.persists
            && self.0.request.upload.was_read()
            && !self.0.request.was_answered_early
            && self.0.buffer.is_empty();
        is_usable.then_some(self.0)
    }

    /// Whether the request is written to its end, and the upstream took it.
    pub(in crate::gateway_proxy) fn is_written(&self) -> bool {
        self.0.request.upload.was_read()
    }

    /// The stream below, after an answer 101, and what was read of it already.
    pub(in crate::gateway_proxy) fn into_stream(self) -> (Stream, Bytes) {
        let Connection { stream, buffer, .. } = *self.0;
        (stream, buffer.freeze())
    }
}

fn ended() -> Error {
    broken(io::ErrorKind::UnexpectedEof.into())
}

fn broken(error: io::Error) -> Error {
    Error::new(ErrorKind::UpstreamReset).with_source(error)
}

fn nonsense(reason: BadAnswer) -> Error {
    Error::new(ErrorKind::UpstreamProtocol).with_source(reason)
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests;
