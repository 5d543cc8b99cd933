//! The connections to one upstream: how many at once, who is next, and which are kept.

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

#[cfg(feature = "http2")]
use self::shared::SharedList;
use super::upstream::{Address, Call, Connection, Dialer};
#[cfg(feature = "http2")]
use super::upstream::{Speech, http2::Http2};
use crate::{Error, ErrorKind};

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
}

/// What a pool is doing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    pub(super) in_use: usize,
    pub(super) idle: usize,
    pub(super) waiting: usize,
    pub(super) connected: u64,
}

/// Which connection will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Any,
    /// One that was never used: what is sent cannot be sent again, or is not HTTP afterwards.
    Fresh,
}

/// What a request goes out on, and the turn for it.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) link: Link,
    pub(super) turn: Turn,
}

/// One of the connections that may be in use. It is to be dropped after the connection, so that
/// whoever waits for it finds that closed or put back.
#[derive(Debug)]
pub(super) struct Turn {
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

/// What carries a request.
#[derive(Debug)]
pub(super) enum Link {
    /// A connection of its own.
    Own(Box<Connection>),
    /// A part of one.
    #[cfg(feature = "http2")]
    Shared(Http2),
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
            dialer,
            limits,
        }
    }

    pub(super) fn address(&self) -> &Address {
        self.dialer.address()
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

    fn in_use(&self) -> usize {
        self.limits.max_connections - self.permits.available_permits()
    }

    /// A connection to use, in the order of asking; no later than the deadline.
    pub(super) async fn lease(
        self: &Arc<Self>,
        need: Need,
        deadline: Option<Instant>,
    ) -> Result<Lease, Error> {
        let permit = self.permit(deadline).await?;
        let link = self.link(need, deadline).await?;
        let turn = Turn {
            pool: Arc::clone(self),
            _permit: permit,
        };
        Ok(Lease { link, turn })
    }

    async fn link(self: &Arc<Self>, need: Need, deadline: Option<Instant>) -> Result<Link, Error> {
        #[cfg(feature = "http2")]
        if self.address().speech == Speech::Http2 {
            // None has to be fresh: an upstream that closes one says which requests it has not
            // worked on.
            let connection = self.dial(self.share(), deadline).await?;
            return Ok(Link::Shared(connection));
        }
        let kept = match need {
            Need::Any => self.take_idle(),
            Need::Fresh => {
                self.make_room();
                None
            }
        };
        let connection = match kept {
            Some(connection) => connection,
            None => self.connect(deadline).await?,
        };
        Ok(Link::Own(connection))
    }

    async fn permit(&self, deadline: Option<Instant>) -> Result<OwnedSemaphorePermit, Error> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let busy = || Error::new(ErrorKind::UpstreamBusy);
        let _place = Place::take(&self.waiting, self.limits.max_waiting).ok_or_else(busy)?;
        let permit = Arc::clone(&self.permits).acquire_owned();
        match within(self.limits.wait, deadline, permit).await {
            Some(permit) => permit.map_err(|closed| busy().with_source(closed)),
            None => Err(busy()),
        }
    }

    async fn connect(&self, deadline: Option<Instant>) -> Result<Box<Connection>, Error> {
        let connection = self.dial(self.dialer.connect(), deadline).await?;
        self.connected.fetch_add(1, Ordering::Relaxed);
        Ok(connection)
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
        if self.address().speech == Speech::Http2 {
            // One carries as many as come, and is there already or is made.
            let before = self.connected.load(Ordering::Relaxed);
            if connections > 0 {
                self.dial(self.share(), None).await?;
            }
            return Ok(usize::from(self.connected.load(Ordering::Relaxed) > before));
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
            let connection = self.connect(None).await?;
            self.put_back(connection);
            made += 1;
        }
        Ok(made)
    }

    fn take_idle(&self) -> Option<Box<Connection>> {
        // One at a time, so that a closed connection is dropped outside of the lock.
        loop {
            let mut idle = self.idle().connections.pop_back()?;
            let is_young = idle.since.elapsed() < self.limits.idle
                && idle.connection.opened().elapsed() < self.limits.max_age;
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
        let is_spent = connection.requests() >= self.limits.max_requests
            || connection.opened().elapsed() >= self.limits.max_age;
        if is_spent {
            return;
        }
        connection.rest();
        let _oldest = {
            let mut idle = self.idle();
            idle.connections.push_back(Idle {
                connection,
                since: Instant::now(),
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

    /// Closes every connection that nobody uses.
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
        let next = next.map(|since| since.checked_add(self.limits.idle));
        #[cfg(feature = "http2")]
        let next = next.or_else(|| self.shared.close_expired(&self.limits));
        if next.is_none() {
            idle.reaper = None;
        }
        drop(idle);
        drop(expired);
        next?
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
    let mut next = match pool.upgrade() {
        Some(pool) => Instant::now().checked_add(pool.limits.idle),
        None => None,
    };
    while let Some(at) = next {
        sleep_until(at).await;
        next = pool.upgrade().and_then(|pool| pool.close_expired());
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(reaper) = self.idle().reaper.take() {
            reaper.abort();
        }
    }
}

impl Turn {
    /// The answer is over: the connection goes back if it can carry another request, and is
    /// closed if not, as when the request is not written to its end (an early answer).
    pub(super) fn finish(self, call: Call) {
        if let Some(connection) = call.into_usable() {
            self.pool.put_back(connection);
        }
    }

    /// Another connection for the same turn.
    pub(super) async fn renew(self, deadline: Option<Instant>) -> Result<Lease, Error> {
        Ok(Lease {
            link: self.pool.link(Need::Fresh, deadline).await?,
            turn: self,
        })
    }
}

/// A place in the queue.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, max: usize) -> Option<Self> {
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
