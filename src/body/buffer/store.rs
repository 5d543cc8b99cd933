//! What was read of an answer and not yet taken: in memory, then in a temporary file, then in
//! memory again, in that order.

use std::{
    collections::VecDeque,
    fs::File,
    io, mem,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use tokio::task::{JoinHandle, spawn_blocking};

use super::Buffering;
use crate::body::file::{read_cached_at, read_exact_at};

/// What goes to the file, and comes from it, at once.
pub(super) const PIECE: usize = 64 << 10;

/// What a piece in memory counts for besides its bytes.
const OVERHEAD: usize = 64;

/// A shorter piece is copied, so that it does not keep the buffer alive that it is a part of.
const SMALL: usize = 1 << 10;

/// The oldest bytes are in `head`, those after them in the file, the newest in `tail`.
#[derive(Debug)]
pub(super) struct Store {
    memory: usize,
    /// How many bytes the file may have; none once it has failed.
    file_limit: u64,
    directory: Option<Arc<Path>>,
    head: VecDeque<Bytes>,
    /// The bytes of `head`, and what its pieces count for besides.
    head_cost: usize,
    head_bytes: usize,
    spill: Spill,
    tail: BytesMut,
}

/// What is in the file.
#[derive(Debug, Default)]
struct Spill {
    file: Option<Arc<File>>,
    /// What was written and not yet read.
    start: u64,
    end: u64,
    /// How many bytes are on their way to the file, behind `end`.
    writing: usize,
    /// How many bytes are on their way from the file, from `start` on.
    reading: Option<(usize, JoinHandle<io::Result<Bytes>>)>,
}

/// Whether more may be read from the upstream.
#[derive(Debug)]
pub(super) enum Room {
    Yes,
    /// Once this is in the file.
    Write(Write),
    No,
}

/// A piece on its way to the file.
#[derive(Debug)]
pub(super) struct Write {
    piece: BytesMut,
    file: Option<Arc<File>>,
    at: u64,
    directory: Option<Arc<Path>>,
}

/// A piece that was written, or could not be.
#[derive(Debug)]
pub(super) struct Written {
    piece: BytesMut,
    file: io::Result<Arc<File>>,
}

impl Store {
    pub(super) fn new(buffering: &Buffering) -> Self {
        Self {
            memory: buffering.memory,
            file_limit: buffering.file,
            directory: buffering.directory.clone(),
            head: VecDeque::new(),
            head_cost: 0,
            head_bytes: 0,
            spill: Spill::default(),
            tail: BytesMut::new(),
        }
    }

    /// How many bytes are stored.
    pub(super) fn len(&self) -> u64 {
        let memory = self.head_bytes + self.spill.writing + self.tail.len();
        memory as u64 + (self.spill.end - self.spill.start)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether some of it is not in `head`, so that all that follows has to queue behind it.
    fn is_spilled(&self) -> bool {
        self.spill.writing > 0 || self.spill.start < self.spill.end || !self.tail.is_empty()
    }

    /// Whether one more frame may be kept in memory, without a thought of the file.
    pub(super) fn has_memory(&self) -> bool {
        !self.is_spilled() && self.head_cost < self.memory
    }

    /// Whether one more frame may be read. May be more than its limit by that frame.
    pub(super) fn room(&mut self) -> Room {
        if self.has_memory() {
            return Room::Yes;
        }
        if self.spill.writing > 0 {
            return Room::No;
        }
        let used = self.spill.end + self.tail.len() as u64;
        if self.tail.len() < PIECE {
            // Nothing is begun that there is no room to write.
            let fits = used < self.file_limit;
            return if fits { Room::Yes } else { Room::No };
        }
        if used > self.file_limit {
            return Room::No;
        }
        let piece = mem::take(&mut self.tail);
        self.spill.writing = piece.len();
        Room::Write(Write {
            piece,
            file: self.spill.file.clone(),
            at: self.spill.end,
            directory: self.directory.clone(),
        })
    }

    pub(super) fn push(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        if !self.has_memory() {
            self.tail.extend_from_slice(&data);
            return;
        }
        let data = match data.len() < SMALL {
            true => Bytes::copy_from_slice(&data),
            false => data,
        };
        self.head_cost += data.len() + OVERHEAD;
        self.head_bytes += data.len();
        self.head.push_back(data);
    }

    /// What a [`Write`] has come to.
    pub(super) fn written(&mut self, written: Written) {
        let Written { mut piece, file } = written;
        self.spill.writing = 0;
        match file {
            Ok(file) => {
                if self.spill.file.is_none() {
                    tracing::debug!("an answer goes to a temporary file: its client is slower");
                }
                self.spill.end += piece.len() as u64;
                self.spill.file = Some(file);
                // Its memory serves again.
                piece.clear();
                self.tail = piece;
            }
            Err(error) => {
                tracing::warn!(%error, "an answer could not be kept in a temporary file: its upstream waits for the client");
                self.file_limit = 0;
                self.tail = piece;
            }
        }
    }

    /// The write did not end: what it held is lost.
    pub(super) fn lose_write(&mut self) {
        self.spill.writing = 0;
    }

    /// The oldest piece. `Ready(Ok(None))` if there is none; pending while it is on its way to the
    /// file or from it. Of these two, only the latter wakes the task of `cx`.
    pub(super) fn poll_pop(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if let Some(piece) = self.head.pop_front() {
            self.head_cost -= piece.len() + OVERHEAD;
            self.head_bytes -= piece.len();
            return Poll::Ready(Ok(Some(piece)));
        }
        if self.spill.start < self.spill.end {
            return self.spill.poll_read(cx).map_ok(Some);
        }
        if self.spill.writing > 0 {
            return Poll::Pending;
        }
        // All was taken out: the file is filled from its beginning again.
        (self.spill.start, self.spill.end) = (0, 0);
        let tail = self.tail.split().freeze();
        Poll::Ready(Ok((!tail.is_empty()).then_some(tail)))
    }
}

impl Spill {
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let Some(file) = &self.file else {
            // Nothing can have been written without one.
            return Poll::Ready(Err(io::ErrorKind::NotFound.into()));
        };
        let (length, task) = match &mut self.reading {
            Some(reading) => reading,
            None => {
                let left = self.end - self.start;
                let length = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
                let at = self.start;
                // It was written a moment ago, and most often is in the page cache.
                if let Ok(bytes) = read_cached_at(file, at, length) {
                    self.start += length as u64;
                    return Poll::Ready(Ok(bytes));
                }
                let file = Arc::clone(file);
                let task = spawn_blocking(move || read_exact_at(&file, at, length));
                self.reading.insert((length, task))
            }
        };
        let read = std::task::ready!(Pin::new(task).poll(cx));
        self.start += *length as u64;
        self.reading = None;
        Poll::Ready(read.unwrap_or_else(|panicked| Err(io::Error::other(panicked))))
    }
}

impl Write {
    /// Writes, on the blocking pool. `None` if that did not end, and the piece is lost.
    pub(super) async fn run(self) -> Option<Written> {
        let task = spawn_blocking(move || {
            let file = self.write();
            let piece = self.piece;
            Written { piece, file }
        });
        task.await.ok()
    }

    fn write(&self) -> io::Result<Arc<File>> {
        let file = match (&self.file, &self.directory) {
            (Some(file), _) => Arc::clone(file),
            (None, Some(directory)) => Arc::new(tempfile::tempfile_in(directory)?),
            (None, None) => Arc::new(tempfile::tempfile()?),
        };
        write_all_at(&file, &self.piece, self.at)?;
        Ok(file)
    }
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, at)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
        at += written as u64;
    }
    Ok(())
}
