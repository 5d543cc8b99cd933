//! One connection of a worker: it carries one request at a time.

mod ahead;
mod input;
mod output;

use std::{
    fs::File,
    io, mem,
    os::fd::OwnedFd,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::net::UnixStream;

pub(super) use self::output::{Letter, Unsendable};
use self::{
    ahead::Ahead,
    input::{Input, ROOM},
    output::Output,
};
use super::{
    dispatch::{Dispatch, Number},
    frame::{self, BadFrame, HEADER, Header, Kind},
    upload::Upload,
    worker::Worker,
};
use crate::{body::quiet::Quiet, semantics::cgi::Meta};

/// Whether a frame is waited for as a whole before any of it is looked at. Of a longer one, the
/// second part is read where it is to be, if it is more than the two numbers behind a head.
pub(super) fn is_read_at_once(header: Header) -> bool {
    let is_short = header.kind == Kind::Pass && header.second <= 16;
    is_short || HEADER + header.first + header.second <= ROOM
}

/// A thread of a worker, and the connection to it.
///
/// Dropped, it closes the connection. To the worker that means that nobody waits for what it is
/// at; it dials again.
// In a box, since it is handed around.
#[derive(Debug)]
pub(super) struct Slot(Box<Connection>);

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    worker: Arc<Worker>,
    number: u16,
    /// Whether it has a request.
    is_busy: bool,
    /// Whether the worker let go of it.
    is_lost: bool,
    input: Input,
    output: Output,
    ahead: Ahead,
    /// How long the worker may be quiet. It is kept from request to request: a timer that is set
    /// and does not ring is dearer than one that rings now and then, and is set on.
    quiet: Quiet,
}

impl Slot {
    /// A connection over which a worker has said hello: as its slot `number`.
    pub(super) fn new(stream: UnixStream, number: u16, worker: Arc<Worker>) -> Self {
        worker.dialled(number);
        Self(Box::new(Connection {
            stream,
            worker,
            number,
            is_busy: false,
            is_lost: false,
            input: Input::new(),
            output: Output::default(),
            ahead: Ahead::default(),
            quiet: Quiet::new(Duration::MAX),
        }))
    }

    pub(super) fn worker(&self) -> &Arc<Worker> {
        &self.0.worker
    }

    pub(super) fn number(&self) -> u16 {
        self.0.number
    }

    /// It has a request.
    pub(super) fn began(&mut self) {
        self.0.worker.asked();
        if !mem::replace(&mut self.0.is_busy, true) {
            self.0.worker.began();
        }
    }

    /// The worker let go of it, or is at odds with what crosses: it dials again, or has exited.
    pub(super) fn lost(&mut self) {
        self.0.is_lost = true;
    }

    /// It has none any more, or goes on with what it was sent ahead.
    pub(super) fn ended(&mut self) {
        self.0.input.rest();
        if self.ahead() > 0 {
            return;
        }
        self.0.output.rest();
        if mem::take(&mut self.0.is_busy) {
            self.0.worker.ended();
        }
    }

    /// Tells the thread to end, and closes the connection. To be said to an idle one.
    pub(super) fn stop(self) {
        let stop = Header::new(Kind::Stop, 0, 0).encode();
        // An idle connection has room for a few bytes. One that is closed has been told already.
        if let Err(error) = self.0.stream.try_write(&stop) {
            let (worker, slot) = (self.0.worker.id, self.0.number);
            tracing::debug!(worker, slot, %error, "a slot could not be told to stop");
        }
    }

    /// What it is sent next: a request.
    pub(super) fn write_request(
        &mut self,
        meta: &Meta<'_>,
        upload: &Upload,
    ) -> Result<(), Unsendable> {
        let output = &mut self.0.output;
        match upload.inline() {
            Some(body) => output.request(meta, frame::INLINE, body),
            None => output.request(meta, frame::AWAY, Bytes::new()),
        }
    }

