//! Who waits in front of a limit, and who is next. Pure: it knows no lock and no clock.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::Hash,
    task::Waker,
    time::Duration,
};

use tokio::time::Instant;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ticket<K> {
    /// How much of the limit it takes.
    pub(super) cost: usize,
    /// Its class: a place in [`Rules::classes`].
    pub(super) class: usize,
    /// Whose it is, if that counts.
    pub(super) key: Option<K>,
}

/// What the line is held to.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// How many may wait.
    pub(super) places: usize,
    pub(super) patience: Duration,
    pub(super) overload: Option<Overload>,
    pub(super) per_key: Option<PerKey>,
    /// How much of the limit is kept free for each class, the most urgent first.
    pub(super) classes: Vec<usize>,
}

/// When the newest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overload {
    /// After so long without a moment in which nobody waited.
    pub(super) after: Duration,
    /// How long one waits then.
    pub(super) patience: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PerKey {
    pub(super) max: usize,
    /// How many of one key may wait.
    pub(super) places: usize,
}

/// Why somebody is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No place was left.
    Full,
    /// No place was left for those of this key.
    KeyFull,
    /// It had to leave its place to one who goes before it.
    Displaced,
}

/// The numbers of those who wait are given out in the order of coming.
pub(super) type Number = u64;

#[derive(Debug)]
pub(super) struct Line<K> {
    rules: Rules,
    next: Number,
    waiters: BTreeMap<Number, Waiter<K>>,
    /// How many of them wait; the others have been told, and have not looked yet.
    waiting: usize,
    classes: Vec<Class<K>>,
    /// How much each key uses. Those that use nothing are not in here.
    keys: HashMap<K, usize>,
    /// The most urgent class of which somebody waits for room. Whoever comes later and is no more
    /// urgent does not overtake, though he may take what is kept for him.
    blocked: Option<usize>,
    /// Since when there has been no moment in which nobody waited.
    busy_since: Option<Instant>,
}

#[derive(Debug)]
struct Class<K> {
    reserved: usize,
    in_use: usize,
    /// Those who wait, by their key, in the order of coming.
    lanes: HashMap<Option<K>, VecDeque<Number>>,
    /// The keys of the lanes: each has its turn.
    turns: VecDeque<Option<K>>,
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
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    NotYet,
    Come,
    Displaced,
}

