//! What goes on between requests: servers are asked whether they are well, and names are looked
//! up anew.

use std::{
    collections::HashSet,
    future::pending,
    io,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::StatusCode;
use tokio::{
    net::lookup_host,
    runtime::Handle,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until, timeout},
};

use super::{
    health::{HealthCheck, watch},
    layer::{Config, Shared},
    probe::probe,
    server::{Known, Server},
};
use crate::BoxError;

/// How long a name may take to be looked up.
const LOOKUP: Duration = Duration::from_secs(10);

/// The task of a proxy that lives as long as it does.
#[derive(Debug, Default)]
pub(super) struct Background {
    is_running: AtomicBool,
    task: Mutex<Option<AbortHandle>>,
}

impl Shared {
    /// Begins with what goes on between requests, if there is such and it has not begun. Outside
    /// of a runtime it is left to the next who asks.
    pub(super) fn start(self: &Arc<Self>) {
        let background = &self.background;
        if !self.config.has_background() || background.is_running.load(Ordering::Relaxed) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let mut task = background
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // One that is about to end is left to the next who asks.
        if task.as_ref().is_none_or(AbortHandle::is_finished) {
            // Before it is spawned: a runtime that is going down drops it at once.
            background.is_running.store(true, Ordering::Relaxed);
            let ended = Ended(Arc::downgrade(self));
            *task = Some(runtime.spawn(look_after(ended)).abort_handle());
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = &*task {
            task.abort();
        }
    }
}

impl Config {
    fn has_background(&self) -> bool {
        self.health_check.is_some() || self.resolve.is_some()
    }
}

/// Dropped with the task, also when that never began: the runtime is going down, or somebody has
/// ended it. Who asks next begins anew.
struct Ended(Weak<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.background.is_running.store(false, Ordering::Relaxed);
        }
    }
}

/// Looks after each server that is in the table, and those that come.
async fn look_after(ended: Ended) {
    let shared = &ended.0;
    // Dropped with this task, they end.
    let mut watches = JoinSet::new();
    let mut watched: Vec<Watched> = Vec::new();
    let mut names = Names::default();
    loop {
        let Some(strong) = shared.upgrade() else {
            return;
        };
        if let Some(check) = &strong.config.health_check {
            let members = strong.table.members();
            watched.retain(|watched| {
                let stays = members.servers.iter().any(|server| watched.is_of(server));
                if !stays {
                    watched.task.abort();
                }
                stays
            });
            for server in &members.servers {
                if !watched.iter().any(|watched| watched.is_of(server)) {
                    watched.push(Watched {
                        known: Arc::downgrade(&server.known),
                        task: watches.spawn(watch_over(check.clone(), server)),
                    });
                }
            }
        }
        while watches.try_join_next().is_some() {}
        let changed = Arc::clone(&strong.table.changed);
        // Nothing of the proxy is held while this waits: it is dropped by those who use it.
        drop(strong);
        let next = names.look_up(shared).await;
        tokio::select! {
            () = changed.notified() => {}
            () = until(next) => {}
        }
    }
}

async fn until(next: Option<Instant>) {
    match next {
        Some(next) => sleep_until(next).await,
        None => pending().await,
    }
}

/// A server that is probed.
struct Watched {
    /// Itself, not its address: one that is removed and added again is another.
    known: Weak<Known>,
    task: AbortHandle,
}

impl Watched {
    fn is_of(&self, server: &Server) -> bool {
        self.known.as_ptr() == Arc::as_ptr(&server.known)
    }
}

/// Probes a server for as long as there is one.
fn watch_over(check: HealthCheck, server: &Arc<Server>) -> impl Future<Output = ()> + use<> {
    let known = Arc::downgrade(&server.known);
    let upstream = server.upstream.clone();
    async move {
        let health = || known.upgrade().map(|known| Arc::clone(&known.health));
        let ask = || ask(&known, &upstream, &check);
        let changed = |change, why: Option<&_>| {
            if let Some(known) = known.upgrade() {
                let upstream = upstream.clone();
                Server { upstream, known }.changed(&change, why);
            }
        };
        watch(check.clone(), health, ask, changed).await;
    }
}

async fn ask(
    known: &Weak<Known>,
    upstream: &super::Upstream,
    check: &HealthCheck,
) -> Result<(StatusCode, Bytes), BoxError> {
    let known = known.upgrade().ok_or("it is gone")?;
    let server = Server {
        upstream: upstream.clone(),
        known,
    };
    probe(&server, check).await
}

/// When names were looked up last.
#[derive(Debug, Default)]
struct Names {
    next: Option<Instant>,
}

impl Names {
    /// Looks the names of the table up, if it is time. When that will be again.
    async fn look_up(&mut self, shared: &Weak<Shared>) -> Option<Instant> {
        let now = Instant::now();
        let (every, names) = {
            let shared = shared.upgrade()?;
            let every = shared.config.resolve?;
            if self.next.is_some_and(|next| next > now) {
                return self.next;
            }
            let upstreams = shared.table.upstreams();
            let names = upstreams
                .iter()
                .filter_map(|upstream| upstream.address.name());
            (every, names.collect::<HashSet<_>>())
        };
        for name in names {
            match timeout(LOOKUP, lookup_host(&name)).await {
                Ok(Ok(addresses)) => {
                    let addresses: Vec<_> = addresses.collect();
                    // No answer at all is an answer that nobody meant.
                    if !addresses.is_empty() {
                        shared.upgrade()?.table.resolved(&name, addresses);
                    }
                }
                Ok(Err(error)) => unresolved(&name, &error),
                Err(_elapsed) => unresolved(&name, &io::ErrorKind::TimedOut.into()),
            }
        }
        self.next = now.checked_add(every);
        self.next
    }
}

/// What is known of it stays.
fn unresolved(name: &str, error: &io::Error) {
    tracing::warn!(name, %error, "the name of an upstream cannot be looked up");
}

#[cfg(test)]
mod tests;
