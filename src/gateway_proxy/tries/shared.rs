//! A try on a connection that carries many requests at once.

use std::{future::poll_fn, pin::pin, task::Poll};

use tokio::time::Instant;

use super::{Answered, Failure, Source, Tries, Work};
use crate::{
    Body,
    gateway_proxy::{
        activity::{Activity, Patience, Upload},
        content::Content,
        outcome::Failed,
        pool::Turn,
        server::Server,
        upstream::http2::{self, Http2},
    },
};

impl Tries<'_> {
    pub(super) async fn send_shared(
        &mut self,
        server: &Server,
        (connection, on_kept): (Http2, bool),
        turn: Turn,
        work: Work,
        deadline: Option<Instant>,
    ) -> Result<Answered, Failure> {
        let is_streamed = !self.content.is_kept();
        let (body, _) = self.content.take();
        let has_body = !http_body::Body::is_end_stream(&body);
        let activity = has_body.then(Activity::new);
        let body = match &activity {
            None => body,
            Some(activity) => Body::new(Upload::new(body, activity.clone())),
        };
        let request = match self.head.for_http2(server, body) {
            Ok(request) => request,
            Err(error) => return Err(Failure::unsent(error, Some(turn))),
        };
        let limit = self.shared.config.response_timeout;
        let mut patience = Patience::new(limit, activity.clone()).until(deadline);
        let mut sending = pin!(connection.send(request));
        let sent = poll_fn(|cx| match sending.as_mut().poll(cx) {
            Poll::Ready(sent) => Poll::Ready(Ok(sent)),
            Poll::Pending => patience.poll(cx).map(Err),
        });
        let mut failure = match sent.await {
            Ok(Ok(response)) => {
                let (parts, body) = response.into_parts();
                return Ok(Answered {
                    head: http::Response::from_parts(parts, ()),
                    source: Source::Stream(body, activity),
                    turn,
                    work,
                    session_cookie: None,
                    credit: None,
                });
            }
            Ok(Err(failure)) => failure,
            Err(kind) => {
                let failed = Failed {
                    kind,
                    bytes_taken: true,
                    was_heard: false,
                    on_kept,
                };
                return Err(Failure {
                    error: failed.kind.into(),
                    failed,
                    turn: Some(turn),
                });
            }
        };
        // What was not begun is whole.
        if is_streamed && let Some(request) = failure.take_untaken() {
            *self.content = Content::Streamed(request.into_body());
        }
        let is_unprocessed = failure.is_unprocessed();
        let was_heard = matches!(failure.kind(), http2::Kind::Protocol | http2::Kind::Reset);
        let error = failure.into_error();
        let failed = Failed {
            kind: error.kind(),
            bytes_taken: !is_unprocessed,
            was_heard,
            on_kept,
        };
        Err(Failure {
            error,
            failed,
            turn: Some(turn),
        })
    }
}
