//! Who waits in front of a limit, and who is next. Pure: it knows no lock and no clock.

mod full;
mod room;
mod rules;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, VecDeque, hash_map::Entry},
    hash::Hash,
    task::Waker,
    time::Duration,
};

use tokio::time::Instant;

pub(super) use self::rules::{Number, Overload, PerKey, Refusal, Rules, Share, Ticket};

#[derive(Debug)]
pub(super) struct Line<K> {
    rules: Rules,
    next: Number,
    waiters: BTreeMap<Number, Waiter<K>>,
    /// How many of them wait; the others have been told, and have not looked yet.
    waiting: usize,
    classes: Vec<Class<K>>,
    /// The classes, the most urgent first; those that are as urgent as each other take turns.
    ranks: Vec<VecDeque<usize>>,
    /// What is kept for all classes together.
    reserve: usize,
    /// How much each key uses. Those that use nothing are not in here.
    keys: HashMap<K, usize>,
    /// Since when there has been no moment in which nobody waited for room.
    busy_since: Option<Instant>,
}

#[derive(Debug)]
struct Class<K> {
    rank: usize,
    reserve: usize,
    in_use: usize,
    /// Those who wait, by their key, in the order of coming.
    lanes: HashMap<Option<K>, VecDeque<Number>>,
    /// The keys of the lanes: each has its turn.
    turns: VecDeque<Option<K>>,
    /// Whether there was no room for the one whose turn it is. Of his class, nobody goes past him;
    /// of those that are no more urgent, who takes no more than what is kept for him anyway.
    waits_for_room: bool,
}

#[derive(Debug)]
struct Waiter<K> {
    ticket: Ticket<K>,
    since: Instant,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting(Option<Waker>),
    Granted,
    Displaced,
}

/// What became of one who waits.
#[derive(Debug)]
pub(super) enum Turn<K> {
    /// Who is woken no more is to be dropped where nobody holds a lock: there may be anything in it.
    NotYet(Option<Waker>),
    Come(Ticket<K>),
    Displaced,
}

/// What one was who leaves.
#[derive(Debug)]
pub(super) enum Left<K> {
    Displaced,
    /// What was taken for him is to be given back.
    Granted(Ticket<K>),
    /// And whether it was his key that had no room. Of the waker, see [`Turn::NotYet`].
    Waiting {
        by_key: bool,
        waker: Option<Waker>,
    },
}

/// What is kept of an empty table for the next to come.
const SPARE: usize = 64;

