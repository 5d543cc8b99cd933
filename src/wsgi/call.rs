//! One request on one slot, from the writing of it until the worker is idle again.

mod ahead;
mod failure;
mod finish;

use std::{
    fs::File,
    io, mem,
    os::fd::OwnedFd,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;

use self::failure::{Break, Nonsense};
pub(super) use self::failure::{Failure, Reached};
use super::{
    dispatch::Dispatch,
    frame::{self, HEADER, Header, Kind},
    response::{self, Head},
    seen::Open,
    slot::{Slot, is_read_at_once},
    upload::{More, Upload},
};
use crate::{
    Error, ErrorKind,
    body::chunk::{CHUNK, Chunk},
};

/// A request on a slot.
///
/// Dropped, it closes the connection, which tells the worker that nobody waits for it.
#[derive(Debug)]
pub(super) struct Call {
    slot: Slot,
    _busy: Option<Open>,
    upload: Upload,
    /// How much of the request's body the worker waits for.
    wants: Option<u16>,
    /// What came of the answer's body and is not taken.
    piece: Bytes,
    /// How much of the frame that was begun has not come.
    unread: usize,
    /// Where it is read to, and up to where it is there.
    chunk: Option<(Chunk, usize)>,
    /// What that frame says, which counts when all of it is there.
    flags: u8,
    /// Whether a byte of the answer was looked for, and came.
    was_heard: bool,
    is_over: bool,
    is_free: bool,
    /// Why there is an end before the end.
    broken: Option<Break>,
    timeout: Duration,
    /// How many requests the worker may be sent ahead, and who has them.
    prefetch: Option<(usize, Arc<Dispatch>)>,
}

/// What a worker says first.
#[derive(Debug)]
pub(super) enum Answer {
    /// The body is to come, or is here.
    Head(Head),
    /// The body is in a file: from where, and how long.
    File {
        head: Head,
        file: File,
        body: (u64, u64),
    },
    /// There is none: a traceback.
    Exception(Bytes),
}

impl Call {
    /// A request is about to be sent to this slot, to which it is written already.
    pub(super) fn new(
        mut slot: Slot,
        upload: Upload,
        timeout: Duration,
        busy: Option<Open>,
    ) -> Self {
        slot.quiet().limit(timeout);
        Self {
            slot,
            _busy: busy,
            upload,
            wants: None,
            piece: Bytes::new(),
            unread: 0,
            chunk: None,
            flags: 0,
            was_heard: false,
            is_over: false,
            is_free: false,
            broken: None,
            timeout,
            prefetch: None,
        }
    }

    /// The request's body, which may be sent to another if [not all was seen](Reached).
    pub(super) fn into_upload(self) -> Upload {
        self.upload
    }

    /// Whether the body is over, and nothing of it is missing.
    pub(super) fn is_over(&self) -> bool {
        self.is_over && self.piece.is_empty() && self.unread == 0 && self.broken.is_none()
    }

    /// The whole body, if it is here and as long as it was said to be.
    pub(super) fn take_whole(&mut self, length: Option<u64>) -> Option<Bytes> {
        let is_whole = self.is_over
            && self.unread == 0
            && self.broken.is_none()
            && length.is_none_or(|length| length == self.piece.len() as u64);
        is_whole.then(|| mem::take(&mut self.piece))
    }

    /// The first thing that the worker says. To be asked once.
    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Failure>> {
        let header = ready!(self.poll_frame(cx))?;
        let answer = self.answer(header);
        Poll::Ready(answer.map_err(|nonsense| self.nonsense(nonsense)))
    }

    /// More of the body. `None` at its end.
    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Failure>> {
        loop {
            if !self.piece.is_empty() {
                return Poll::Ready(Ok(Some(mem::take(&mut self.piece))));
            }
            if self.unread > 0 {
                ready!(self.poll_chunk(cx))?;
            } else if let Some(broken) = self.broken.take() {
                return Poll::Ready(Err(broken.into()));
            } else if self.is_over {
                return Poll::Ready(Ok(None));
            } else {
                ready!(self.poll_next(cx))?;
            }
        }
    }

    fn answer(&mut self, header: Header) -> Result<Answer, Nonsense> {
        self.flags = header.flags;
        match header.kind {
            Kind::One | Kind::Start => {
                let bytes = self.take(header);
                if header.kind == Kind::One {
                    self.flags |= frame::OVER;
                }
                let head = self.head(header, bytes)?;
                self.settle();
                Ok(Answer::Head(head))
            }
            Kind::Pass => {
                let bytes = self.take(header);
                let descriptor = self.slot.take_descriptor();
                self.flags |= frame::OVER;
                let head = self.head(header, bytes)?;
                let numbers = mem::take(&mut self.piece);
                self.settle();
                let (file, body) = passed(&numbers, descriptor)?;
                Ok(Answer::File { head, file, body })
            }
            Kind::Exception => {
                let bytes = self.take(header);
                self.flags |= frame::OVER;
                self.settle();
                Ok(Answer::Exception(bytes))
            }
            _ => Err(Nonsense::Moment(header.kind)),
        }
    }

    /// Reads the head in a frame, the body's part of which is here or is to be read.
    fn head(&mut self, header: Header, mut bytes: Bytes) -> Result<Head, Nonsense> {
        self.piece = bytes.split_off(header.first);
        self.unread = header.second - self.piece.len();
        response::parse(&bytes).map_err(Nonsense::Head)
    }

    /// What comes behind the beginning of an answer.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let header = ready!(self.poll_frame(cx))?;
        let next = self.next(header);
        Poll::Ready(next.map_err(|nonsense| self.nonsense(nonsense)))
    }

    fn next(&mut self, header: Header) -> Result<(), Nonsense> {
        match (header.kind, header.first, header.second) {
            (Kind::Chunk, 0, 1..) if !self.is_over => {
                self.flags = header.flags;
                self.piece = self.take(header);
                self.unread = header.second - self.piece.len();
                self.settle();
                Ok(())
            }
            (Kind::End, _, 0) => {
                self.flags = header.flags;
                let log = self.take(header);
                if !log.is_empty() {
                    tell(&self.slot, &log);
                }
                self.settle();
                Ok(())
            }
            _ => Err(Nonsense::Moment(header.kind)),
        }
    }

    /// Takes the bytes of a frame that are here as a whole: all of it, or its first part.
    fn take(&mut self, header: Header) -> Bytes {
        self.slot.skip(HEADER);
        self.slot.take(if is_read_at_once(header) {
            header.first + header.second
        } else {
            header.first
        })
    }

    /// What a frame says counts when all of it is here.
    fn settle(&mut self) {
        if self.unread > 0 {
            return;
        }
        let flags = mem::take(&mut self.flags);
        if flags & frame::LONG != 0 {
            tracing::warn!(
                worker = self.slot.worker().id,
                pid = self.slot.worker().pid,
                "the application made more than its Content-Length says, which was cut"
            );
        }
        self.broken = match flags {
            flags if flags & frame::FAILED != 0 => Some(Break::Failed),
            flags if flags & frame::SHORT != 0 => Some(Break::Short),
            _ => self.broken,
        };
        self.is_over |= flags & frame::OVER != 0 || self.broken.is_some();
        self.is_free |= flags & frame::FREE != 0;
    }

    /// Reads what is left of a frame, in pieces that are as long as is read of a file.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let (mut chunk, mut filled) = match self.chunk.take() {
            Some(begun) => begun,
            None => {
                let mut chunk = Chunk::new(self.unread.min(CHUNK));
                let here = self.slot.bytes();
                let here = &here[..here.len().min(chunk.as_mut().len())];
                let length = here.len();
                chunk.as_mut()[..length].copy_from_slice(here);
                self.slot.skip(length);
                (chunk, length)
            }
        };
        while filled < chunk.as_mut().len() {
            match self.slot.poll_read(&mut chunk.as_mut()[filled..], cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.ended())),
                Poll::Ready(Ok(read)) => {
                    self.slot.quiet().rest();
                    filled += read;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.broke_off(error))),
                Poll::Pending => {
                    self.chunk = Some((chunk, filled));
                    return self.poll_patience(cx).map(Err);
                }
            }
        }
        self.unread -= filled;
        self.piece = chunk.into_bytes();
        self.settle();
        Poll::Ready(Ok(()))
    }

    /// The next frame that is no question; questions are answered.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Header, Failure>> {
        if self.is_free {
            // It has said that it is idle, and was not asked since.
            return Poll::Ready(Err(self.nonsense(Nonsense::Endless)));
        }
        loop {
            ready!(self.poll_reply(cx))?;
            let wanted = match self.slot.header() {
                Ok(Ok(header)) if header.kind == Kind::Read => {
                    self.slot.skip(HEADER);
                    if header.number == 0 || header.first + header.second > 0 {
                        return Poll::Ready(Err(self.nonsense(Nonsense::Moment(Kind::Read))));
                    }
                    self.wants = Some(header.number);
                    continue;
                }
                Ok(Ok(header)) => {
                    self.was_heard = true;
                    return Poll::Ready(Ok(header));
                }
                Ok(Err(wanted)) => wanted,
                Err(bad) => return Poll::Ready(Err(self.nonsense(Nonsense::Frame(bad)))),
            };
            match self.slot.poll_fill(wanted, cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.ended())),
                Poll::Ready(Ok(_)) => {
                    self.was_heard = true;
                    self.slot.quiet().rest();
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.broke_off(error))),
                Poll::Pending => return self.poll_patience(cx).map(Err),
            }
        }
    }

    /// Sends what is to be sent: the request, and what the worker asks for of its body.
    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            match self.slot.poll_flush(cx) {
                Poll::Ready(Ok(())) => self.send_ahead(),
                // What is not sent is of the next requests. The worker has to be heard before it
                // reads them; and if it never does, it may have answered this one.
                Poll::Ready(Err(_)) | Poll::Pending if self.slot.ahead() > 0 => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.broke_off(error))),
                Poll::Pending => return self.poll_patience(cx).map(Err),
            }
            let Some(wants) = self.wants else {
                return Poll::Ready(Ok(()));
            };
            match self.upload.poll_more(wants.into(), cx) {
                Poll::Ready(Ok(Some(More::Data(piece)))) => self.slot.write_data(piece),
                Poll::Ready(Ok(Some(More::File { file, length }))) => {
                    self.slot.write_file(file, length);
                }
                Poll::Ready(Ok(None)) => {
                    return Poll::Ready(Err(self.nonsense(Nonsense::Moment(Kind::Read))));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => return self.poll_waiting(cx).map(Err),
            }
            self.wants = None;
            self.slot.quiet().rest();
        }
    }

    /// The client is waited for, and so the worker has nothing to say but that it is gone.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        self.slot.quiet().rest();
        if !self.slot.bytes().is_empty() {
            return Poll::Ready(self.nonsense(Nonsense::Unasked));
        }
        Poll::Ready(match ready!(self.slot.poll_fill(HEADER, cx)) {
            Ok(0) => self.ended(),
            Ok(_) => self.nonsense(Nonsense::Unasked),
            Err(error) => self.broke_off(error),
        })
    }

    /// The worker is waited for, and not for ever.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        ready!(self.slot.quiet().poll(cx));
        self.slot.worker().timed_out();
        Poll::Ready(Error::new(ErrorKind::UpstreamTimeout).into())
    }

    fn ended(&mut self) -> Failure {
        self.slot.lost();
        let reason = match self.was_heard() {
            false => "the worker closed the connection without an answer",
            true => "the worker closed the connection before the end of its answer",
        };
        Error::new(ErrorKind::UpstreamReset)
            .with_source(reason)
            .into()
    }

    fn broke_off(&mut self, error: io::Error) -> Failure {
        self.slot.lost();
        // There were bytes in the connection that the worker had not read, or never will. They
        // are a part of the request, as it was sent nothing else.
        let is_unread = matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
        );
        // They may be of the next request, too.
        let is_of_this = is_unread && !self.was_heard() && self.slot.ahead() == 0;
        let reached = match is_of_this {
            true if self.slot.is_unsent() => Reached::Nothing,
            true => Reached::NotAll,
            false => Reached::MaybeAll,
        };
        Failure {
            error: Error::new(ErrorKind::UpstreamReset).with_source(error),
            reached,
        }
    }

    fn nonsense(&mut self, nonsense: Nonsense) -> Failure {
        self.slot.lost();
        Error::new(ErrorKind::UpstreamProtocol)
            .with_source(nonsense)
            .into()
    }

    pub(super) fn slot(&self) -> &Slot {
        &self.slot
    }
}

/// The offset and the length of a body, and the file that it is in.
fn passed(numbers: &[u8], descriptor: Option<OwnedFd>) -> Result<(File, (u64, u64)), Nonsense> {
    let (offset, length) = numbers.split_at_checked(8).ok_or(Nonsense::Numbers)?;
    let number = |bytes: &[u8]| Some(u64::from_le_bytes(bytes.try_into().ok()?));
    let (offset, length) = number(offset)
        .zip(number(length))
        .ok_or(Nonsense::Numbers)?;
    let file = File::from(descriptor.ok_or(Nonsense::NoDescriptor)?);
    let metadata = file.metadata().map_err(|_io| Nonsense::NoFile)?;
    let end = offset.checked_add(length).ok_or(Nonsense::Numbers)?;
    if !metadata.is_file() || metadata.len() < end {
        return Err(Nonsense::NoFile);
    }
    Ok((file, (offset, length)))
}

/// What an application could not say otherwise: a traceback.
fn tell(slot: &Slot, log: &[u8]) {
    tracing::error!(
        worker = slot.worker().id,
        pid = slot.worker().pid,
        traceback = %String::from_utf8_lossy(log),
        "the application raised an exception, and its answer had begun"
    );
}
