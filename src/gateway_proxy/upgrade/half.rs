//! One direction of a tunnel.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::websocket::{Frames, Side, close};

/// How much is read at once. It is on the stack: only what the other side does not take is kept.
const PIECE: usize = 8 << 10;

/// How many pieces are carried before others have their turn.
const PIECES_A_TURN: usize = 32;

/// From one side to the other.
#[derive(Debug)]
pub(super) struct Half {
    to: Side,
    /// What was read and not written yet.
    rest: Bytes,
    state: State,
    is_unflushed: bool,
    carried: u64,
    /// Whether bytes went by since it was last asked.
    moved: bool,
    /// Of a WebSocket.
    frames: Option<Frames>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// This server goes away: Close is sent as soon as a frame ends.
    Leaving,
    /// Close was sent: nothing follows it, and only the other's Close is waited for.
    Left,
    /// The side that is read has nothing more to say.
    Ended,
    /// The side that is written was told so.
    Over,
}

impl Half {
    /// `early`: what was read before.
    pub(super) fn new(to: Side, early: Bytes, is_websocket: bool) -> Self {
        let mut frames = is_websocket.then(Frames::default);
        if let Some(frames) = &mut frames {
            frames.follow(&early);
        }
        Self {
            to,
            carried: early.len() as u64,
            rest: early,
            state: State::Open,
            is_unflushed: false,
            moved: false,
            frames,
        }
    }

    /// How many bytes were taken for the other side.
    pub(super) fn carried(&self) -> u64 {
        self.carried
    }

    /// Whether bytes went by since it was last asked.
    pub(super) fn has_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Sends a Close frame as soon as that can be, and nothing after it.
    pub(super) fn leave(&mut self) {
        if self.frames.is_some() && self.state == State::Open {
            self.state = State::Leaving;
        }
    }

    /// Ready when this direction is over, and the side that is written knows it.
    pub(super) fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        for _ in 0..PIECES_A_TURN {
            ready!(self.write(cx, to))?;
            match self.state {
                State::Over => return Poll::Ready(Ok(())),
                State::Ended => {
                    ready!(self.flush(cx, to))?;
                    // A side that closes its half is told on to the other, which may still speak.
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.state = State::Over;
                    return Poll::Ready(Ok(()));
                }
                State::Leaving if self.is_between_frames() => {
                    self.say_close_after(&[], self.has_closed());
                }
                State::Left if self.has_closed() => self.state = State::Ended,
                State::Open | State::Leaving | State::Left => {
                    let mut piece = [MaybeUninit::uninit(); PIECE];
                    let mut piece = ReadBuf::uninit(&mut piece);
                    if Pin::new(&mut *from).poll_read(cx, &mut piece)?.is_pending() {
                        // What waits in a buffer of this side would wait for ever.
                        ready!(self.flush(cx, to))?;
                        return Poll::Pending;
                    }
                    let piece = piece.filled();
                    if piece.is_empty() {
                        self.state = State::Ended;
                    } else {
                        ready!(self.carry(cx, piece, to))?;
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what was just read, and keeps what the other side does not take now.
    fn carry<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        piece: &[u8],
        to: &mut W,
    ) -> Poll<io::Result<()>> {
        self.moved = true;
        let piece = &piece[..self.follow(piece)];
        self.carried += piece.len() as u64;
        let mut written = 0;
        while written < piece.len() {
            match Pin::new(&mut *to).poll_write(cx, &piece[written..])? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(more) => {
                    written += more;
                    self.is_unflushed = true;
                }
                Poll::Pending => {
                    self.rest = Bytes::copy_from_slice(&piece[written..]);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// How much of what was just read is for the other side.
    fn follow(&mut self, piece: &[u8]) -> usize {
        let Some(frames) = &mut self.frames else {
            return piece.len();
        };
        match self.state {
            // The frame that was begun is brought to its end, and the next one is not begun.
            State::Leaving => {
                let kept = frames.one(piece);
                if !frames.is_between() {
                    return kept;
                }
                let has_closed = frames.has_closed();
                frames.follow(&piece[kept..]);
                self.say_close_after(&piece[..kept], has_closed);
                0
            }
            State::Left => {
                frames.follow(piece);
                0
            }
            _ => {
                frames.follow(piece);
                piece.len()
            }
        }
    }

    /// `has_closed`: whether the other side said it before.
    fn say_close_after(&mut self, last: &[u8], has_closed: bool) {
        self.state = State::Left;
        self.carried += last.len() as u64;
        let close = match has_closed {
            true => Vec::new(),
            false => close(self.to),
        };
        self.rest = [last, &close].concat().into();
    }

    fn is_between_frames(&self) -> bool {
        self.frames.as_ref().is_some_and(Frames::is_between)
    }

    fn has_closed(&self) -> bool {
        self.frames.as_ref().is_some_and(Frames::has_closed)
    }

    fn write<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
    ) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            match ready!(Pin::new(&mut *to).poll_write(cx, &self.rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.rest.advance(written),
            }
            self.moved = true;
            self.is_unflushed = true;
        }
        // Nothing is kept while nothing waits.
        self.rest = Bytes::new();
        Poll::Ready(Ok(()))
    }

    fn flush<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
    ) -> Poll<io::Result<()>> {
        if self.is_unflushed {
            ready!(Pin::new(to).poll_flush(cx))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}
