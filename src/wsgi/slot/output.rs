//! What is to be sent to a worker.

use std::{
    fs::File,
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::AsFd,
    sync::Arc,
};

use bytes::{Buf, Bytes};
use rustix::{
    cmsg_space,
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, send, sendmsg},
};
use tokio::{io::Interest, net::UnixStream};

use crate::semantics::cgi::Meta;
use crate::wsgi::{
    environ::{self, HasNul, KeySets},
    frame::{HEADER, Header, INLINE, Kind},
};

/// What is longer is not copied behind the head of its frame.
const COPIED: usize = 8 << 10;

/// What is kept of a buffer for the next request.
const KEPT: usize = 64 << 10;

#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    /// So many of them are sent.
    sent: usize,
    /// What comes behind them.
    tail: Bytes,
    /// And then one byte that brings this.
    file: Option<Arc<File>>,
    /// Where the names of variables are written.
    names: Vec<u8>,
    known: KeySets,
}

impl Output {
    /// A request, and the names of its variables if the worker does not know them.
    ///
    /// # Errors
    ///
    /// If it cannot be written; then nothing is to be sent.
    pub(super) fn request(
        &mut self,
        meta: &Meta<'_>,
        flags: u8,
        body: Bytes,
    ) -> Result<(), Unsendable> {
        self.clear();
        self.names.clear();
        self.bytes.resize(HEADER, 0);
        environ::write(meta, &mut self.names, &mut self.bytes).map_err(Unsendable::Nul)?;
        let values = self.bytes.len() - HEADER;
        if values.max(self.names.len()) > crate::wsgi::frame::MAX_PART {
            self.bytes.clear();
            return Err(Unsendable::TooLarge);
        }
        let (id, is_new) = self.known.find(&self.names);
        let mut header = Header::new(Kind::Request, values, body.len());
        header.flags = flags;
        header.number = id;
        self.bytes[..HEADER].copy_from_slice(&header.encode());
        if is_new {
            let mut keys = Header::new(Kind::Keys, self.names.len(), 0);
            keys.number = id;
            let front = [&keys.encode(), &self.names[..]].concat();
            self.bytes.splice(..0, front);
        }
        self.put(body);
        Ok(())
    }

    /// A request behind what is to be sent.
    pub(super) fn letter(&mut self, letter: &Letter) {
        if self.is_empty() {
            self.clear();
        }
        // What is kept apart is sent behind this.
        let tail = std::mem::take(&mut self.tail);
        self.bytes.extend_from_slice(&tail);
        let (id, is_new) = self.known.find(&letter.names);
        if is_new {
            let mut keys = Header::new(Kind::Keys, letter.names.len(), 0);
            keys.number = id;
            self.bytes.extend_from_slice(&keys.encode());
            self.bytes.extend_from_slice(&letter.names);
        }
        let mut header = Header::new(Kind::Request, letter.values.len(), 0);
        header.flags = INLINE;
        header.number = id;
        self.bytes.extend_from_slice(&header.encode());
        self.bytes.extend_from_slice(&letter.values);
    }

    /// More of the body of a request; nothing is the end.
    pub(super) fn data(&mut self, piece: Bytes) {
        self.clear();
        let header = Header::new(Kind::Data, 0, piece.len());
        self.bytes.extend_from_slice(&header.encode());
        self.put(piece);
    }

    /// The body of a request, in a file.
    pub(super) fn file(&mut self, file: Arc<File>, length: u64) {
        self.clear();
        let header = Header::new(Kind::File, 8, 1);
        self.bytes.extend_from_slice(&header.encode());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.file = Some(file);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len() && self.tail.is_empty() && self.file.is_none()
    }

    pub(super) fn is_unsent(&self) -> bool {
        self.sent == 0 && !self.is_empty()
    }

    /// Gives back what a long request took.
    pub(super) fn rest(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.names.shrink_to(KEPT);
        self.sent = 0;
    }

    /// Sends as much as there is room for. One system call, if there is room for all of it.
    pub(super) fn send(&mut self, stream: &UnixStream) -> io::Result<()> {
        while !self.is_empty() {
            let rest = &self.bytes[self.sent..];
            let tail = &self.tail[..];
            let file = &self.file;
            let sent = stream.try_io(Interest::WRITABLE, || {
                Ok(match (rest, tail, file) {
                    (rest, [], _) if !rest.is_empty() => send(stream, rest, FLAGS)?,
                    (rest, tail, _) if !tail.is_empty() => {
                        let buffers = [IoSlice::new(rest), IoSlice::new(tail)];
                        sendmsg(stream, &buffers, &mut SendAncillaryBuffer::default(), FLAGS)?
                    }
                    // It comes with a byte of its own, so that who reads what is before it without
                    // looking for descriptors does not lose it.
                    (_, _, Some(file)) => send_descriptor(stream, file)?,
                    (_, _, None) => 0,
                })
            });
            match sent {
                Ok(sent) => self.advance(sent),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn advance(&mut self, sent: usize) {
        let of_bytes = sent.min(self.bytes.len() - self.sent);
        if sent > 0 && of_bytes == 0 && self.tail.is_empty() {
            self.file = None;
            return;
        }
        self.sent += of_bytes;
        self.tail.advance(sent - of_bytes);
    }

    fn put(&mut self, piece: Bytes) {
        if piece.len() <= COPIED {
            self.bytes.extend_from_slice(&piece);
        } else {
            self.tail = piece;
        }
    }

    fn clear(&mut self) {
        debug_assert!(self.is_empty());
        self.rest();
    }
}

/// What would be a signal (SIGPIPE) is an error.
#[cfg(not(target_vendor = "apple"))]
const FLAGS: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const FLAGS: SendFlags = SendFlags::empty();

fn send_descriptor(stream: &UnixStream, file: &File) -> rustix::io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [file.as_fd()];
    let fits = control.push(SendAncillaryMessage::ScmRights(&descriptors));
    debug_assert!(fits);
    sendmsg(stream, &[IoSlice::new(&[0])], &mut control, FLAGS)
}

/// A request without a body, as it may be sent ahead of its turn.
#[derive(Debug)]
pub(in crate::wsgi) struct Letter {
    names: Vec<u8>,
    values: Vec<u8>,
}

impl Letter {
    /// `None` if it is too long to be sent where nobody may read it at once, or cannot be sent.
    pub(in crate::wsgi) fn write(meta: &Meta<'_>) -> Option<Self> {
        let (mut names, mut values) = (Vec::with_capacity(512), Vec::with_capacity(1024));
        environ::write(meta, &mut names, &mut values).ok()?;
        (names.len() + values.len() <= COPIED).then_some(Self { names, values })
    }
}

/// Why a request cannot be sent to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wsgi) enum Unsendable {
    Nul(HasNul),
    /// The head is longer than a part of a frame may be.
    TooLarge,
}