impl<K: Clone + Eq + Hash> Line<K> {
    pub(super) fn new(rules: Rules) -> Self {
        let classes = rules.classes.iter().map(|reserved| Class {
            reserved: *reserved,
            in_use: 0,
            lanes: HashMap::new(),
            turns: VecDeque::new(),
        });
        Self {
            classes: classes.collect(),
            rules,
            next: 0,
            waiters: BTreeMap::new(),
            waiting: 0,
            keys: HashMap::new(),
            blocked: None,
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

    /// Whether one who comes now may go in at once, as far as is decided here.
    pub(super) fn lets_in(&self, ticket: &Ticket<K>, limit: usize) -> bool {
        let class = &self.classes[ticket.class];
        let is_behind = self.blocked.is_some_and(|blocked| ticket.class >= blocked);
        !class.lanes.contains_key(&ticket.key)
            && self.key_has_room(ticket)
            && self.class_has_room(ticket, limit, is_behind)
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
            && let Some(used) = self.keys.get_mut(key)
        {
            *used -= ticket.cost;
            if *used == 0 {
                self.keys.remove(key);
            }
        }
    }

    /// Puts one at the end, or turns him away. Where another has to leave for that, he is to be woken.
    pub(super) fn join(
        &mut self,
        ticket: Ticket<K>,
        now: Instant,
    ) -> Result<(Number, Duration, Option<Waker>), Refusal> {
        if let (Some(per_key), Some(_)) = (&self.rules.per_key, &ticket.key) {
            let lanes = self
                .classes
                .iter()
                .filter_map(|class| class.lanes.get(&ticket.key));
            if lanes.map(VecDeque::len).sum::<usize>() >= per_key.places {
                return Err(Refusal::KeyFull);
            }
        }
        let mut displaced = None;
        if self.waiting >= self.rules.places {
            let number = self.weakest(ticket.class, now).ok_or(Refusal::Full)?;
            displaced = self.displace(number);
        }
        let since = *self.busy_since.get_or_insert(now);
        let patience = match self.rules.overload {
            Some(overload) if now.saturating_duration_since(since) >= overload.after => {
                overload.patience
            }
            _ => self.rules.patience,
        };
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
        self.blocked = None;
        for class in 0..self.classes.len() {
            // Each key once: those that may have no more are passed over.
            for _ in 0..self.classes[class].turns.len() {
                let number = self.first(class, now);
                let Some((number, waiter)) =
                    number.and_then(|number| Some((number, self.waiters.get(&number)?)))
                else {
                    break;
                };
                if !self.key_has_room(&waiter.ticket) {
                    self.classes[class].turns.rotate_left(1);
                    continue;
                }
                if !self.class_has_room(&waiter.ticket, limit, self.blocked.is_some()) {
                    self.blocked.get_or_insert(class);
                    break;
                }
                if !take(waiter.ticket.cost) {
                    self.blocked.get_or_insert(class);
                    return None;
                }
                let ticket = waiter.ticket.clone();
                self.unlist(number, &ticket);
                let line = &mut self.classes[class];
                if line.lanes.contains_key(&ticket.key) {
                    line.turns.rotate_left(1);
                }
                if counts {
                    self.enter(&ticket);
                }
                let waiter = self.waiters.get_mut(&number)?;
                return Some(waiter.tell(State::Granted));
            }
        }
        None
    }

    /// Whether the turn of this one has come. If not, he is woken when it does.
    pub(super) fn look(&mut self, number: Number, waker: &Waker) -> Turn {
        let Some(waiter) = self.waiters.get_mut(&number) else {
            return Turn::Displaced;
        };
        let turn = match &mut waiter.state {
            State::Waiting(old) => {
                match old {
                    Some(old) => old.clone_from(waker),
                    None => *old = Some(waker.clone()),
                }
                return Turn::NotYet;
            }
            State::Granted => Turn::Come,
            State::Displaced => Turn::Displaced,
        };
        self.waiters.remove(&number);
        turn
    }

    /// One leaves: his turn had come, or not yet, and then whether it was his key that had no room.
    pub(super) fn leave(&mut self, number: Number) -> Left<K> {
        let Some(waiter) = self.waiters.remove(&number) else {
            return Left::Nothing;
        };
        match waiter.state {
            State::Granted => Left::Granted(waiter.ticket),
            State::Displaced => Left::Nothing,
            State::Waiting(_) => {
                let by_key = !self.key_has_room(&waiter.ticket);
                self.unlist(number, &waiter.ticket);
                Left::Waiting { by_key }
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
        }
        self.waiting -= 1;
        if self.waiting == 0 {
            self.busy_since = None;
            self.blocked = None;
        }
    }

    /// Who is next in a class.
    fn first(&self, class: usize, now: Instant) -> Option<Number> {
        let class = &self.classes[class];
        let lane = class.lanes.get(class.turns.front()?)?;
        match self.is_overloaded(now) {
            true => lane.back().copied(),
            false => lane.front().copied(),
        }
    }

    /// Who has to leave for one of this class when no place is left: somebody less urgent, who has
    /// waited least; under overload also the one of his own class who has waited longest.
    fn weakest(&self, class: usize, now: Instant) -> Option<Number> {
        let less_urgent = self.classes[class + 1..].iter().rev();
        let newest = less_urgent
            .filter_map(|class| class.lanes.values().filter_map(|lane| lane.back()).max());
        if let Some(number) = newest.copied().next() {
            return Some(number);
        }
        let own = self.classes[class].lanes.values();
        let oldest = own.filter_map(|lane| lane.front()).min().copied();
        oldest.filter(|_| self.is_overloaded(now))
    }

    fn displace(&mut self, number: Number) -> Option<Waker> {
        let ticket = self.waiters.get(&number)?.ticket.clone();
        self.unlist(number, &ticket);
        self.waiters.get_mut(&number)?.tell(State::Displaced)
    }

    fn is_overloaded(&self, now: Instant) -> bool {
        match (self.rules.overload, self.busy_since) {
            (Some(overload), Some(since)) => now.saturating_duration_since(since) >= overload.after,
            _ => false,
        }
    }

    fn key_has_room(&self, ticket: &Ticket<K>) -> bool {
        let (Some(per_key), Some(key)) = (&self.rules.per_key, &ticket.key) else {
            return true;
        };
        let used = self.keys.get(key).copied().unwrap_or(0);
        used == 0 || used.saturating_add(ticket.cost) <= per_key.max
    }

    /// Whether a class may have so much more. What is kept for the others stays free for them, so
    /// that all of it together never is more than the limit.
    fn class_has_room(&self, ticket: &Ticket<K>, limit: usize, only_reserved: bool) -> bool {
        let class = &self.classes[ticket.class];
        let own = class.reserved.saturating_sub(class.in_use);
        let beyond = ticket.cost.saturating_sub(own);
        if beyond == 0 {
            return true;
        }
        if only_reserved {
            return false;
        }
        let reserved: usize = self.classes.iter().map(|class| class.reserved).sum();
        let shared = limit.saturating_sub(reserved);
        let used: usize = self
            .classes
            .iter()
            .map(|class| class.in_use.saturating_sub(class.reserved))
            .sum();
        // One that takes more than there ever is goes in alone.
        used == 0 && class.in_use == 0 || used.saturating_add(beyond) <= shared
    }
}

/// What one was who leaves.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Left<K> {
    /// Told already.
    Nothing,
    /// What was taken for him is to be given back.
    Granted(Ticket<K>),
    Waiting {
        by_key: bool,
    },
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
