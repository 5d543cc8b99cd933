//! What a worker sent, and nobody has read yet.

use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::OwnedFd,
};

use rustix::{
    cmsg_space,
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
};
use tokio::{io::Interest, net::UnixStream};

/// How much is read at once, and how long a frame may be that is read as a whole.
///
/// A page of a site and its head, in most cases; of memory, 8 MiB for 256 slots.
pub(super) const ROOM: usize = 32 << 10;

#[derive(Debug)]
pub(super) struct Input {
    buffer: Vec<u8>,
    /// From where to where there is something in it.
    start: usize,
    end: usize,
    /// What came with it.
    descriptor: Option<OwnedFd>,
}

impl Input {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; ROOM],
            start: 0,
            end: 0,
            descriptor: None,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end && self.descriptor.is_none()
    }

    pub(super) fn consume(&mut self, length: usize) {
        self.start += length;
        debug_assert!(self.start <= self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    pub(super) fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptor.take()
    }

    /// Gives back what a long head took.
    pub(super) fn rest(&mut self) {
        if self.buffer.len() > ROOM && self.start == self.end {
            self.buffer = vec![0; ROOM];
        }
    }

    /// Reads what is there, of something that is `length` bytes long. What is only announced takes
    /// no memory.
    ///
    /// What came with a descriptor is read to its end before anything else: behind it may be an
    /// answer that has one of its own.
    ///
    /// Never returns `Ok(0)` but at the end.
    pub(super) fn fill(&mut self, stream: &UnixStream, length: usize) -> io::Result<usize> {
        if self.buffer.len() - self.start < length && self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            let longer = length.min(2 * self.buffer.len()).max(self.end + ROOM);
            self.buffer.resize(longer, 0);
        }
        let end = match self.descriptor {
            Some(_) => self.buffer.len().min(self.start + length),
            None => self.buffer.len(),
        };
        let buffer = &mut self.buffer[self.end..end];
        let read = receive(stream, buffer, &mut self.descriptor)?;
        self.end += read;
        Ok(read)
    }

    /// Reads what is there into a buffer, past what is here.
    pub(super) fn read(&mut self, stream: &UnixStream, buffer: &mut [u8]) -> io::Result<usize> {
        debug_assert!(self.start == self.end);
        receive(stream, buffer, &mut self.descriptor)
    }
}

/// One system call. Only one descriptor is taken at a time; what comes beside is closed.
fn receive(
    stream: &UnixStream,
    buffer: &mut [u8],
    descriptor: &mut Option<OwnedFd>,
) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    const FLAGS: RecvFlags = RecvFlags::CMSG_CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    const FLAGS: RecvFlags = RecvFlags::empty();

    let room = buffer.len();
    let mut received = None;
    let tried = stream.try_io(Interest::READABLE, || {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut buffers = [IoSliceMut::new(buffer)];
        let read = recvmsg(stream, &mut buffers, &mut control, FLAGS)?.bytes;
        let mut has_descriptor = false;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                for one in descriptors {
                    has_descriptor = true;
                    *descriptor = Some(one);
                }
            }
        }
        received = Some(read);
        // What filled a part of the buffer was all there was (but for a descriptor, behind which a
        // read ends), and what comes then will be told of: to look again is for the next request to
        // wait for. This is how tokio is told.
        let is_all = (1..room).contains(&read) && !has_descriptor;
        if is_all {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            Ok(())
        }
    });
    match (received, tried) {
        (Some(read), _) => Ok(read),
        (None, Err(error)) => Err(error),
        (None, Ok(())) => Err(io::ErrorKind::WouldBlock.into()),
    }
}
