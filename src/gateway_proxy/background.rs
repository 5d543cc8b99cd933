//! What goes on between requests: servers are asked whether they are well, and names are looked
//! up anew.

use std::{
    collections::HashSet,
    future::pending,
    io,
    net::SocketAddr,
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
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until, timeout},
};

use super::{
    health::{self, HealthCheck},
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

/// Two things, of which neither waits for the other.
async fn look_after(ended: Ended) {
    let shared = &ended.0;
    tokio::join!(probe_all(shared), look_up_all(shared, addresses_of));
}

/// Probes each server that is in the table, and those that come.
async fn probe_all(shared: &Weak<Shared>) {
    let Some(mut changed) = changes(shared) else {
        return;
    };
    // Dropped with this task, they end.
    let mut watches = JoinSet::new();
    let mut watched: Vec<Watched> = Vec::new();
    loop {
        let Some(strong) = shared.upgrade() else {
            return;
        };
        let Some(check) = &strong.config.health_check else {
            return;
        };
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
        while watches.try_join_next().is_some() {}
        drop(members);
        // Nothing of the proxy is held while this waits: it is dropped by those who use it.
        drop(strong);
        if changed.changed().await.is_err() {
            return;
        }
    }
}

/// Tells when the table has changed, from now on.
fn changes(shared: &Weak<Shared>) -> Option<watch::Receiver<()>> {
    Some(shared.upgrade()?.table.changed.subscribe())
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
        health::watch(check.clone(), health, ask, changed).await;
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

/// Looks the names in the table up: each as soon as it is there, and all of them every so often.
async fn look_up_all<L, F>(shared: &Weak<Shared>, look_up: L)
where
    L: Fn(String) -> F,
    F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
{
    let Some(mut changed) = changes(shared) else {
        return;
    };
    // Dropped with this task, they end.
    let mut lookups = JoinSet::new();
    // Those that are looked up now, and those that could not be: they have to wait for the next
    // round.
    let mut asked = HashSet::new();
    let mut next = Some(Instant::now());
    loop {
        let Some(strong) = shared.upgrade() else {
            return;
        };
        let Some(every) = strong.config.resolve else {
            return;
        };
        let names = strong.table.names();
        asked.retain(|name| names.contains_key(name));
        let now = Instant::now();
        let is_due = lookups.is_empty() && next.is_some_and(|next| next <= now);
        if is_due {
            asked.clear();
            next = now.checked_add(every);
        }
        for (name, is_known) in names {
            if (is_due || !is_known) && asked.insert(name.clone()) {
                let addresses = look_up(name.clone());
                lookups.spawn(async move { (name, timeout(LOOKUP, addresses).await) });
            }
        }
        // Nothing of the proxy is held while this waits: it is dropped by those who use it.
        drop(strong);
        tokio::select! {
            is_there = changed.changed() => if is_there.is_err() {
                return;
            },
            Some(Ok((name, addresses))) = lookups.join_next() => {
                let Some(strong) = shared.upgrade() else {
                    return;
                };
                match addresses.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into())) {
                    // No answer at all is an answer that nobody meant.
                    Ok(addresses) if addresses.is_empty() => {}
                    Ok(addresses) => {
                        strong.table.resolved(&name, addresses);
                        asked.remove(&name);
                    }
                    Err(error) => unresolved(&name, &error),
                }
            }
            () = until(next), if lookups.is_empty() => {}
        }
    }
}

async fn addresses_of(name: String) -> io::Result<Vec<SocketAddr>> {
    Ok(lookup_host(name).await?.collect())
}

async fn until(next: Option<Instant>) {
    match next {
        Some(next) => sleep_until(next).await,
        None => pending().await,
    }
}

/// What is known of it stays.
fn unresolved(name: &str, error: &io::Error) {
    tracing::warn!(name, %error, "the name of an upstream cannot be looked up");
}

#[cfg(test)]
mod tests;
