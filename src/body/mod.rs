//! The body of every response that this crate makes or passes on.
//!
//! ```
//! use bytes::Bytes;
//! use http_body::Body as _;
//! use http_body_util::BodyExt;
//! use tower_gateway::Body;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let body = Body::from("hello");
//! assert_eq!(body.size_hint().exact(), Some(5));
//!
//! // Any other body fits in, and a `Body` in a `Body` costs nothing.
//! let body = Body::new(Body::new(body));
//! assert_eq!(body.collect().await?.to_bytes(), Bytes::from_static(b"hello"));
//! # Ok::<(), tower_gateway::BoxError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```

// Only static-files uses all of it.
#[cfg_attr(not(feature = "static-files"), allow(dead_code))]
pub(crate) mod answer;
#[cfg(any(feature = "gateway-proxy", feature = "wsgi"))]
pub mod buffer;
#[cfg(any(feature = "static-files", feature = "gateway-proxy", feature = "wsgi"))]
pub(crate) mod chunk;
mod drain;
#[cfg(any(feature = "static-files", feature = "gateway-proxy", feature = "wsgi"))]
pub(crate) mod file;
#[cfg(any(feature = "gateway-proxy", feature = "wsgi"))]
pub(crate) mod guarded;
mod hold;
#[cfg(feature = "static-files")]
#[allow(dead_code)]
pub(crate) mod multipart;
#[cfg(any(feature = "gateway-proxy", feature = "wsgi"))]
pub(crate) mod quiet;
#[cfg(any(feature = "gateway-proxy", feature = "wsgi"))]
pub(crate) mod seen;
#[cfg(any(feature = "gateway-proxy", feature = "wsgi"))]
pub mod spool;

use std::{
    any::Any,
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};

#[cfg(any(feature = "static-files", feature = "gateway-proxy", feature = "wsgi"))]
use self::file::FileBody;
pub use self::{
    drain::{Drain, Drainer},
    hold::Hold,
};
use crate::error::BoxError;

/// A response body: nothing, some bytes, (part of) a file, or another body.
///
/// `Send`, not `Sync`; its data is [`Bytes`], its error a [`BoxError`]. Only [`Body::new`]
/// allocates, once, and not if it is given a `Body`.
#[must_use]
pub struct Body(Kind);

enum Kind {
    /// Empty when all is said.
    Bytes(Bytes),
    #[cfg(any(feature = "static-files", feature = "gateway-proxy", feature = "wsgi"))]
    File(FileBody),
    Erased(UnsyncBoxBody<Bytes, BoxError>),
}

impl Body {
    /// A body without a byte.
    pub const fn empty() -> Self {
        Self(Kind::Bytes(Bytes::new()))
    }

    /// Erases the type of another body. A `Body` is returned as it is.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        // As in axum-core: an `Option`, so that it can be moved out through `dyn Any`.
        let mut body = Some(body);
        if let Some(body) = (&mut body as &mut dyn Any).downcast_mut::<Option<Self>>() {
            return body.take().unwrap_or_default();
        }
        body.map_or_else(Self::empty, |body| {
            Self(Kind::Erased(body.map_err(Into::into).boxed_unsync()))
        })
    }

    /// The file that this body is, if it is a whole one of which nothing was taken yet.
    #[cfg(any(feature = "gateway-proxy", feature = "wsgi"))]
    fn whole_file(&self) -> Option<(&std::sync::Arc<std::fs::File>, u64)> {
        match &self.0 {
            Kind::File(file) => file.untouched(),
            Kind::Bytes(_) | Kind::Erased(_) => None,
        }
    }

    #[cfg(any(feature = "static-files", feature = "gateway-proxy", feature = "wsgi"))]
    pub(crate) fn file(file: FileBody) -> Self {
        Self(Kind::File(file))
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Bytes(bytes))
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::from(Bytes::from_static(text.as_bytes()))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::from(Bytes::from(text))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(Bytes::from(bytes))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(mem::take(bytes))))),
            #[cfg(any(feature = "static-files", feature = "gateway-proxy", feature = "wsgi"))]
            Kind::File(file) => Pin::new(file)
                .poll_frame(cx)
                .map_err(|error| Box::new(error) as BoxError),
            Kind::Erased(body) => {
                let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
                if frame.is_none() {
                    // What the inner body held (a connection, a permit) goes now, not when the
                    // server gets round to dropping the response.
                    self.0 = Kind::Bytes(Bytes::new());
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Bytes(bytes) => bytes.is_empty(),
            #[cfg(any(feature = "static-files", feature = "gateway-proxy", feature = "wsgi"))]
            Kind::File(file) => file.is_end_stream(),
            Kind::Erased(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            #[cfg(any(feature = "static-files", feature = "gateway-proxy", feature = "wsgi"))]
            Kind::File(file) => file.size_hint(),
            Kind::Erased(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Kind::Bytes(_) => "bytes",
            #[cfg(any(feature = "static-files", feature = "gateway-proxy", feature = "wsgi"))]
            Kind::File(_) => "file",
            Kind::Erased(_) => "erased",
        };
        f.debug_tuple("Body").field(&kind).finish()
    }
}
