//! The connections to one upstream: how many at once, who is next, and which are kept.

mod lease;
#[cfg(feature = "http2")]
mod shared;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::AbortHandle,
    time::{Instant, sleep_until, timeout, timeout_at},
};

use self::lease::Place;
pub(super) use self::lease::{Lease, Link, Need, Spent, Turn};
#[cfg(feature = "http2")]
use self::shared::SharedList;
use super::{
    seen::{Open, Tally},
    upstream::{Connection, Dialer},
};
use crate::{Error, ErrorKind};

/// A limit of time beyond this is none, and can still be added to a moment.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// What a pool is held to. The defaults and their reasons are with the setters of
/// [`GatewayProxy`](super::GatewayProxy).
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) max_connections: usize,
    pub(super) max_waiting: usize,
    pub(super) max_idle: usize,
    pub(super) wait: Duration,
    pub(super) connect: Duration,
    pub(super) idle: Duration,
    pub(super) max_age: Duration,
    pub(super) max_requests: u64,
    pub(super) max_head: usize,
}

#[derive(Debug)]
pub(super) struct Pool {
    dialer: Dialer,
    limits: Limits,
    tally: Tally,
    /// One for each connection in use. tokio hands them out in the order of asking.
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    connected: AtomicU64,
    idle: Mutex<IdleList>,
    /// Those that carry many requests at once.
    #[cfg(feature = "http2")]
    shared: SharedList,
}

/// Connections that nobody uses, the one used last at the end: it is the likeliest to be alive,
/// and the others get old enough to be closed.
#[derive(Debug, Default)]
struct IdleList {
    connections: VecDeque<Idle>,
    /// The task that closes what is too old, while there is something to close.
    reaper: Option<AbortHandle>,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    since: Instant,
    _counted: Open,
}

/// What a pool is doing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    pub(super) in_use: usize,
    pub(super) idle: usize,
    pub(super) waiting: usize,
    pub(super) connected: u64,
}