impl<K: Clone + Eq + Hash> Line<K> {
    pub(super) fn new(rules: Rules) -> Self {
        let shares = &rules.classes;
        let mut priorities: Vec<i32> = shares.iter().map(|share| share.priority).collect();
        priorities.sort_unstable_by_key(|priority| Reverse(*priority));
        priorities.dedup();
        let of_rank = |priority: &i32| {
            let classes = 0..shares.len();
            classes
                .filter(|class| shares[*class].priority == *priority)
                .collect()
        };
        let classes = shares.iter().map(|share| Class {
            // In a list that goes down, as many are before it as are more than it.
            rank: priorities.partition_point(|priority| *priority > share.priority),
            reserve: share.reserve,
            in_use: 0,
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            waits_for_room: false,
        });
        Self {
            classes: classes.collect(),
            ranks: priorities.iter().map(of_rank).collect(),
            reserve: shares.iter().map(|share| share.reserve).sum(),
            rules,
            next: 0,
            waiters: BTreeMap::new(),
            waiting: 0,
            keys: HashMap::new(),
            busy_since: None,
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// How long the one has waited who has waited longest.
    pub(super) fn oldest(&self, now: Instant) -> Option<Duration> {
        let mut waiters = self.waiters.values();
        let oldest = waiters.find(|waiter| matches!(waiter.state, State::Waiting(_)))?;
        Some(now.saturating_duration_since(oldest.since))
    }

    /// How many keys use something.
    pub(super) fn keys(&self) -> usize {
        self.keys.len()
    }

    /// How much the requests of a class use, and how many of them wait.
    pub(super) fn class(&self, class: usize) -> (usize, usize) {
        let class = &self.classes[class];
        (class.in_use, class.lanes.values().map(VecDeque::len).sum())
    }

    /// What one takes who comes now, if he may go in at once, as far as is decided here.
    pub(super) fn lets_in(&self, ticket: &Ticket<K>, limit: usize) -> Option<usize> {
        let class = &self.classes[ticket.class];
        let before = || self.classes.iter().filter(|one| one.rank <= class.rank);
        let may = !class.waits_for_room
            && !class.lanes.contains_key(&ticket.key)
            && self.key_has_room(ticket)
            && !self.is_claimed(ticket)
            && self.class_has_room(ticket, limit, before().any(|one| one.waits_for_room));
        may.then(|| self.price(ticket, limit))
    }

    /// One is in.
    pub(super) fn enter(&mut self, ticket: &Ticket<K>) {
        self.classes[ticket.class].in_use += ticket.cost;
        if let Some(key) = &ticket.key {
            *self.keys.entry(key.clone()).or_default() += ticket.cost;
        }
    }

    /// One is out again.
    pub(super) fn exit(&mut self, ticket: &Ticket<K>) {
        self.classes[ticket.class].in_use -= ticket.cost;
        if let Some(key) = &ticket.key
            && let Entry::Occupied(mut used) = self.keys.entry(key.clone())
        {
            *used.get_mut() -= ticket.cost;
            if *used.get() == 0 {
                used.remove();
            }
            if self.keys.is_empty() {
                self.keys.shrink_to(SPARE);
            }
        }
    }

    /// Whether somebody waits for what this one has given back: for room, or for his key. All others
    /// wait for keys of their own, and are as far from their turn as before.
    pub(super) fn waits_for(&self, ticket: &Ticket<K>) -> bool {
        let mut classes = self.classes.iter();
        classes.any(|class| class.waits_for_room || class.lanes.contains_key(&ticket.key))
    }

    /// Puts one at the end, or turns him away. Where another has to leave for that, he is to be woken.
    pub(super) fn join(
        &mut self,
        ticket: Ticket<K>,
        now: Instant,
    ) -> Result<(Number, Duration, Option<Waker>), Refusal> {
        let since = self.busy_since.unwrap_or(now);
        let out = self.in_the_way(&ticket, now)?;
        let displaced = out.and_then(|number| self.displace(number));
        // One in the place of another: there was no moment without either.
        self.busy_since = Some(since);
        let mut patience = self.rules.patience;
        if let Some(overload) = self.rules.overload
            && self.is_overloaded(now)
        {
            patience = patience.min(overload.patience);
        }
        let number = self.next;
        self.next += 1;
        let class = &mut self.classes[ticket.class];
        let lane = class.lanes.entry(ticket.key.clone()).or_insert_with(|| {
            class.turns.push_back(ticket.key.clone());
            VecDeque::new()
        });
        lane.push_back(number);
        self.waiting += 1;
        let waiter = Waiter {
            ticket,
            since: now,
            state: State::Waiting(None),
        };
        self.waiters.insert(number, waiter);
        Ok((number, patience, displaced))
    }

    /// Lets the next one in, if there is room: `take` takes so much of the limit, or says that it
    /// cannot. Whoever was let in is to be woken.
    pub(super) fn admit(
        &mut self,
        limit: usize,
        now: Instant,
        counts: bool,
        mut take: impl FnMut(usize) -> bool,
    ) -> Option<Option<Waker>> {
        for class in &mut self.classes {
            class.waits_for_room = false;
        }
        let mut only_kept = false;
        for rank in 0..self.ranks.len() {
            for turn in 0..self.ranks[rank].len() {
                let class = self.ranks[rank][turn];
                let Some(number) = self.first(class, now) else {
                    continue;
                };
                let ticket = &self.waiters.get(&number)?.ticket;
                let price = self.price(ticket, limit);
                if !self.class_has_room(ticket, limit, only_kept) || !take(price) {
                    self.classes[class].waits_for_room = true;
                    only_kept = true;
                    continue;
                }
                let ranks = &mut self.ranks[rank];
                ranks.remove(turn);
                ranks.push_back(class);
                return Some(self.grant(number, price, counts));
            }
        }
        // Who waits for others of his key alone is no sign of an overload.
        let for_room = self.classes.iter().any(|class| class.waits_for_room);
        self.busy_since = for_room.then(|| self.busy_since.unwrap_or(now));
        None
    }

    /// Who is next in a class: each key has its turn, and those that may have no more are passed over.
    fn first(&mut self, class: usize, now: Instant) -> Option<Number> {
        let is_newest = self.is_overloaded(now);
        for _ in 0..self.classes[class].turns.len() {
            let line = &self.classes[class];
            let lane = line.lanes.get(line.turns.front()?)?;
            let number = *if is_newest { lane.back() } else { lane.front() }?;
            let ticket = &self.waiters.get(&number)?.ticket;
            if self.key_has_room(ticket) && !self.is_claimed(ticket) {
                return Some(number);
            }
            self.classes[class].turns.rotate_left(1);
        }
        None
    }

    /// Whether somebody of this key waits for others of it to end, in another class that is no less
    /// urgent: those of his key do not overtake him there either.
    fn is_claimed(&self, ticket: &Ticket<K>) -> bool {
        let rank = self.classes[ticket.class].rank;
        let others = self.classes.iter().enumerate();
        let mut others = others.filter(|(class, one)| *class != ticket.class && one.rank <= rank);
        others.any(|(_, one)| {
            let first = one.lanes.get(&ticket.key).and_then(VecDeque::front);
            let first = first.and_then(|first| self.waiters.get(first));
            first.is_some_and(|first| !self.key_has_room(&first.ticket))
        })
    }

    fn grant(&mut self, number: Number, price: usize, counts: bool) -> Option<Waker> {
        let waiter = self.waiters.get_mut(&number)?;
        waiter.ticket.cost = price;
        let waker = waiter.tell(State::Granted);
        let ticket = waiter.ticket.clone();
        self.unlist(number, &ticket);
        let class = &mut self.classes[ticket.class];
        if class.lanes.contains_key(&ticket.key) {
            class.turns.rotate_left(1);
        }
        if counts {
            self.enter(&ticket);
        }
        waker
    }

    /// Whether the turn of this one has come. If not, he is woken when it does.
    pub(super) fn look(&mut self, number: Number, waker: &Waker) -> Turn<K> {
        let Some(waiter) = self.waiters.get_mut(&number) else {
            return Turn::Displaced;
        };
        if let State::Waiting(old) = &mut waiter.state {
            let is_known = old.as_ref().is_some_and(|old| old.will_wake(waker));
            return Turn::NotYet(match is_known {
                true => None,
                false => old.replace(waker.clone()),
            });
        }
        let waiter = self.waiters.remove(&number);
        match waiter {
            Some(waiter) if matches!(waiter.state, State::Granted) => Turn::Come(waiter.ticket),
            _ => Turn::Displaced,
        }
    }

    /// One leaves.
    pub(super) fn leave(&mut self, number: Number) -> Left<K> {
        let Some(waiter) = self.waiters.remove(&number) else {
            return Left::Displaced;
        };
        match waiter.state {
            State::Granted => Left::Granted(waiter.ticket),
            State::Displaced => Left::Displaced,
            State::Waiting(waker) => {
                let by_key = !self.key_has_room(&waiter.ticket);
                self.unlist(number, &waiter.ticket);
                Left::Waiting { by_key, waker }
            }
        }
    }

    /// Takes one out of its lane.
    fn unlist(&mut self, number: Number, ticket: &Ticket<K>) {
        let class = &mut self.classes[ticket.class];
        if let Some(lane) = class.lanes.get_mut(&ticket.key) {
            if let Ok(place) = lane.binary_search(&number) {
                lane.remove(place);
            }
            if lane.is_empty() {
                class.lanes.remove(&ticket.key);
                class.turns.retain(|key| *key != ticket.key);
            }
            if class.lanes.is_empty() {
                class.lanes.shrink_to(SPARE);
                class.turns.shrink_to(SPARE);
            }
        }
        self.waiting -= 1;
        if self.waiting == 0 {
            self.busy_since = None;
        }
    }

    fn displace(&mut self, number: Number) -> Option<Waker> {
        let waiter = self.waiters.get_mut(&number)?;
        let waker = waiter.tell(State::Displaced);
        let ticket = waiter.ticket.clone();
        self.unlist(number, &ticket);
        waker
    }

    fn is_overloaded(&self, now: Instant) -> bool {
        match (self.rules.overload, self.busy_since) {
            (Some(overload), Some(since)) => now.saturating_duration_since(since) >= overload.after,
            _ => false,
        }
    }
}

impl<K> Waiter<K> {
    /// Tells him; he is to be woken.
    fn tell(&mut self, state: State) -> Option<Waker> {
        match std::mem::replace(&mut self.state, state) {
            State::Waiting(waker) => waker,
            State::Granted | State::Displaced => None,
        }
    }
}
