//! What an operator sees: a span for each request, and, with the feature `metrics`, numbers of all
//! of them.

#[cfg(feature = "metrics")]
mod described;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(not(feature = "metrics"))]
#[path = "seen/no_metrics.rs"]
mod metrics;
mod outcome;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::time::Instant;
use tracing::{Span, field::Empty};

pub(super) use self::metrics::{Open, Requests, Tally};
use self::outcome::Outcome;
use super::{pool::Spent, server::Server, upgrade::Ended};
use crate::{
    Body, Error, ErrorKind,
    body::seen::{SeenBody, Sent, Witness, record_time},
};

/// What is known of one request. It is told when this is dropped, wherever that is: with the
/// request's future, with the body of its answer, with its tunnel.
///
/// It holds nothing if nobody wants to know, and then costs nothing: no clock is read.
#[derive(Debug)]
pub(super) struct Seen(Option<Facts>);

#[derive(Debug)]
struct Facts {
    span: Span,
    requests: Requests,
    began: Instant,
    /// Which was asked last.
    server: Option<Arc<Server>>,
    tries: u32,
    spent: Spent,
    /// From the beginning of the last try to the head of its answer.
    first_byte: Option<Duration>,
    status: Option<StatusCode>,
    sent: Sent,
    received: u64,
    error: Option<ErrorKind>,
    /// `None` while it goes on.
    outcome: Option<Outcome>,
    /// Whether somebody has asked for the body of the answer.
    is_read: bool,
    tunnel: Option<Open>,
}

impl Seen {
    /// A request is about to be passed on.
    pub(super) fn new(method: &Method, requests: &Requests) -> Self {
        let span = tracing::debug_span!(
            target: "tower_gateway::gateway_proxy",
            "gateway_proxy",
            %method,
            upstream = Empty,
            tries = Empty,
            wait_ms = Empty,
            connect_ms = Empty,
            first_byte_ms = Empty,
            status = Empty,
            outcome = Empty,
            error = Empty,
            request_bytes = Empty,
            response_bytes = Empty,
            total_ms = Empty,
        );
        let is_wanted = cfg!(feature = "metrics") || !span.is_disabled();
        Self(is_wanted.then(|| Facts {
            span,
            requests: requests.clone(),
            began: Instant::now(),
            server: None,
            tries: 0,
            spent: Spent::default(),
            first_byte: None,
            status: None,
            sent: Sent::Known(0),
            received: 0,
            error: None,
            outcome: None,
            is_read: false,
            tunnel: None,
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

    /// So many of its fields were dropped for their names.
    pub(super) fn dropped(&self, fields: usize) {
        if let (Some(facts), 1..) = (&self.0, fields) {
            facts.requests.dropped(fields as u64);
        }
    }

    /// It is tried with this server; `count` is which try that is.
    pub(super) fn tried(&mut self, server: &Arc<Server>, count: u32) {
        if let Some(facts) = &mut self.0 {
            if !facts.server.as_ref().is_some_and(|last| last.is(server)) {
                facts.server = Some(Arc::clone(server));
            }
            facts.tries = count;
            facts.spent = Spent::default();
        }
    }

    /// It has a connection, and waited so long for it.
    pub(super) fn connected(&mut self, spent: Spent) {
        if let Some(facts) = &mut self.0 {
            facts.spent = spent;
        }
    }

    /// It is answered, so long after the last try began.
    pub(super) fn answered(&mut self, after: Duration) {
        if let Some(facts) = &mut self.0 {
            facts.first_byte = Some(after);
            if let Some(server) = &facts.server {
                server.pool().tally().answered(after);
            }
        }
    }

    /// The head of its answer is known; the rest of it is to come.
    pub(super) fn heard(&mut self, status: StatusCode) {
        if let Some(facts) = &mut self.0 {
            facts.head(status);
        }
    }

    /// There was nobody to ask: it was for this gateway.
    pub(super) fn answered_here(&mut self, status: StatusCode) {
        if let Some(facts) = &mut self.0 {
            facts.outcome = Some(Outcome::Local);
            facts.head(status);
        }
    }

    /// It is answered with an error.
    pub(super) fn failed(&mut self, kind: ErrorKind, status: StatusCode) {
        if let Some(facts) = &mut self.0 {
            facts.requests.failed(kind);
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

    /// It goes on as a tunnel.
    pub(super) fn tunnel(&mut self, status: StatusCode) {
        if let Some(facts) = &mut self.0 {
            facts.head(status);
            facts.tunnel = Some(facts.requests.tunnel());
        }
    }

    /// The tunnel is over, and has carried so much.
    pub(super) fn tunneled(mut self, ended: &Ended, up: u64, down: u64) {
        if let Some(facts) = &mut self.0 {
            facts.sent = Sent::Known(facts.sent.bytes() + up);
            facts.received = down;
            facts.outcome = Some(Outcome::of_tunnel(ended));
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
        if let Some(server) = &self.server {
            span.record("upstream", tracing::field::display(server.address()));
            span.record("tries", self.tries);
        }
        record_time(span, "wait_ms", self.spent.waiting);
        record_time(span, "connect_ms", self.spent.connecting);
        record_time(span, "first_byte_ms", self.first_byte);
        span.record("status", status.as_u16());
    }

    fn tell(&mut self) {
        let outcome = self.outcome.unwrap_or_else(|| match self.status {
            _ if std::thread::panicking() => Outcome::Failed,
            Some(_) if !self.is_read && self.tunnel.is_none() => Outcome::Unread,
            _ => Outcome::ClientLeft,
        });
        let total = self.began.elapsed();
        let (sent, received) = (self.sent.bytes(), self.received);
        self.requests
            .over(outcome, self.status, total, sent, received);
        if self.span.is_disabled() {
            return;
        }
        if let (None, Some(server)) = (self.status, &self.server) {
            let upstream = tracing::field::display(server.address());
            self.span.record("upstream", upstream);
            self.span.record("tries", self.tries);
            record_time(&self.span, "wait_ms", self.spent.waiting);
            record_time(&self.span, "connect_ms", self.spent.connecting);
        }
        let span = &self.span;
        span.record("outcome", outcome.name());
        if let Some(error) = self.error {
            span.record("error", error.name());
        }
        span.record("request_bytes", sent);
        span.record("response_bytes", received);
        record_time(span, "total_ms", Some(total));
        tracing::debug!(target: "tower_gateway::gateway_proxy", parent: span, "a request is over");
    }
}

impl Witness for Facts {
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
