//! The body of a request, as a worker asks for it.

use std::{
    fs::File,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use crate::{Body, BoxError, Error, ErrorKind, body::spool::Spooled};

/// What is longer is asked for piece by piece, so that a worker that does not want it need not
/// read it.
const INLINE: usize = 1 << 20;

/// The body of a request.
#[derive(Debug)]
pub(super) enum Upload {
    /// It goes with the request; there may be nothing of it.
    Inline(Bytes),
    /// What is left of it is here.
    Memory(Bytes),
    /// All of it is in a file.
    File { file: Arc<File>, length: u64 },
    /// The worker has the file.
    Given,
    /// It comes from the client when it is asked for.
    Streamed(Streamed),
}

#[derive(Debug)]
pub(super) struct Streamed {
    /// `None` when it is over.
    body: Option<Body>,
    /// What came and was more than was asked for.
    rest: Bytes,
}

/// What a worker gets that asks for more.
#[derive(Debug)]
pub(super) enum More {
    /// Nothing, if it is over.
    Data(Bytes),
    File {
        file: Arc<File>,
        length: u64,
    },
}

impl Upload {
    pub(super) fn spooled(spooled: &Spooled) -> Self {
        match spooled.as_file() {
            Ok((file, length)) => Self::File {
                file: Arc::clone(file),
                length,
            },
            Err(bytes) if bytes.len() <= INLINE => Self::Inline(bytes.clone()),
            Err(bytes) => Self::Memory(bytes.clone()),
        }
    }

    pub(super) fn streamed(body: Body) -> Self {
        Self::Streamed(Streamed {
            body: Some(body),
            rest: Bytes::new(),
        })
    }

    /// Whether there is nothing of it, and will not be.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Inline(bytes) if bytes.is_empty())
    }

    /// What goes with the request.
    pub(super) fn inline(&self) -> Option<Bytes> {
        match self {
            Self::Inline(bytes) => Some(bytes.clone()),
            _ => None,
        }
    }

    /// At most so many bytes of what is left; `None` if there is nothing to ask for.
    pub(super) fn poll_more(
        &mut self,
        wanted: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<More>, Error>> {
        Poll::Ready(Ok(match self {
            Self::Inline(_) | Self::Given => None,
            Self::Memory(rest) => Some(More::Data(rest.split_to(wanted.min(rest.len())))),
            Self::File { file, length } => {
                let (file, length) = (Arc::clone(file), *length);
                *self = Self::Given;
                Some(More::File { file, length })
            }
            Self::Streamed(streamed) => {
                let piece = ready!(streamed.poll_piece(wanted, cx))?;
                Some(More::Data(piece))
            }
        }))
    }
}

impl Streamed {
    fn poll_piece(&mut self, wanted: usize, cx: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
        while self.rest.is_empty() {
            let Some(body) = &mut self.body else { break };
            match ready!(http_body::Body::poll_frame(Pin::new(body), cx)) {
                // What comes behind it (trailers) has no name in an environ.
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => {
                    self.body = None;
                    return Poll::Ready(Err(of_body(error)));
                }
                None => self.body = None,
            }
        }
        Poll::Ready(Ok(self.rest.split_to(wanted.min(self.rest.len()))))
    }
}

fn of_body(error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => Error::new(ErrorKind::RequestBodyIncomplete).with_source(error),
    }
}
