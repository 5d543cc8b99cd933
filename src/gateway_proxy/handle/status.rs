//! What is known of the upstreams, for those who look.

use std::{fmt, time::Duration};

use tokio::time::Instant;

use crate::{
    ErrorKind,
    gateway_proxy::{
        Upstream,
        health::State,
        server::{KINDS, Server},
    },
};

/// What is known of an upstream at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UpstreamStatus {
    /// Where it is, and its part of the work.
    pub upstream: Upstream,
    /// Whether it gets no more requests, but those of sessions that
    /// [stick](crate::gateway_proxy::Sticky) to it.
    pub is_draining: bool,
    /// What is known of its health.
    pub health: UpstreamHealth,
    /// How long it takes to the head of its answers, at the worst of late.
    pub latency: Duration,
    /// Requests that it works on.
    pub in_flight: usize,
    /// Connections in use: one for each request that is not over.
    pub in_use: usize,
    /// Connections that are kept for the next requests.
    pub idle: usize,
    /// Requests that wait for a connection.
    pub waiting: usize,
    /// Connections that were made since it is known.
    pub connected: u64,
    /// Tries to have it answer a request, also those for which there was no connection. One that was
    /// made good on a fresh connection, since a kept one was closed, counts twice.
    pub requests: u64,
    /// Those that it did not answer, or with what [counts as a
    /// failure](crate::gateway_proxy::Ejection).
    pub failures: u64,
    /// Why requests were not answered, or not to the end.
    pub errors: UpstreamErrors,
    /// How often it was [ejected](crate::gateway_proxy::GatewayProxy::ejection).
    pub ejections: u64,
    /// How long ago it was last said to be ejected, down, or back; `None` if nothing was said yet.
    pub last_change: Option<Duration>,
}

/// What went wrong with an upstream since it is known, counted by the kind of the error.
///
/// A kept connection that turns out to be closed, and is replaced, is no error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamErrors([u64; KINDS.len()]);

/// Whether an upstream is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpstreamHealth {
    /// It is.
    Up,
    /// It has [failed too often](crate::gateway_proxy::GatewayProxy::ejection) and is left alone for so long.
    Ejected(Duration),
    /// It has yet to show that it is well.
    Unknown,
    /// [Health checks](crate::gateway_proxy::GatewayProxy::health_check) fail.
    Down,
}

impl UpstreamStatus {
    pub(super) fn of(server: &Server) -> Self {
        let counts = server.pool().counts();
        let now = Instant::now();
        let known = &server.known;
        Self {
            health: match known.health.state(now) {
                State::Up => UpstreamHealth::Up,
                State::Ejected { until } => UpstreamHealth::Ejected(until - now),
                State::Unknown => UpstreamHealth::Unknown,
                State::Down => UpstreamHealth::Down,
            },
            latency: known.load.latency(now),
            in_flight: known.load.in_flight(),
            upstream: server.upstream.clone(),
            is_draining: server.is_draining(),
            in_use: counts.in_use,
            idle: counts.idle,
            waiting: counts.waiting,
            connected: counts.connected,
            requests: server.requests(),
            failures: server.failures(),
            errors: UpstreamErrors(server.known.errors.counts()),
            ejections: server.known.errors.ejections(),
            last_change: server.known.errors.last_change(now),
        }
    }
}

impl UpstreamErrors {
    /// How many there were of this kind.
    #[must_use]
    pub fn of(&self, kind: ErrorKind) -> u64 {
        let mut kinds = self.iter();
        kinds
            .find(|(this, _)| *this == kind)
            .map_or(0, |(_, count)| count)
    }

    /// How many there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// All kinds that an upstream can be the reason of, and how many there were of each.
    pub fn iter(&self) -> impl Iterator<Item = (ErrorKind, u64)> {
        KINDS.into_iter().zip(self.0)
    }
}

impl fmt::Display for UpstreamErrors {
    /// Those that there were: `upstream_reset 3, upstream_timeout 1`; `none`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut are_any = false;
        for (kind, count) in self.iter().filter(|(_, count)| *count > 0) {
            let comma = if are_any { ", " } else { "" };
            write!(f, "{comma}{} {count}", kind.name())?;
            are_any = true;
        }
        if are_any { Ok(()) } else { f.write_str("none") }
    }
}

impl fmt::Display for UpstreamHealth {
    /// One or two words, for a column of a table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => f.pad("up"),
            Self::Ejected(time) => f.pad(&format!("ejected {:.1}s", time.as_secs_f64())),
            Self::Unknown => f.pad("unknown"),
            Self::Down => f.pad("down"),
        }
    }
}

impl fmt::Display for UpstreamStatus {
    /// All of it in one line, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            upstream,
            health,
            latency,
            in_flight,
            in_use,
            idle,
            waiting,
            connected,
            requests,
            failures,
            errors,
            ..
        } = self;
        let draining = if self.is_draining { ", draining" } else { "" };
        write!(
            f,
            "{upstream}: {health}{draining}; {in_flight} in flight, {waiting} waiting; \
             connections {in_use} in use, {idle} idle, {connected} made; \
             {requests} requests, {failures} failures; latency {latency:.1?}; errors: {errors}"
        )
    }
}
