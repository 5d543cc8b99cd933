use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Extensions, Method, Request, Version, header};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    adaptive::Outcome,
    layer::LimitUntil,
    limit::{Permit, Timed},
};
use crate::body::Hold;

pin_project! {
    /// The inner service's body with the permit of its request; or the words of a refusal.
    ///
    /// The permit's last home: it is let go when the body is over, fails, or is dropped.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = KindProj]
    enum Kind<B> {
        Inner { #[pin] body: B, permit: Option<Held> },
        Answer { text: Bytes },
    }
}

/// How the permit of a request is held. Only its drop matters.
#[derive(Debug)]
pub(super) enum Held {
    /// By the response alone.
    Alone { permit: Permit },
    /// By the response and by who may carry on a connection that is upgraded.
    Shared { permit: Arc<Permit> },
}

impl Held {
    /// The head of the answer is there.
    pub(super) fn answered(&self, timed: Timed, outcome: Outcome) {
        match self {
            Self::Alone { permit } => permit.answered(timed, outcome),
            Self::Shared { permit } => permit.answered(timed, outcome),
        }
    }

    /// Whether the request is over then.
    pub(super) fn ends_with_head(&self) -> bool {
        match self {
            Self::Alone { permit } => permit.until() == LimitUntil::Head,
            Self::Shared { .. } => false,
        }
    }

    /// How the permit of this request is to be held.
    #[inline]
    pub(super) fn new<B>(permit: Permit, request: &mut Request<B>) -> Self {
        let is_shared = match permit.until() {
            LimitUntil::Head => false,
            LimitUntil::Body => may_upgrade(request),
            LimitUntil::Guard => true,
        };
        match is_shared {
            true => Self::share(permit, request.extensions_mut()),
            false => Self::Alone { permit },
        }
    }

    /// Splits the permit, so that `extensions` holds it as well.
    fn share(permit: Permit, extensions: &mut Extensions) -> Self {
        let permit = Arc::new(permit);
        let hold = match extensions.remove::<Hold>() {
            Some(outer) => outer.and(Arc::clone(&permit)),
            None => Hold::new(Arc::clone(&permit)),
        };
        extensions.insert(hold);
        Self::Shared { permit }
    }
}

/// Whether the connection of this request may outlive its response.
///
/// RFC 9110 §7.8: an upgrade is asked for by an Upgrade field, in HTTP/1.1 only; a CONNECT
/// becomes a tunnel in any version (§9.3.6, and RFC 8441 for WebSocket over HTTP/2).
fn may_upgrade<B>(request: &Request<B>) -> bool {
    request.method() == Method::CONNECT
        || request.version() == Version::HTTP_11 && request.headers().contains_key(header::UPGRADE)
}

impl<B: http_body::Body> ResponseBody<B> {
    #[inline]
    pub(super) fn inner(body: B, permit: Option<Held>) -> Self {
        // A server need not poll a body that is over: let go now.
        let permit = permit.filter(|_| !body.is_end_stream());
        Self {
            kind: Kind::Inner { body, permit },
        }
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn answer(text: Bytes) -> Self {
        Self {
            kind: Kind::Answer { text },
        }
    }
}

impl<B> http_body::Body for ResponseBody<B>
where
    B: http_body::Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProj::Inner { mut body, permit } => {
                let frame = ready!(body.as_mut().poll_frame(cx));
                // With an exact length the server may never poll again, so ask now.
                if !matches!(frame, Some(Ok(_))) || body.is_end_stream() {
                    permit.take();
                }
                Poll::Ready(frame)
            }
            KindProj::Answer { text } if text.is_empty() => Poll::Ready(None),
            KindProj::Answer { text } => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body, .. } => body.is_end_stream(),
            Kind::Answer { text } => text.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body, .. } => body.size_hint(),
            Kind::Answer { text } => SizeHint::with_exact(text.len() as u64),
        }
    }
}
