//! A connection that a request has, and its turn for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::Pool;
#[cfg(feature = "http2")]
use crate::gateway_proxy::upstream::http2::Http2;
use crate::{
    Error,
    gateway_proxy::{
        seen::Open,
        upstream::{Call, Connection},
    },
};

/// Which connection will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway_proxy) enum Need {
    Any,
    /// One that was never used: what is sent cannot be sent again, or is not HTTP afterwards.
    Fresh,
}

/// What a request goes out on, and the turn for it.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct Lease {
    pub(in crate::gateway_proxy) link: Link,
    pub(in crate::gateway_proxy) turn: Turn,
    pub(in crate::gateway_proxy) spent: Spent,
}

/// What a lease took of time.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::gateway_proxy) struct Spent {
    /// Until it was its turn; `None` if it was at once.
    pub(in crate::gateway_proxy) waiting: Option<Duration>,
    /// Until there was a connection; `None` if one was kept.
    pub(in crate::gateway_proxy) connecting: Option<Duration>,
}

/// One of the connections that may be in use. It is to be dropped after the connection, so that
/// whoever waits for it finds that closed or put back.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct Turn {
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
    _counted: Open,
}

/// What carries a request.
#[derive(Debug)]
pub(in crate::gateway_proxy) enum Link {
    /// A connection of its own.
    Own(Box<Connection>),
    /// A part of one.
    #[cfg(feature = "http2")]
    Shared(Http2),
}

impl Turn {
    pub(super) fn new(pool: &Arc<Pool>, permit: OwnedSemaphorePermit) -> Self {
        Self {
            _counted: pool.tally.in_use(),
            pool: Arc::clone(pool),
            _permit: permit,
        }
    }

    /// The answer is over: the connection goes back if it can carry another request, and is
    /// closed if not, as when the request is not written to its end (an early answer).
    pub(in crate::gateway_proxy) fn finish(self, call: Call) {
        if let Some(connection) = call.into_usable() {
            self.pool.put_back(connection);
        }
    }

    /// Another connection for the same turn.
    pub(in crate::gateway_proxy) async fn renew(
        self,
        deadline: Option<Instant>,
    ) -> Result<Lease, Error> {
        let (link, connecting) = Box::pin(self.pool.link(Need::Fresh, deadline)).await?;
        let spent = Spent {
            waiting: None,
            connecting,
        };
        Ok(Lease {
            link,
            turn: self,
            spent,
        })
    }
}

/// A place in the queue.
pub(super) struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    pub(super) fn take(waiting: &'a AtomicUsize, max: usize) -> Option<Self> {
        waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
                (waiting < max).then_some(waiting + 1)
            })
            .ok()
            .map(|_| Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
