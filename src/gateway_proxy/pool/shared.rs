//! The connections of a pool that carry many requests at once.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{runtime::Handle, time::Instant};

use super::{Limits, Need, Pool};
use crate::gateway_proxy::upstream::http2::Http2;

/// How often those that are over, or forgotten, are looked for.
const LOOK: Duration = Duration::from_secs(20);

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
        let will_do = |shared: &&Shared| {
            shared.has_room() && since.is_none_or(|since| shared.opened >= since)
        };
        let shared = connections.iter().find(will_do);
        let shared = shared.or_else(|| Self::the_one_to_wait_for(&connections, limits))?;
        Some(shared.connection.clone())
    }

    /// One more connection is no answer to a server that takes no request for now, or that has more
    /// of them than there may be requests.
    fn the_one_to_wait_for<'a>(connections: &'a [Shared], limits: &Limits) -> Option<&'a Shared> {
        // RFC 9113 §6.5.2: "Servers SHOULD only set a zero value for short durations".
        let takes_none = |shared: &Shared| shared.connection.max_streams() == 0;
        let is_plenty = connections.len() > limits.max_connections;
        (is_plenty || connections.iter().any(takes_none))
            .then(|| {
                connections
                    .iter()
                    .min_by_key(|one| one.connection.streams())
            })
            .flatten()
    }

    /// How many are there that nobody uses.
    pub(super) fn idle(&self) -> usize {
        let connections = self.lock();
        let is_idle =
            |shared: &&Shared| shared.connection.streams() == 0 && shared.connection.is_open();
        connections.iter().filter(is_idle).count()
    }

    /// Gives no more requests to any of them.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// Gives no more requests to those that are too old, or forgotten, though nobody asks. `None`
    /// when nothing is left; else when to look again.
    pub(super) fn close_expired(&self, limits: &Limits) -> Option<Instant> {
        let mut connections = self.lock();
        connections.retain(|shared| shared.is_fit(limits));
        let oldest = connections.iter().map(|shared| shared.opened).min()?;
        let soon = Instant::now() + LOOK;
        let too_old = oldest.checked_add(limits.max_age);
        Some(too_old.unwrap_or(soon).min(soon))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Shared>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Whether it may carry more requests.
    fn is_fit(&self, limits: &Limits) -> bool {
        self.connection.is_open()
            && !self.connection.was_forgotten()
            && self.opened.elapsed() < limits.max_age
    }

    fn has_room(&self) -> bool {
        self.connection.streams() < self.connection.max_streams()
    }
}