impl Pool {
    pub(super) fn new(dialer: Dialer, limits: Limits) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limits.max_connections)),
            waiting: AtomicUsize::new(0),
            connected: AtomicU64::new(0),
            idle: Mutex::default(),
            #[cfg(feature = "http2")]
            shared: SharedList::default(),
            tally: Tally::new(dialer.address()),
            dialer,
            limits,
        }
    }

    /// What is counted of it.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(super) fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    pub(super) fn counts(&self) -> Counts {
        let idle = self.idle().connections.len();
        #[cfg(feature = "http2")]
        let idle = idle + self.shared.idle();
        Counts {
            in_use: self.in_use(),
            idle,
            waiting: self.waiting.load(Ordering::Relaxed),
            connected: self.connected.load(Ordering::Relaxed),
        }
    }

    /// Whether a request would have to wait.
    pub(super) fn is_full(&self) -> bool {
        self.permits.available_permits() == 0
    }

    /// Whether a request that has to wait may.
    pub(super) fn has_place(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < self.limits.max_waiting
    }

    fn in_use(&self) -> usize {
        self.limits.max_connections - self.permits.available_permits()
    }

    /// A connection to use, in the order of asking; no later than the deadline.
    //
    // Usually there is one. What waits is in a box of its own, so that the future of each request is
    // not as large as that of a connection that is being made.
    pub(super) async fn lease(
        self: &Arc<Self>,
        need: Need,
        mut now: Instant,
        deadline: Option<Instant>,
    ) -> Result<Lease, Error> {
        let (permit, waiting) = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => (permit, None),
            Err(_) => {
                let (permit, waiting) = Box::pin(self.wait(deadline)).await?;
                now += waiting;
                (permit, Some(waiting))
            }
        };
        let turn = Turn::new(self, permit);
        let (link, connecting) = match self.kept(need, now) {
            Some(kept) => (Link::Own(kept), None),
            None => Box::pin(self.link(need, deadline)).await?,
        };
        let spent = Spent {
            waiting,
            connecting,
        };
        Ok(Lease { link, turn, spent })
    }

    /// An idle connection, if one is there and will do.
    fn kept(&self, need: Need, now: Instant) -> Option<Box<Connection>> {
        match need {
            Need::Any => self.take_idle(now),
            Need::Fresh => None,
        }
    }

    /// What carries a request when no idle connection does, and how long it took if it had to be
    /// made.
    async fn link(
        self: &Arc<Self>,
        need: Need,
        deadline: Option<Instant>,
    ) -> Result<(Link, Option<Duration>), Error> {
        #[cfg(feature = "http2")]
        if self.dialer.address().speaks_http2() {
            let (connection, took) = self.dial(self.share(need), deadline).await?;
            return Ok((Link::Shared(connection), took));
        }
        if need == Need::Fresh {
            self.make_room();
        }
        let (connection, took) = self.connect(deadline).await?;
        Ok((Link::Own(connection), Some(took)))
    }

    /// Waits for a permit: that, and how long it took.
    async fn wait(
        &self,
        deadline: Option<Instant>,
    ) -> Result<(OwnedSemaphorePermit, Duration), Error> {
        let busy = || Error::new(ErrorKind::UpstreamBusy);
        let _place = Place::take(&self.waiting, self.limits.max_waiting).ok_or_else(busy)?;
        let _counted = self.tally.waiting();
        let began = Instant::now();
        let permit = Arc::clone(&self.permits).acquire_owned();
        match within(self.limits.wait, deadline, permit).await {
            Some(permit) => {
                let permit = permit.map_err(|closed| busy().with_source(closed))?;
                let waited = began.elapsed();
                self.tally.waited(waited);
                Ok((permit, waited))
            }
            None => Err(busy()),
        }
    }

    async fn connect(
        &self,
        deadline: Option<Instant>,
    ) -> Result<(Box<Connection>, Duration), Error> {
        let began = Instant::now();
        let connection = self.dial(self.dialer.connect(), deadline).await?;
        Ok((connection, self.connected(began)))
    }

    /// A connection was made: how long that took.
    fn connected(&self, began: Instant) -> Duration {
        let took = began.elapsed();
        self.connected.fetch_add(1, Ordering::Relaxed);
        self.tally.connected(took);
        took
    }

    async fn dial<C>(
        &self,
        connecting: impl Future<Output = std::io::Result<C>>,
        deadline: Option<Instant>,
    ) -> Result<C, Error> {
        match within(self.limits.connect, deadline, connecting).await {
            Some(Ok(connection)) => Ok(connection),
            Some(Err(error)) => Err(Error::new(ErrorKind::UpstreamConnect).with_source(error)),
            None => Err(ErrorKind::UpstreamConnectTimeout.into()),
        }
    }

    /// Makes connections until this many are idle, so that the first requests need not wait for
    /// them. How many were made.
    pub(super) async fn warm_up(self: &Arc<Self>, connections: usize) -> Result<usize, Error> {
        #[cfg(feature = "http2")]
        if self.dialer.address().speaks_http2() {
            // One carries as many as come, and is there already or is made.
            let took = match connections {
                0 => None,
                _ => self.dial(self.share(Need::Any), None).await?.1,
            };
            return Ok(usize::from(took.is_some()));
        }
        let most = self.limits.max_idle.min(self.limits.max_connections);
        let wanted = connections.min(most);
        let mut made = 0;
        // No more often, even if they do not last.
        while made < wanted && self.idle().connections.len() + self.in_use() < wanted {
            // It counts while it is made, or another who does the same would make one as well.
            let Ok(_permit) = self.permits.try_acquire() else {
                break;
            };
            let (connection, _) = self.connect(None).await?;
            self.put_back(connection);
            made += 1;
        }
        Ok(made)
    }

    fn take_idle(&self, now: Instant) -> Option<Box<Connection>> {
        // One at a time, so that a closed connection is dropped outside of the lock.
        loop {
            let mut idle = self.idle().connections.pop_back()?;
            let is_young = now.duration_since(idle.since) < self.limits.idle
                && now.duration_since(idle.connection.opened()) < self.limits.max_age;
            if is_young && idle.connection.is_alive() {
                return Some(idle.connection);
            }
        }
    }

    /// A fresh connection while others are idle would be one too many: the oldest makes room.
    fn make_room(&self) {
        let in_use = self.in_use();
        let _oldest = {
            let mut idle = self.idle();
            let is_full = in_use + idle.connections.len() > self.limits.max_connections;
            is_full.then(|| idle.connections.pop_front()).flatten()
        };
    }

    fn put_back(self: &Arc<Self>, mut connection: Box<Connection>) {
        // Outside of a runtime nobody would close it when it is too old.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let now = Instant::now();
        let is_spent = self.limits.max_idle == 0
            || connection.requests() >= self.limits.max_requests
            || now.duration_since(connection.opened()) >= self.limits.max_age;
        if is_spent {
            return;
        }
        connection.rest();
        let _oldest = {
            let mut idle = self.idle();
            idle.connections.push_back(Idle {
                connection,
                since: now,
                _counted: self.tally.idle(),
            });
            self.start_reaper(&mut idle, &runtime);
            let is_full = idle.connections.len() > self.limits.max_idle;
            is_full.then(|| idle.connections.pop_front()).flatten()
        };
    }

    fn start_reaper(self: &Arc<Self>, idle: &mut IdleList, runtime: &Handle) {
        // One whose runtime has ended does nothing more.
        if idle.reaper.as_ref().is_none_or(AbortHandle::is_finished) {
            let reaper = runtime.spawn(reap(Arc::downgrade(self)));
            idle.reaper = Some(reaper.abort_handle());
        }
    }

    /// Closes every connection that nobody uses; one that carries many requests closes behind the
    /// last of them.
    pub(super) fn close_idle(&self) {
        #[cfg(feature = "http2")]
        self.shared.clear();
        let idle = std::mem::take(&mut self.idle().connections);
        drop(idle);
    }

    /// Closes what is too old. When the next is; `None` when nothing is left.
    fn close_expired(&self) -> Option<Instant> {
        let mut idle = self.idle();
        let old = idle
            .connections
            .partition_point(|idle| idle.since.elapsed() >= self.limits.idle);
        let expired: Vec<_> = idle.connections.drain(..old).collect();
        let next = idle.connections.front().map(|idle| idle.since);
        let next = next.map(|since| since + self.limits.idle.min(NEVER));
        #[cfg(feature = "http2")]
        let next = next.or_else(|| self.shared.close_expired(&self.limits));
        if next.is_none() {
            idle.reaper = None;
        }
        drop(idle);
        drop(expired);
        next
    }

    fn idle(&self) -> MutexGuard<'_, IdleList> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a future gives within a time, and before a moment; `None` beyond.
async fn within<F: Future>(
    limit: Duration,
    deadline: Option<Instant>,
    future: F,
) -> Option<F::Output> {
    let limited = timeout(limit, future);
    match deadline {
        None => limited.await.ok(),
        Some(deadline) => timeout_at(deadline, limited).await.ok()?.ok(),
    }
}

/// Closes idle connections when their time has come, for as long as there are some.
///
/// Nobody reads an idle connection, so one that the upstream closed is noticed here, or when it
/// is asked for.
async fn reap(pool: Weak<Pool>) {
    while let Some(at) = pool.upgrade().and_then(|pool| pool.close_expired()) {
        sleep_until(at).await;
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(reaper) = self.idle().reaper.take() {
            reaper.abort();
        }
    }
}
