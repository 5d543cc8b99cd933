//! (Part of) an open file as a body: from the page cache at once, else by the blocking pool, one
//! chunk ahead.

use std::{
    fs::File,
    io, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

pub(crate) use super::chunk::CHUNK;
use super::chunk::Chunk;

/// Yields exactly the bytes it was made for.
///
/// A file that grows is cut at the length that was promised in `Content-Length`; one that shrinks
/// ends the body with an error, so that no shorter answer looks complete.
#[derive(Debug)]
pub(crate) struct FileBody {
    file: Arc<File>,
    /// The bytes that were read when the file was opened.
    ready: Bytes,
    /// Where the next read begins.
    offset: u64,
    /// How much is not read yet, without what is being read.
    unread: u64,
    reading: Option<Reading>,
}

/// A read under way. Dropped, it is not waited for: the pool finishes it and closes the file.
#[derive(Debug)]
struct Reading {
    length: usize,
    task: JoinHandle<io::Result<Bytes>>,
}

impl FileBody {
    /// The `length` bytes of `file` from `offset` on, of which the first are `ready` already.
    pub(crate) fn new(file: impl Into<Arc<File>>, offset: u64, length: u64, ready: Bytes) -> Self {
        let was_read = ready.len() as u64;
        Self {
            file: file.into(),
            ready,
            offset: offset.saturating_add(was_read),
            unread: length.saturating_sub(was_read),
            reading: None,
        }
    }

    /// The file and its length, if the body is all of it and nothing was taken yet.
    #[cfg(any(feature = "gateway-proxy", feature = "wsgi"))]
    pub(super) fn untouched(&self) -> Option<(&Arc<File>, u64)> {
        let is_untouched = self.offset == 0 && self.ready.is_empty() && self.reading.is_none();
        is_untouched.then_some((&self.file, self.unread))
    }

    /// Where the next chunk begins, and how long it is; from now on it counts as read.
    fn next_chunk(&mut self) -> (u64, usize) {
        let length = usize::try_from(self.unread).map_or(CHUNK, |unread| unread.min(CHUNK));
        let offset = self.offset;
        self.offset += length as u64;
        self.unread -= length as u64;
        (offset, length)
    }

    /// Has the pool read what comes next, if that is not all.
    fn read_ahead(&mut self) {
        if self.unread > 0 {
            let chunk = self.next_chunk();
            self.reading = Some(self.read(chunk));
        }
    }

    fn read(&self, (offset, length): (u64, usize)) -> Reading {
        let file = Arc::clone(&self.file);
        let task = spawn_blocking(move || read_exact_at(&file, offset, length));
        Reading { length, task }
    }

    fn remaining(&self) -> u64 {
        let reading = self.reading.as_ref().map_or(0, |reading| reading.length);
        self.unread + (reading + self.ready.len()) as u64
    }
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if !self.ready.is_empty() {
            let chunk = mem::take(&mut self.ready);
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        if self.reading.is_none() {
            if self.unread == 0 {
                return Poll::Ready(None);
            }
            let (offset, length) = self.next_chunk();
            match read_cached_at(&self.file, offset, length) {
                Ok(chunk) => return Poll::Ready(Some(Ok(Frame::data(chunk)))),
                // The disk has to be asked, and will say so itself if something is wrong.
                Err(_) => self.reading = Some(self.read((offset, length))),
            }
        }
        let Some(reading) = &mut self.reading else {
            return Poll::Ready(None);
        };
        let chunk = ready!(Pin::new(&mut reading.task).poll(cx));
        self.reading = None;
        match chunk.unwrap_or_else(|panicked| Err(io::Error::other(panicked))) {
            Ok(chunk) => {
                // A file that was not in the cache is read while the server writes.
                self.read_ahead();
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
            Err(error) => {
                self.unread = 0;
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.remaining() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining())
    }
}

/// Reads `length` bytes at `offset`, neither more nor fewer. Blocks.
pub(crate) fn read_exact_at(file: &File, offset: u64, length: usize) -> io::Result<Bytes> {
    let mut chunk = Chunk::new(length);
    let mut rest = chunk.as_mut();
    let mut at = offset;
    while !rest.is_empty() {
        let read = read_at(file, rest, at)?;
        if read == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file became shorter while it was sent",
            ));
        }
        rest = &mut rest[read..];
        at += read as u64;
    }
    Ok(chunk.into_bytes())
}

/// The same, as far as the page cache has it: what would wait for a disk fails with `WouldBlock`.
///
/// # Errors
///
/// `Unsupported` of a file system (or a system) that cannot tell.
pub(crate) fn read_cached_at(file: &File, offset: u64, length: usize) -> io::Result<Bytes> {
    #[cfg(target_os = "linux")]
    {
        use std::sync::atomic::{AtomicBool, Ordering};

        use rustix::io::{Errno, ReadWriteFlags, preadv2};

        /// Neither a kernel nor a seccomp profile changes its mind.
        static LACKING: AtomicBool = AtomicBool::new(false);

        if LACKING.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut chunk = Chunk::new(length);
        let mut buffers = [io::IoSliceMut::new(chunk.as_mut())];
        match preadv2(file, &mut buffers, offset, ReadWriteFlags::NOWAIT) {
            Ok(read) if read == length => Ok(chunk.into_bytes()),
            // In part; or the file became shorter, which a read that waits will say. (Linux 5.9
            // and 5.10 also read less than there is.)
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Err(io::ErrorKind::WouldBlock.into()),
            // EINVAL before Linux 4.14; ENOSYS before 4.6, and under some seccomp profiles.
            Err(error @ (Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS)) => {
                if error == Errno::NOSYS {
                    LACKING.store(true, Ordering::Relaxed);
                }
                Err(io::ErrorKind::Unsupported.into())
            }
            Err(error) => Err(error.into()),
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (file, offset, length);
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What one read gives.
#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match rustix::io::pread(file, &mut *buffer, offset) {
            Err(rustix::io::Errno::INTR) => {}
            read => return Ok(read?),
        }
    }
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}
