//! One choice among the servers of a table.

use std::{ops::Deref, sync::Mutex, time::Duration};

use tokio::time::Instant;

use super::{
    choices,
    layer::{Balance, HashKey},
    load::Load,
    rendezvous,
    turns::{self, Turns},
};

/// What a balancer knows of a server.
pub(in crate::gateway_proxy) trait Candidate {
    /// Its share of requests, against the weights of the others. 0: none.
    fn weight(&self) -> u32;
    /// Whether it is asked only when those that are none cannot be.
    fn is_backup(&self) -> bool;
    fn load(&self) -> &Load;
    /// [`server_id`](super::server_id) of its address.
    fn id(&self) -> u64;
}

impl<P> Candidate for P
where
    P: Deref<Target: Candidate>,
{
    fn weight(&self) -> u32 {
        (**self).weight()
    }

    fn is_backup(&self) -> bool {
        (**self).is_backup()
    }

    fn load(&self) -> &Load {
        (**self).load()
    }

    fn id(&self) -> u64 {
        (**self).id()
    }
}

/// Chooses among the servers of one table, which it was made for: the members that
/// [`pick`](Balancer::pick) is given are the same in the same order.
#[derive(Debug)]
pub(in crate::gateway_proxy) struct Balancer {
    policy: Balance,
    slow_start: Duration,
    primaries: Group,
    backups: Group,
}

/// Servers that are asked in one round.
#[derive(Debug)]
struct Group {
    /// Where they are in the table.
    places: Box<[usize]>,
    /// The greatest weight among them, of the table as it was made.
    heaviest: u32,
    turns: Turns,
}

impl Balancer {
    /// `slow_start`: for how long a server starts slowly; zero if it does not.
    pub(in crate::gateway_proxy) fn new<C: Candidate>(
        policy: &Balance,
        slow_start: Duration,
        members: &[C],
    ) -> Self {
        Self {
            policy: policy.clone(),
            slow_start,
            primaries: Group::new(members, false),
            backups: Group::new(members, true),
        }
    }

    /// The place of the server that gets the request, or `None` if none can be asked.
    ///
    /// `usable` says whether the server at a place can be: healthy, not draining, not tried yet
    /// for this request, and below its limit of connections. It is asked more than once for some
    /// servers, sometimes under a lock, so it must be cheap and must not call this.
    ///
    /// `key`: of a [`Balance::Hash`] policy, by [`key_of`](super::key_of).
    ///
    /// Choosing does not count the request: [`InFlight`](super::InFlight) does.
    pub(in crate::gateway_proxy) fn pick<C: Candidate>(
        &self,
        members: &[C],
        usable: impl Fn(usize) -> bool,
        key: Option<u64>,
        now: Instant,
    ) -> Option<usize> {
        if let [only] = members {
            return (only.weight() > 0 && usable(0)).then_some(0);
        }
        [&self.primaries, &self.backups]
            .into_iter()
            .filter(|group| !group.places.is_empty())
            .find_map(|group| {
                let round = Round {
                    members,
                    usable: &usable,
                    places: &group.places,
                    heaviest: group.heaviest,
                    slow_start: self.slow_start,
                    now,
                };
                match (&self.policy, key) {
                    (Balance::RoundRobin, _) => turns::next(&round, &group.turns),
                    (Balance::LeastConnections, _) => turns::least_busy(&round, &group.turns),
                    (Balance::Random, _) => choices::any(&round, None).map(|one| one.place),
                    (Balance::Hash(HashKey { bound, .. }), Some(key)) => {
                        rendezvous::nearest(&round, key, *bound)
                    }
                    (Balance::PeakEwma | Balance::Hash(_), _) => choices::better_of_two(&round),
                }
            })
    }
}

impl Group {
    fn new<C: Candidate>(members: &[C], backup: bool) -> Self {
        // Who is drained for as long as the table is, is not in the way of the others.
        let is_in = |member: &C| member.is_backup() == backup && member.weight() > 0;
        let places: Box<[_]> = (0..members.len())
            .filter(|place| is_in(&members[*place]))
            .collect();
        let weights = places.iter().map(|place| members[*place].weight());
        Self {
            heaviest: weights.max().unwrap_or(0),
            turns: Mutex::new(vec![0; places.len()].into()),
            places,
        }
    }
}

/// One choice in one group, as the policies see it.
pub(super) struct Round<'a, C, U> {
    members: &'a [C],
    usable: &'a U,
    places: &'a [usize],
    heaviest: u32,
    slow_start: Duration,
    pub(super) now: Instant,
}

/// A server of the group that can be asked.
pub(super) struct One<'a> {
    /// Where it is in the group.
    pub(super) slot: usize,
    /// Where it is in the table.
    pub(super) place: usize,
    /// Its weight, times how far it has started: more than zero.
    pub(super) share: u64,
    pub(super) load: &'a Load,
    pub(super) id: u64,
}

impl<'a, C: Candidate, U: Fn(usize) -> bool> Round<'a, C, U> {
    /// How many servers the group has, whether they can be asked or not.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// A share that no share of the group is above.
    pub(super) fn greatest_share(&self) -> u64 {
        u64::from(self.heaviest) * super::load::WARM
    }

    /// The server at `slot` of the group, if it can be asked.
    pub(super) fn get(&self, slot: usize) -> Option<One<'a>> {
        let place = *self.places.get(slot)?;
        let member = self.members.get(place)?;
        if !(self.usable)(place) {
            return None;
        }
        let load = member.load();
        let share = u64::from(member.weight()) * load.warmth(self.slow_start, self.now);
        (share > 0).then(|| One {
            slot,
            place,
            share,
            load,
            id: member.id(),
        })
    }

    /// The servers that can be asked, in the order of the table.
    pub(super) fn each(&self) -> impl Iterator<Item = One<'a>> {
        (0..self.len()).filter_map(|slot| self.get(slot))
    }
}

/// For ratios, where the last of 53 bits does not matter.
pub(super) fn as_float(count: u64) -> f64 {
    count as f64
}