    /// Sends a request behind the one that the worker is at, for one who waits. What does not go
    /// at once goes with what is sent next.
    pub(super) fn send_ahead(&mut self, number: Number, letter: &Letter, dispatch: &Arc<Dispatch>) {
        let Connection {
            stream,
            output,
            ahead,
            ..
        } = &mut *self.0;
        ahead.push(number, dispatch);
        output.letter(letter);
        // Of an end of the connection, the next read tells.
        let _later = output.send(stream);
    }

    /// How many requests the worker has that it is not at.
    pub(super) fn ahead(&self) -> usize {
        self.0.ahead.len()
    }

    /// Whose request the worker is at next, and has already.
    pub(super) fn next_ahead(&mut self) -> Option<Number> {
        self.0.ahead.next()
    }

    /// Whether the request that it is to have was sent.
    pub(super) fn was_sent(&self) -> bool {
        self.0.ahead.was_sent()
    }

    /// Whether there is something to be sent, and not a byte of it is.
    pub(super) fn is_unsent(&self) -> bool {
        self.0.output.is_unsent()
    }

    /// What it is sent next: more of the request's body, or its end.
    pub(super) fn write_data(&mut self, piece: Bytes) {
        self.0.output.data(piece);
    }

    /// What it is sent next: the request's body.
    pub(super) fn write_file(&mut self, file: Arc<File>, length: u64) {
        self.0.output.file(file, length);
    }

    /// Sends what is to be sent.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Connection { stream, output, .. } = &mut *self.0;
        loop {
            match output.send(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.poll_write_ready(cx))?;
                }
                sent => return Poll::Ready(sent),
            }
        }
    }

    /// The header of the next frame, if it is here: with as much of the frame as is read at once.
    /// Otherwise, how many bytes are waited for.
    pub(super) fn header(&self) -> Result<Result<Header, usize>, BadFrame> {
        let bytes = self.0.input.bytes();
        let Some(header) = bytes.first_chunk() else {
            return Ok(Err(HEADER));
        };
        let header = Header::decode(header)?;
        let wanted = if is_read_at_once(header) {
            HEADER + header.first + header.second
        } else {
            HEADER + header.first
        };
        Ok(if bytes.len() >= wanted {
            Ok(header)
        } else {
            Err(wanted)
        })
    }

    /// The next bytes, of those that are here.
    pub(super) fn take(&mut self, length: usize) -> Bytes {
        let bytes = Bytes::copy_from_slice(&self.0.input.bytes()[..length]);
        self.0.input.consume(length);
        bytes
    }

    pub(super) fn skip(&mut self, length: usize) {
        self.0.input.consume(length);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.input.bytes()
    }

    /// Whether nothing is here that was not asked for.
    pub(super) fn is_clean(&self) -> bool {
        // The answer to the next request may be here already.
        self.ahead() > 0 || self.0.input.is_empty() && self.0.output.is_empty()
    }

    pub(super) fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.0.input.take_descriptor()
    }

    /// Reads more, until so many bytes are here; zero at the end.
    pub(super) fn poll_fill(
        &mut self,
        length: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Connection { stream, input, .. } = &mut *self.0;
        poll_read(stream, cx, |stream| input.fill(stream, length))
    }

    /// Reads into a buffer what comes behind all that is here.
    pub(super) fn poll_read(
        &mut self,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Connection { stream, input, .. } = &mut *self.0;
        poll_read(stream, cx, |stream| input.read(stream, buffer))
    }

    pub(super) fn quiet(&mut self) -> &mut Quiet {
        &mut self.0.quiet
    }
}

fn poll_read(
    stream: &UnixStream,
    cx: &mut Context<'_>,
    mut read: impl FnMut(&UnixStream) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_read_ready(cx))?;
        match read(stream) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return Poll::Ready(read),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let connection = &*self.0;
        if connection.is_busy {
            connection.worker.ended();
        }
        connection
            .worker
            .hung_up(connection.number, connection.is_lost);
    }
}
