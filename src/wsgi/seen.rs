//! What an operator sees of requests: a span for each, and, with the feature `metrics`, numbers of
//! all of them.

#[cfg(feature = "metrics")]
mod described;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(not(feature = "metrics"))]
#[path = "seen/no_metrics.rs"]
mod metrics;
mod outcome;

use std::{future::Future, pin::pin, time::Duration};

use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::time::Instant;
use tracing::{Span, field::Empty};

pub(super) use self::metrics::{Open, Tally};
use self::outcome::Outcome;
use super::worker::Worker;
use crate::{
    Body, Error, ErrorKind,
    body::{
        file::FileBody,
        seen::{SeenBody, Sent, Witness, record_time},
    },
};

/// What is known of one request. It is told when this is dropped, wherever that is: with the
/// request's future, or with the body of its answer.
///
/// It holds nothing if nobody wants to know, and then costs nothing: no clock is read.
#[derive(Debug)]
pub(super) struct Seen(Option<Box<Facts>>);

#[derive(Debug)]
struct Facts {
    span: Span,
    tally: Tally,
    began: Instant,
    /// Who was asked last.
    worker: Option<(u32, u32)>,
    tries: u32,
    /// How long all slots were busy.
    waited: Option<Duration>,
    /// When the last one was asked.
    asked: Option<Instant>,
    /// From then to the beginning of the answer.
    first_byte: Option<Duration>,
    status: Option<StatusCode>,
    sent: Sent,
    received: u64,
    error: Option<ErrorKind>,
    /// `None` while it goes on.
    outcome: Option<Outcome>,
    /// Whether somebody has asked for the body of the answer.
    is_read: bool,
}

impl Seen {
    /// A request has come.
    pub(super) fn new(method: &Method, tally: &Tally) -> Self {
        let span = tracing::debug_span!(
            target: "tower_gateway::wsgi",
            "wsgi",
            %method,
            worker = Empty,
            pid = Empty,
            tries = Empty,
            wait_ms = Empty,
            first_byte_ms = Empty,
            status = Empty,
            outcome = Empty,
            error = Empty,
            request_bytes = Empty,
            response_bytes = Empty,
            total_ms = Empty,
        );
        let is_wanted = cfg!(feature = "metrics") || !span.is_disabled();
        Self(is_wanted.then(|| {
            Box::new(Facts {
                span,
                tally: tally.clone(),
                began: Instant::now(),
                worker: None,
                tries: 0,
                waited: None,
                asked: None,
                first_byte: None,
                status: None,
                sent: Sent::Known(0),
                received: 0,
                error: None,
                outcome: None,
                is_read: false,
            })
        }))
    }

    /// What the request's future runs in.
    pub(super) fn span(&self) -> Span {
        self.0
            .as_ref()
            .map_or_else(Span::none, |facts| facts.span.clone())
    }

    /// Hands what is known on to what comes after.
    pub(super) fn take(&mut self) -> Self {
        Self(self.0.take())
    }

    /// So long is the body of the request.
    pub(super) fn collected(&mut self, length: u64) {
        if let Some(facts) = &mut self.0 {
            facts.sent = Sent::Known(length);
        }
    }

    /// The body of the request is read while it is sent.
    pub(super) fn streamed<B>(&mut self, body: B) -> Body
    where
        B: http_body::Body<Data = Bytes, Error = Error> + Send + 'static,
    {
        match &mut self.0 {
            None => Body::new(body),
            Some(facts) => facts.sent.count(body),
        }
    }

    /// Waits for a slot, and sees how long.
    pub(super) async fn wait<T>(&mut self, slot: impl Future<Output = T>) -> T {
        let mut slot = pin!(slot);
        let Some(facts) = &mut self.0 else {
            return slot.await;
        };
        let mut since: Option<(Instant, Open)> = None;
        let taken = std::future::poll_fn(|cx| {
            let taken = slot.as_mut().poll(cx);
            if taken.is_pending() && since.is_none() {
                since = Some((Instant::now(), facts.tally.waiting()));
            }
            taken
        })
        .await;
        if let Some((since, _waiting)) = since {
            let time = since.elapsed();
            facts.tally.waited(time);
            facts.waited = Some(facts.waited.unwrap_or_default() + time);
        }
        taken
    }

