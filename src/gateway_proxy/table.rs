//! The servers that there are, which may change while requests are under way.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use http::HeaderMap;

use tokio::{sync::watch, time::Instant};

use super::{
    balance::{Balancer, Sticky},
    health::{Ejections, State},
    layer::{Config, Upstream},
    server::Server,
    upstream::Address,
};

#[derive(Debug)]
pub(super) struct Table {
    config: Arc<Config>,
    pub(super) ejections: Ejections,
    current: ArcSwap<Members>,
    /// Held while the table is changed: each change begins with what the last one has made.
    said: Mutex<Said>,
    /// Somebody is to look after those that are new.
    pub(super) changed: watch::Sender<()>,
}

/// What the table is made of.
#[derive(Debug, Default)]
struct Said {
    /// As they were given, names for names.
    upstreams: Vec<Upstream>,
    /// What the names stand for, by host and port, as far as they were looked up.
    addresses: HashMap<String, Vec<SocketAddr>>,
    /// Those of the upstreams that get no more requests but those of sticky sessions, and none of
    /// the addresses that their names come to stand for.
    draining: Vec<Address>,
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
            said: Mutex::default(),
            changed: watch::Sender::default(),
            config,
            ejections: Ejections::default(),
        };
        table.set(upstreams);
        table
    }

    pub(super) fn members(&self) -> arc_swap::Guard<Arc<Members>> {
        self.current.load()
    }

    /// The upstreams as they were given.
    pub(super) fn upstreams(&self) -> Vec<Upstream> {
        self.said().upstreams.clone()
    }

    /// The names that upstreams were given by, and whether addresses are known of them.
    pub(super) fn names(&self) -> HashMap<String, bool> {
        let said = self.said();
        let names = said.upstreams.iter().filter_map(|it| it.address.name());
        names
            .map(|name| {
                let is_known = said.addresses.contains_key(&name);
                (name, is_known)
            })
            .collect()
    }

    /// Whether every server is spoken to in HTTP/2, where a request that takes its time occupies no
    /// connection.
    pub(super) fn speaks_http2(&self) -> bool {
        let members = self.members();
        let mut servers = members.servers.iter();
        servers.all(|server| server.address().speaks_http2())
    }

    /// Gives an upstream no more new sessions, or gives it some again; `false` if there is none.
    pub(super) fn drain(&self, upstream: &Upstream, drain: bool) -> bool {
        let address = &upstream.address;
        let mut said = self.said();
        if !said.has(address) {
            return false;
        }
        said.draining.retain(|other| other != address);
        if drain {
            said.draining.push(address.clone());
        }
        // More than one, if it is a name that stands for several.
        for server in &self.members().servers {
            if server.address().is_said_as(address) {
                server.drain(drain);
            }
        }
        // A balancer leaves out who was draining when it was made.
        self.apply(&mut said);
        true
    }

    /// These and no others. Those that stay keep their connections.
    pub(super) fn set(&self, upstreams: Vec<Upstream>) {
        self.change(|said| *said = upstreams);
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Vec<Upstream>)) {
        let mut said = self.said();
        change(&mut said.upstreams);
        self.apply(&mut said);
    }

    /// A name was looked up.
    pub(super) fn resolved(&self, name: &str, mut addresses: Vec<SocketAddr>) {
        addresses.sort_unstable();
        addresses.dedup();
        let mut said = self.said();
        if said.addresses.get(name) != Some(&addresses) {
            tracing::info!(
                name,
                ?addresses,
                "the addresses of an upstream have changed"
            );
            said.addresses.insert(name.to_owned(), addresses);
            self.apply(&mut said);
        }
    }

    fn apply(&self, said: &mut Said) {
        said.forget();
        let before = self.members();
        let mut servers: Vec<Arc<Server>> = Vec::new();
        for upstream in said
            .upstreams
            .iter()
            .flat_map(|upstream| said.expand(upstream))
        {
            // The same twice would be one server that is asked twice as often.
            let is_there = |other: &Arc<Server>| *other.address() == upstream.address;
            if servers.iter().any(is_there) {
                continue;
            }
            let known = before.servers.iter().find(|server| is_there(server));
            servers.push(match known {
                Some(same) if same.upstream == upstream => Arc::clone(same),
                Some(known) => Arc::new(Server {
                    known: Arc::clone(&known.known),
                    upstream,
                }),
                None => {
                    let is_said = |said: &Address| upstream.address.is_said_as(said);
                    let is_draining = said.draining.iter().any(is_said);
                    let server = Server::new(upstream, &self.config);
                    server.drain(is_draining);
                    Arc::new(server)
                }
            });
        }
        let members = Members::new(servers, &self.config);
        self.current.store(Arc::new(members));
        self.changed.send_replace(());
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Said {
    fn has(&self, address: &Address) -> bool {
        let mut upstreams = self.upstreams.iter();
        upstreams.any(|upstream| upstream.address == *address)
    }

    /// What is known of upstreams that are gone is not kept: who knows how many will come.
    fn forget(&mut self) {
        let mut draining = std::mem::take(&mut self.draining);
        draining.retain(|address| self.has(address));
        self.draining = draining;
        let names = self.upstreams.iter().filter_map(|it| it.address.name());
        let names: HashSet<String> = names.collect();
        self.addresses.retain(|name, _| names.contains(name));
    }

    /// An upstream, or one for each address of its name.
    fn expand(&self, upstream: &Upstream) -> Vec<Upstream> {
        let name = upstream.address.name();
        let Some(addresses) = name.and_then(|name| self.addresses.get(&name)) else {
            return vec![upstream.clone()];
        };
        let at = |address: &SocketAddr| Upstream {
            address: upstream.address.at(*address),
            ..upstream.clone()
        };
        addresses.iter().map(at).collect()
    }
}

impl Members {
    fn new(servers: Vec<Arc<Server>>, config: &Config) -> Self {
        Self {
            balancer: Balancer::new(&config.balance, config.slow_start, &servers),
            servers,
        }
    }

    /// The server for a request; `None` if there is none that was not tried.
    ///
    /// One whose health is in doubt is better than none: what says so may be wrong, and the
    /// request fails anyway.
    pub(super) fn pick(&self, wish: &Wish<'_>, now: Instant) -> Option<&Arc<Server>> {
        let servers = self.servers.as_slice();
        let is_new = |at: usize| !wish.tried.iter().any(|tried| servers[at].is(tried));
        if let ([_], None) = (servers, wish.sticky) {
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
        // Where there is a place to wait.
        let has_place = |at| rank(at) == State::Up.rank() && servers[at].pool().has_place();
        let pick = |usable: &dyn Fn(usize) -> bool| {
            let usable = |at| is_new(at) && usable(at);
            self.balancer.pick(servers, usable, wish.key, now)
        };
        pick(&free)
            .or_else(|| pick(&has_place))
            .or_else(|| {
                let mut worst = State::RANKS;
                worst.find_map(|worst| pick(&|at| rank(at) <= worst))
            })
            .map(|at| &servers[at])
    }

    /// Whether there is a server for another try, after one at `this`. However it is: to fail there
    /// is no worse than to fail here.
    pub(super) fn has_others(&self, tried: &[Arc<Server>], this: &Server) -> bool {
        self.servers.iter().any(|server| {
            !server.is_draining() && !server.is(this) && !tried.iter().any(|tried| server.is(tried))
        })
    }
}
