//! Several parts of one representation as a body: RFC 9110 §14.6 and §15.3.7.2.

use std::{
    fs::File,
    hash::{BuildHasher, RandomState},
    mem,
    ops::Range,
    pin::Pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    vec,
};

use bytes::Bytes;
use http::HeaderValue;
use http_body::{Frame, SizeHint};

use super::{Body, file::FileBody};
use crate::error::BoxError;

/// What the parts are parts of.
#[derive(Debug)]
pub(crate) enum Content {
    Bytes(Bytes),
    File(Arc<File>),
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Arc<File>> for Content {
    fn from(file: Arc<File>) -> Self {
        Self::File(file)
    }
}

impl Content {
    fn part(&self, range: Range<u64>) -> Body {
        match self {
            Self::Bytes(bytes) => {
                let at = |position| usize::try_from(position).expect("a position in memory");
                Body::from(bytes.slice(at(range.start)..at(range.end)))
            }
            Self::File(file) => {
                let length = range.end - range.start;
                let file = Arc::clone(file);
                Body::file(FileBody::new(file, range.start, length, Bytes::new()))
            }
        }
    }
}

/// A `multipart/byteranges` of known length.
///
/// Holds the heads of all parts, which are short, and the content of one: memory does not grow
/// with the lengths of the parts.
#[derive(Debug)]
pub(crate) struct Multipart {
    boundary: String,
    content: Content,
    /// What is being sent.
    part: Body,
    /// What comes next, each behind its head.
    parts: vec::IntoIter<(Bytes, Range<u64>)>,
    /// What stands behind the last part; empty when it is sent.
    end: Bytes,
    unsent: u64,
}

impl Multipart {
    /// These ranges of a representation of `length` bytes, which has this `Content-Type`.
    ///
    /// # Panics
    ///
    /// (Its body, when it is polled.) If a range ends behind content that is in memory.
    pub(crate) fn new(
        content: impl Into<Content>,
        length: u64,
        ranges: Vec<Range<u64>>,
        media_type: Option<&HeaderValue>,
    ) -> Self {
        let boundary = new_boundary();
        let end = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        let mut unsent = end.len() as u64;
        let parts: Vec<(Bytes, Range<u64>)> = ranges
            .into_iter()
            .map(|range| (head(&boundary, &range, length, media_type), range))
            .inspect(|(head, range)| unsent += head.len() as u64 + (range.end - range.start))
            .collect();
        Self {
            boundary,
            content: content.into(),
            part: Body::empty(),
            parts: parts.into_iter(),
            end,
            unsent,
        }
    }

    /// The `Content-Type` of the response.
    ///
    /// RFC 9110 §15.3.7.2: "To avoid confusion with single-part responses, a server MUST NOT
    /// generate a Content-Range header field in the HTTP header section of a multiple part
    /// response".
    pub(crate) fn content_type(&self) -> HeaderValue {
        // §14.6: "Although [RFC2046] permits the boundary string to be quoted, some existing
        // implementations handle a quoted boundary string incorrectly."
        let value = format!("multipart/byteranges; boundary={}", self.boundary);
        HeaderValue::try_from(value).expect("a boundary is ASCII")
    }

    /// The `Content-Length` of the response, as long as nothing is sent.
    pub(crate) fn length(&self) -> u64 {
        self.unsent
    }

    /// The next piece of what stands around the parts.
    fn next_head(&mut self) -> Option<Bytes> {
        if let Some((head, range)) = self.parts.next() {
            self.part = self.content.part(range);
            return Some(head);
        }
        self.let_go();
        let end = mem::take(&mut self.end);
        (!end.is_empty()).then_some(end)
    }

    /// No part is left to be read: the file is closed.
    fn let_go(&mut self) {
        self.part = Body::empty();
        self.content = Content::Bytes(Bytes::new());
    }

    /// No more is sent, so that what was sent looks as incomplete as it is.
    fn give_up(&mut self) {
        self.let_go();
        self.parts = Vec::new().into_iter();
        self.end = Bytes::new();
        self.unsent = 0;
    }
}

/// What stands before a part.
fn head(
    boundary: &str,
    range: &Range<u64>,
    length: u64,
    media_type: Option<&HeaderValue>,
) -> Bytes {
    let mut head = Vec::with_capacity(192);
    // The CRLF belongs to the boundary (RFC 2046 §5.1.1: `delimiter := CRLF dash-boundary`), and
    // stands before the first one too, where nothing is to be ended. §14.6: "Additional CRLFs might
    // precede the first boundary string in the body." zsync and other old clients look for it.
    head.extend_from_slice(b"\r\n--");
    head.extend_from_slice(boundary.as_bytes());
    head.extend_from_slice(b"\r\n");
    // §15.3.7.2: "If the selected representation would have had a Content-Type header field in a
    // 200 (OK) response, the server SHOULD generate that same Content-Type header field in the
    // header area of each body part."
    if let Some(media_type) = media_type {
        head.extend_from_slice(b"Content-Type: ");
        head.extend_from_slice(media_type.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    // "Within the header area of each body part in the multipart content, the server MUST generate
    // a Content-Range header field corresponding to the range being enclosed in that body part."
    let (first, last) = (range.start, range.end.saturating_sub(1));
    let content_range = format!("Content-Range: bytes {first}-{last}/{length}\r\n\r\n");
    head.extend_from_slice(content_range.as_bytes());
    Bytes::from(head)
}

impl http_body::Body for Multipart {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match ready!(Pin::new(&mut self.part).poll_frame(cx)) {
            Some(frame) => frame,
            None => match self.next_head() {
                Some(head) => Ok(Frame::data(head)),
                None => return Poll::Ready(None),
            },
        };
        match &frame {
            Ok(frame) => self.unsent -= frame.data_ref().map_or(0, Bytes::len) as u64,
            Err(_) => self.give_up(),
        }
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.unsent == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.unsent)
    }
}

/// 32 hexadecimal digits that no content has by chance, and that nobody can foretell.
///
/// RFC 2046 §5.1.1: "Boundary delimiters must not appear within the encapsulated material". The
/// content is not searched for it, so it is 128 bits that a writer of the content does not know:
/// another one for each response, since who has seen one could upload it in a file.
fn new_boundary() -> String {
    /// The standard library keys its hasher with 128 bits of the system's randomness, and chose
    /// the hash (SipHash) so that who sees its results cannot tell further ones.
    static KEYED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);

    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let half = |side: u8| KEYED.hash_one((count, side));
    format!("{:016x}{:016x}", half(0), half(1))
}

#[cfg(test)]
mod tests;
