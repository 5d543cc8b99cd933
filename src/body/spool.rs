//! Taking a request body in, whole, before anything scarce is taken for it.
//!
//! A synchronous worker that reads from a client on a telephone is a worker that does nothing
//! else. So the body is collected first: in memory while it is small, then in a temporary file
//! that has no name, and that the system removes even if this process is killed.
//!
//! ```
//! use http_body_util::{BodyExt, Full};
//! use tower_gateway::body::spool::Spool;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let spool = Spool::new().memory(4).limit(1024);
//! let spooled = spool.collect(Full::from("six by nine")).await?;
//!
//! // It may be sent more than once.
//! for _ in 0..2 {
//!     let bytes = spooled.body().collect().await?.to_bytes();
//!     assert_eq!(bytes.len() as u64, spooled.len());
//! }
//!
//! let error = spool.collect(Full::from(vec![0; 1025])).await.unwrap_err();
//! assert_eq!(error.status(), 413);
//! # Ok::<(), tower_gateway::BoxError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```

use std::{
    any::Any,
    fs::File,
    io::{self, Write},
    mem,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use tokio::task::spawn_blocking;

use crate::{
    Body, BoxError, Error, ErrorKind,
    body::{file::FileBody, guarded::Guarded},
};

/// How request bodies are collected.
///
/// Worst-case memory of a request is [`memory`](Spool::memory) and one frame of its body;
/// worst-case disk is [`limit`](Spool::limit). What all requests take together is bounded by how
/// many are let in, which is for `ConcurrencyLimit` or the server to say.
#[derive(Clone, Debug)]
#[must_use]
pub struct Spool {
    memory: usize,
    limit: u64,
    timeout: Duration,
    directory: Option<Arc<Path>>,
}

/// A whole request body, in memory or in a file without a name.
#[derive(Clone, Debug)]
pub struct Spooled {
    content: Content,
    trailers: Option<HeaderMap>,
}

#[derive(Clone, Debug)]
enum Content {
    Memory(Bytes),
    File { file: Arc<File>, length: u64 },
}

impl Default for Spool {
    fn default() -> Self {
        Self::new()
    }
}

impl Spool {
    /// 64 KiB in memory, 100 MiB in all, 60 seconds between two reads.
    pub fn new() -> Self {
        Self {
            memory: 64 << 10,
            limit: 100 << 20,
            timeout: Duration::from_secs(60),
            directory: None,
        }
    }

    /// How many bytes of a body are held in memory. Defaults to 64 KiB: forms and API calls stay
    /// below, uploads go to a file.
    ///
    /// What goes to the file is written in pieces of this size (of 64 KiB, if it is smaller),
    /// each a trip to the blocking pool.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// How many bytes a body may have. Defaults to 100 MiB.
    ///
    /// A body that announces more is refused before a byte of it is read.
    pub fn limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    /// How long the client may pause between two reads. Defaults to 60 seconds, as nginx's
    /// `client_body_timeout`.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Where temporary files are made. Defaults to [`std::env::temp_dir`], which on some systems
    /// is memory.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(Arc::from(directory.into()));
        self
    }

    /// Reads a body to its end. What is a temporary file already (a [`Body`] of
    /// [`Spooled::body`]) is taken as it is, and not copied.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RequestBodyTooLarge`] beyond the limit, [`RequestBodyTimeout`] when the client
    /// pauses for too long, [`RequestBodyIncomplete`] when the body fails, and [`Io`] when the
    /// temporary file does.
    ///
    /// [`RequestBodyTimeout`]: ErrorKind::RequestBodyTimeout
    /// [`RequestBodyIncomplete`]: ErrorKind::RequestBodyIncomplete
    /// [`Io`]: ErrorKind::Io
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the body and the temporary file; what was read is lost.
    pub async fn collect<B>(&self, body: B) -> Result<Spooled, Error>
    where
        B: http_body::Body<Data = Bytes> + 'static,
        B::Error: Into<BoxError>,
    {
        let spooled = (&body as &dyn Any)
            .downcast_ref::<Body>()
            .and_then(Body::whole_file)
            .map(|(file, length)| Spooled::in_file(Arc::clone(file), length));
        let mut body = pin!(self.guard(body)?);
        if let Some(spooled) = spooled {
            return Ok(spooled);
        }
        let mut store = Store::new(self, http_body::Body::size_hint(&*body).exact());
        let mut trailers = None;
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(data) => {
                    let is_last = http_body::Body::is_end_stream(&*body);
                    store.push(data, is_last).await?;
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        Ok(Spooled {
            content: store.finish().await?,
            trailers,
        })
    }

    /// The body with the same limits, but as it comes.
    pub(crate) fn guard<B>(&self, body: B) -> Result<Guarded<B>, Error>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        Guarded::new(body, self.limit, self.timeout)
    }
}

