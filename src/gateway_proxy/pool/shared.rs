//! The connections of a pool that carry many requests at once.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{runtime::Handle, time::Instant};

use super::{Limits, Need, Pool};
use crate::gateway_proxy::upstream::http2::Http2;

/// How soon a connection that is used is looked at again, if nothing else is to be done.
const LOOK: Duration = Duration::from_millis(100);

/// Connections that have room for more requests, or will have. One that is not in here any more
/// lives until its last request is over.
#[derive(Debug, Default)]
pub(super) struct SharedList {
    connections: Mutex<Vec<Shared>>,
    /// Held while one is made, so that those who come together do not make one each.
    making: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Shared {
    connection: Http2,
    opened: Instant,
    requests: u64,
}

impl Pool {
    /// A connection that has room for one more request, or a new one, and how long it took to be
    /// made.
    ///
    /// Dropped while it makes one, it leaves that to the next who waits.
    pub(super) async fn share(
        self: &Arc<Self>,
        need: Need,
    ) -> io::Result<(Http2, Option<Duration>)> {
        // Those whose connection broke ask together for a fresh one, which is fresh for all of them; that
        // the old one is over may not be known yet.
        let since = (need == Need::Fresh).then(Instant::now);
        if let Some(connection) = self.shared.find(&self.limits, since) {
            return Ok((connection, None));
        }
        let _alone = self.shared.making.lock().await;
        // Whoever was before may have made the one that is looked for.
        if let Some(connection) = self.shared.find(&self.limits, since) {
            return Ok((connection, None));
        }
        let began = Instant::now();
        let connection = self.dialer.connect_shared().await?;
        let took = self.connected(began);
        self.shared.lock().push(Shared {
            connection: connection.clone(),
            opened: Instant::now(),
            requests: 1,
        });
        self.start_reaper(&mut self.idle(), &Handle::current());
        Ok((connection, Some(took)))
    }
}

impl SharedList {
    /// One that has room, and was made no earlier than that.
    fn find(&self, limits: &Limits, since: Option<Instant>) -> Option<Http2> {
        let mut connections = self.lock();
        connections.retain(|shared| shared.is_fit(limits));
        let will_do = |shared: &&mut Shared| {
            let has_room = shared.connection.streams() < shared.connection.max_streams();
            has_room && since.is_none_or(|since| shared.opened >= since)
        };
        let shared = connections.iter_mut().find(will_do)?;
        shared.requests += 1;
        Some(shared.connection.clone())
    }

    /// How many are there that nobody uses.
    pub(super) fn idle(&self) -> usize {
        let connections = self.lock();
        let idle = connections.iter().filter(|shared| !shared.is_used());
        idle.count()
    }

    /// Gives no more requests to any of them.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// Closes what nobody uses for too long. `None` when nothing is left; else when to look again,
    /// if ever.
    pub(super) fn close_expired(&self, limits: &Limits) -> Option<Option<Instant>> {
        let mut connections = self.lock();
        connections.retain(|shared| shared.is_fit(limits));
        let left = |shared: &Shared| match shared.connection.idle() {
            Some(idle) => limits.idle.saturating_sub(idle),
            None => limits.idle.max(LOOK),
        };
        let soonest = connections.iter().map(left).min()?;
        Some(Instant::now().checked_add(soonest))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Shared>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn is_used(&self) -> bool {
        self.connection.streams() > 0
    }

    /// Whether it may carry one more request.
    fn is_fit(&self, limits: &Limits) -> bool {
        self.connection.is_open()
            && self.opened.elapsed() < limits.max_age
            && self.requests < limits.max_requests
            && self.connection.idle().is_none_or(|idle| idle < limits.idle)
    }
}
