//! Services and bodies that do as they are told.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;
use tower_gateway::BoxError;

/// A body that is fed from a test: pending until something is sent, over when the sender is
/// dropped.
pub fn channel() -> (Feed, Scripted) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (
        Feed(sender),
        Scripted {
            frames: VecDeque::new(),
            receiver,
            length: None,
        },
    )
}

pub struct Feed(mpsc::UnboundedSender<Result<Frame<Bytes>, BoxError>>);

impl Feed {
    pub fn data(&self, data: &'static str) {
        self.0
            .send(Ok(Frame::data(Bytes::from_static(data.as_bytes()))))
            .ok();
    }

    pub fn error(&self, error: &'static str) {
        self.0.send(Err(error.into())).ok();
    }

    /// Whether somebody still holds the body.
    pub fn is_wanted(&self) -> bool {
        !self.0.is_closed()
    }

    /// Waits until the body is dropped.
    pub async fn unwanted(&self) {
        self.0.closed().await;
    }
}

#[derive(Debug)]
pub struct Scripted {
    frames: VecDeque<Frame<Bytes>>,
    receiver: mpsc::UnboundedReceiver<Result<Frame<Bytes>, BoxError>>,
    length: Option<u64>,
}

impl Scripted {
    /// The same body, announcing this many bytes, and over once they were given.
    pub fn with_length(self, length: u64) -> Self {
        Self {
            length: Some(length),
            ..self
        }
    }
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(frame) = self.frames.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        let frame = self.receiver.poll_recv(cx);
        if let (Poll::Ready(Some(Ok(frame))), Some(length)) = (&frame, &mut self.length) {
            let data = frame.data_ref().map_or(0, |data| data.len() as u64);
            *length = length.saturating_sub(data);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.length == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