    /// This worker is asked. It is busy for as long as what is returned is there.
    pub(super) fn sent_to(&mut self, worker: &Worker) -> Option<Open> {
        let facts = self.0.as_mut()?;
        facts.worker = Some((worker.id, worker.pid));
        facts.tries += 1;
        facts.asked = Some(Instant::now());
        Some(facts.tally.busy())
    }

    /// It has begun to answer.
    pub(super) fn answered(&mut self) {
        if let Some(facts) = &mut self.0 {
            facts.first_byte = facts.asked.map(|asked| asked.elapsed());
        }
    }

    /// The head of its answer is known; the rest of it is to come.
    pub(super) fn heard(&mut self, status: StatusCode) {
        if let Some(facts) = &mut self.0 {
            facts.head(status);
        }
    }

    /// It is answered with an error.
    pub(super) fn failed(&mut self, kind: ErrorKind, status: StatusCode) {
        if let Some(facts) = &mut self.0 {
            facts.tally.failed(kind);
            facts.error = Some(kind);
            facts.outcome = Some(Outcome::of_request(kind));
            facts.head(status);
        }
    }

    /// The answer is here as a whole.
    pub(super) fn complete(mut self, bytes: u64) {
        if let Some(facts) = &mut self.0 {
            facts.received = bytes;
            facts.outcome = Some(Outcome::Complete);
        }
    }

    /// The rest of the answer is to come from here.
    pub(super) fn body<B>(self, inner: B) -> Body
    where
        B: http_body::Body<Data = Bytes, Error = Error> + Send + Unpin + 'static,
    {
        match self.0 {
            None => Body::new(inner),
            Some(facts) => Body::new(SeenBody::new(inner, facts)),
        }
    }

    /// The answer is in a file.
    pub(super) fn file(self, file: FileBody) -> Body {
        match self.0 {
            None => Body::file(file),
            Some(facts) => Body::new(SeenBody::new(file, facts)),
        }
    }
}

impl Facts {
    /// Tells what is known with the head of the answer, so that what happens later is seen with it.
    fn head(&mut self, status: StatusCode) {
        self.status = Some(status);
        let span = &self.span;
        if span.is_disabled() {
            return;
        }
        self.asked();
        record_time(span, "first_byte_ms", self.first_byte);
        span.record("status", status.as_u16());
    }

    /// Tells who was asked.
    fn asked(&self) {
        let span = &self.span;
        if let Some((worker, pid)) = self.worker {
            span.record("worker", worker);
            span.record("pid", pid);
            span.record("tries", self.tries);
        }
        record_time(span, "wait_ms", self.waited);
    }

    fn tell(&mut self) {
        let outcome = self.outcome.unwrap_or_else(|| match self.status {
            _ if std::thread::panicking() => Outcome::Failed,
            Some(_) if !self.is_read => Outcome::Unread,
            _ => Outcome::ClientLeft,
        });
        let total = self.began.elapsed();
        let (sent, received) = (self.sent.bytes(), self.received);
        self.tally.over(outcome, self.status, total, sent, received);
        let span = &self.span;
        if span.is_disabled() {
            return;
        }
        if self.status.is_none() {
            self.asked();
        }
        span.record("outcome", outcome.name());
        if let Some(error) = self.error {
            span.record("error", error.name());
        }
        span.record("request_bytes", sent);
        span.record("response_bytes", received);
        record_time(span, "total_ms", Some(total));
        tracing::debug!(target: "tower_gateway::wsgi", parent: span, "a request is over");
    }
}

impl Witness for Box<Facts> {
    fn span(&self) -> &Span {
        &self.span
    }

    fn asked(&mut self) {
        self.is_read = true;
    }

    fn received(&mut self, bytes: u64) {
        self.received += bytes;
    }

    fn complete(&mut self) {
        self.outcome = Some(Outcome::Complete);
    }

    fn broke_off(&mut self, kind: ErrorKind) {
        self.error = Some(kind);
        self.outcome = Some(Outcome::of_body(kind));
    }
}

impl Drop for Facts {
    fn drop(&mut self) {
        self.tell();
    }
}
