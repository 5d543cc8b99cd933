//! The servers that there are, which may change while requests are under way.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use http::HeaderMap;

use tokio::time::Instant;

use super::{
    balance::{Balancer, Sticky},
    health::{Ejections, State},
    layer::{Config, Upstream},
    server::Server,
};

#[derive(Debug)]
pub(super) struct Table {
    config: Arc<Config>,
    pub(super) ejections: Ejections,
    current: ArcSwap<Members>,
    /// Held while the table is changed: each change begins with what the last one has made.
    changing: Mutex<()>,
}

/// The table as it is between two changes.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) servers: Vec<Arc<Server>>,
    balancer: Balancer,
}

/// What a request is to its choice of a server.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) sticky: Option<&'a Sticky>,
    /// What a hash is made of.
    pub(super) key: Option<u64>,
    /// The servers that were tried.
    pub(super) tried: &'a [Arc<Server>],
}

impl Table {
    pub(super) fn new(upstreams: Vec<Upstream>, config: Arc<Config>) -> Self {
        let table = Self {
            current: ArcSwap::from_pointee(Members::new(Vec::new(), &config)),
            changing: Mutex::new(()),
            config,
            ejections: Ejections::default(),
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
    pub(super) fn find(&self, upstream: &Upstream) -> Option<Arc<Server>> {
        self.members().find(upstream).cloned()
    }

    /// These and no others. Those that stay keep their connections.
    pub(super) fn set(&self, upstreams: Vec<Upstream>) {
        self.change(|_| upstreams);
    }

    pub(super) fn change(&self, change: impl FnOnce(Vec<Upstream>) -> Vec<Upstream>) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.members();
        let mut servers: Vec<Arc<Server>> = Vec::new();
        for upstream in change(self.upstreams()) {
            // The same twice would be one server that is asked twice as often.
            if servers
                .iter()
                .any(|other| *other.address() == upstream.address)
            {
                continue;
            }
            servers.push(match before.find(&upstream) {
                Some(same) if same.upstream == upstream => Arc::clone(same),
                Some(known) => Arc::new(Server {
                    known: Arc::clone(&known.known),
                    upstream,
                }),
                None => Arc::new(Server::new(upstream, &self.config)),
            });
        }
        self.current
            .store(Arc::new(Members::new(servers, &self.config)));
    }
}

impl Members {
    fn new(servers: Vec<Arc<Server>>, config: &Config) -> Self {
        Self {
            balancer: Balancer::new(&config.balance, config.slow_start, &servers),
            servers,
        }
    }

    fn find(&self, upstream: &Upstream) -> Option<&Arc<Server>> {
        self.servers
            .iter()
            .find(|server| *server.address() == upstream.address)
    }

    /// The server for a request; `None` if there is none that was not tried.
    ///
    /// One whose health is in doubt is better than none: what says so may be wrong, and the
    /// request fails anyway.
    pub(super) fn pick(&self, wish: &Wish<'_>, now: Instant) -> Option<&Arc<Server>> {
        let servers = self.servers.as_slice();
        let is_new = |at: usize| !wish.tried.iter().any(|tried| servers[at].is(tried));
        if let [_] = servers {
            // Nothing to choose from.
            let only = self.balancer.pick(servers, is_new, None, now);
            return only.map(|at| &servers[at]);
        }
        let rank = |at: usize| servers[at].known.health.state(now).rank();
        if let Some(sticky) = wish.sticky {
            let usable = |at| is_new(at) && rank(at) == State::Up.rank();
            if let Some(at) = sticky.server(wish.headers, servers, usable) {
                return Some(&servers[at]);
            }
        }
        let free = |at| rank(at) == State::Up.rank() && !servers[at].pool().is_full();
        let pick = |usable: &dyn Fn(usize) -> bool| {
            let usable = |at| is_new(at) && usable(at);
            self.balancer.pick(servers, usable, wish.key, now)
        };
        pick(&free)
            .or_else(|| {
                let mut worst = State::RANKS;
                worst.find_map(|worst| pick(&|at| rank(at) <= worst))
            })
            .map(|at| &servers[at])
    }

    /// Whether there is a server for another try, after one at `this`.
    pub(super) fn has_others(&self, tried: &[Arc<Server>], this: &Server, now: Instant) -> bool {
        self.servers.iter().any(|server| {
            !server.is_draining()
                && !server.is(this)
                && !tried.iter().any(|tried| server.is(tried))
                && server.known.health.is_usable(now)
        })
    }
}