impl Spooled {
    fn in_file(file: Arc<File>, length: u64) -> Self {
        Self {
            content: Content::File { file, length },
            trailers: None,
        }
    }

    /// The length of the body in bytes, without trailers.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.content {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::File { length, .. } => *length,
        }
    }

    /// Whether there is not a byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the body is in a temporary file.
    #[must_use]
    pub fn is_in_file(&self) -> bool {
        matches!(self.content, Content::File { .. })
    }

    /// The trailers that came after the body.
    #[must_use]
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    /// The file and its length, or what is in memory.
    #[cfg(all(feature = "wsgi", unix))]
    pub(crate) fn as_file(&self) -> Result<(&Arc<File>, u64), &Bytes> {
        match &self.content {
            Content::Memory(bytes) => Err(bytes),
            Content::File { file, length } => Ok((file, *length)),
        }
    }

    /// The content from its beginning, without the trailers. Every call gives the same; a body
    /// keeps the file for as long as it lives.
    pub fn body(&self) -> Body {
        match &self.content {
            Content::Memory(bytes) => Body::from(bytes.clone()),
            Content::File { file, length } => {
                Body::file(FileBody::new(Arc::clone(file), 0, *length, Bytes::new()))
            }
        }
    }
}

/// What has been read so far.
struct Store<'a> {
    spool: &'a Spool,
    /// The body is this frame, so far: not copied, as there may be no other.
    only: Bytes,
    buffer: BytesMut,
    file: Option<File>,
    written: u64,
}

impl<'a> Store<'a> {
    fn new(spool: &'a Spool, announced: Option<u64>) -> Self {
        // What is announced need not come, so no more than what memory allows is made ready.
        let announced = announced.map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
        Self {
            spool,
            only: Bytes::new(),
            buffer: BytesMut::with_capacity(if announced <= spool.memory {
                announced
            } else {
                0
            }),
            file: None,
            written: 0,
        }
    }

    async fn push(&mut self, data: Bytes, is_last: bool) -> Result<(), Error> {
        let is_first = self.file.is_none() && self.buffer.is_empty() && self.only.is_empty();
        if is_last && is_first && data.len() <= self.spool.memory {
            self.only = data;
            return Ok(());
        }
        // Not the last after all.
        self.buffer.extend_from_slice(&mem::take(&mut self.only));
        // Copied: a frame may be a few bytes of a large buffer that it keeps.
        self.buffer.extend_from_slice(&data);
        let piece = match self.file {
            None => self.spool.memory,
            Some(_) => self.spool.memory.max(64 << 10),
        };
        if self.buffer.len() > piece {
            self.spill().await?;
        }
        Ok(())
    }

    /// Writes the buffer to the file, on the blocking pool.
    async fn spill(&mut self) -> Result<(), Error> {
        let mut buffer = mem::take(&mut self.buffer);
        let length = buffer.len() as u64;
        let file = self.file.take();
        let directory = self.spool.directory.clone();
        let write = move || {
            let mut file = match file {
                Some(file) => file,
                None => temporary_file(directory.as_deref())?,
            };
            file.write_all(&buffer)?;
            buffer.clear();
            Ok::<_, io::Error>((file, buffer))
        };
        match spawn_blocking(write)
            .await
            .map_err(io::Error::other)
            .and_then(|written| written)
        {
            Ok((file, buffer)) => {
                self.buffer = buffer;
                self.file = Some(file);
                self.written += length;
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "a request body could not be written to a temporary file");
                Err(Error::new(ErrorKind::Io).with_source(error))
            }
        }
    }

    async fn finish(mut self) -> Result<Content, Error> {
        if self.file.is_some() && !self.buffer.is_empty() {
            self.spill().await?;
        }
        Ok(match self.file {
            Some(file) => Content::File {
                file: Arc::new(file),
                length: self.written,
            },
            None if self.only.is_empty() => Content::Memory(self.buffer.freeze()),
            None => Content::Memory(self.only),
        })
    }
}

/// A file without a name: gone when it is closed, whatever happens to this process.
fn temporary_file(directory: Option<&Path>) -> io::Result<File> {
    match directory {
        Some(directory) => tempfile::tempfile_in(directory),
        None => tempfile::tempfile(),
    }
}
