//! One connection to an upstream.

use std::{
    io,
    pin::pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{io::AsyncReadExt, time::Instant};

use super::{Speech, call::Ongoing, stream::Stream, upload::Progress};
use crate::{Error, body::quiet::Quiet};

/// How much is read at first; each time that this was not enough, twice as much, up to the other.
const READ: usize = 8 << 10;
const MAX_READ: usize = 128 << 10;

/// A connection that is driven by whoever holds it: first the future that waits for the answer,
/// then the body of the answer.
///
/// There is no task of its own. So a request costs no trip between tasks, and what is dropped is
/// closed: a client that goes away, an answer that is not wanted to its end, a panic.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct Connection {
    pub(super) stream: Stream,
    /// What was read and is not used.
    pub(super) buffer: BytesMut,
    /// How much is read next time.
    chunk: usize,
    pub(super) max_head: usize,
    pub(super) is_uwsgi: bool,
    opened: Instant,
    /// How many requests it was given.
    pub(super) requests: u64,
    /// Whether it has been idle, so that the upstream may have closed it since.
    pub(super) was_kept: bool,
    pub(super) quiet: Quiet,
    pub(super) request: Ongoing,
}

impl Connection {
    /// `max_head` is how many bytes the head of an answer may have.
    pub(super) fn new(stream: Stream, speech: Speech, max_head: usize) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            chunk: READ,
            max_head,
            is_uwsgi: speech == Speech::Uwsgi,
            opened: Instant::now(),
            requests: 0,
            was_kept: false,
            quiet: Quiet::new(Duration::MAX),
            request: Ongoing::default(),
        }
    }

    /// Whether it has been idle, so that the upstream may have closed it since.
    pub(in crate::gateway_proxy) fn was_kept(&self) -> bool {
        self.was_kept
    }

    pub(in crate::gateway_proxy) fn requests(&self) -> u64 {
        self.requests
    }

    pub(in crate::gateway_proxy) fn opened(&self) -> Instant {
        self.opened
    }

    /// Whether an idle connection is still one: the peer has not closed it, and said nothing that
    /// it was not asked.
    pub(in crate::gateway_proxy) fn is_alive(&mut self) -> bool {
        self.buffer.is_empty() && self.stream.is_silent()
    }

    /// It is to be kept, and holds no more memory than that takes.
    pub(in crate::gateway_proxy) fn rest(&mut self) {
        self.was_kept = true;
        self.request = Ongoing::default();
        self.chunk = READ;
        if self.buffer.capacity() > READ {
            self.buffer = BytesMut::new();
        }
    }

    /// Writes what can be written of the request.
    pub(super) fn upload(&mut self, cx: &mut Context<'_>) -> Result<Progress, Error> {
        self.request.upload.poll(&mut self.stream, cx)
    }

    /// Reads once. Zero is the end.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.buffer.capacity() - self.buffer.len() < self.chunk / 4 {
            self.buffer.reserve(self.chunk);
        }
        let room = self.buffer.capacity() - self.buffer.len();
        let read = ready!(pin!(self.stream.read_buf(&mut self.buffer)).poll(cx))?;
        if read == room {
            self.chunk = (self.chunk * 2).min(MAX_READ);
        }
        Poll::Ready(Ok(read))
    }
}
