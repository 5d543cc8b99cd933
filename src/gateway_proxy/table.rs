//! The servers that there are, which may change while requests are under way.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use arc_swap::ArcSwap;

use super::{
    layer::{Config, Upstream},
    pool::Limits,
    server::Server,
};

#[derive(Debug)]
pub(super) struct Table {
    limits: Limits,
    current: ArcSwap<Members>,
    /// Held while the table is changed: each change begins with what the last one has made.
    changing: Mutex<()>,
}

/// The table as it is between two changes.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) servers: Vec<Server>,
    turn: AtomicUsize,
}

impl Table {
    pub(super) fn new(upstreams: Vec<Upstream>, config: &Config) -> Self {
        let limits = config.limits.clone();
        let table = Self {
            current: ArcSwap::from_pointee(Members::new(Vec::new())),
            changing: Mutex::new(()),
            limits,
        };
        table.set(upstreams);
        table
    }

    pub(super) fn members(&self) -> arc_swap::Guard<Arc<Members>> {
        self.current.load()
    }

    pub(super) fn upstreams(&self) -> Vec<Upstream> {
        let members = self.members();
        members
            .servers
            .iter()
            .map(|server| server.upstream.clone())
            .collect()
    }

    /// The server at this address.
    pub(super) fn find(&self, upstream: &Upstream) -> Option<Server> {
        self.members().find(upstream).cloned()
    }

    /// These and no others. Those that stay keep their connections.
    pub(super) fn set(&self, upstreams: Vec<Upstream>) {
        self.change(|_| upstreams);
    }

    pub(super) fn change(&self, change: impl FnOnce(Vec<Upstream>) -> Vec<Upstream>) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.members();
        let mut servers: Vec<Server> = Vec::new();
        for upstream in change(self.upstreams()) {
            // The same twice would be one server that is asked twice as often.
            if servers
                .iter()
                .any(|other| *other.address() == upstream.address)
            {
                continue;
            }
            servers.push(match before.find(&upstream) {
                Some(known) => Server {
                    known: Arc::clone(&known.known),
                    upstream,
                },
                None => Server::new(upstream, &self.limits),
            });
        }
        self.current.store(Arc::new(Members::new(servers)));
    }
}

impl Members {
    fn new(servers: Vec<Server>) -> Self {
        Self {
            servers,
            turn: AtomicUsize::new(0),
        }
    }

    fn find(&self, upstream: &Upstream) -> Option<&Server> {
        self.servers
            .iter()
            .find(|server| *server.address() == upstream.address)
    }

    pub(super) fn pick(&self, usable: impl Fn(&Server) -> bool) -> Option<&Server> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.servers.len();
        (0..count)
            .map(|at| &self.servers[(turn + at) % count])
            .find(|server| usable(server))
    }
}
