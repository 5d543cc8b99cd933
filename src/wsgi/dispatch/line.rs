//! Which slot is whose turn. Pure: it knows no lock, no clock, and no connection.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    mem,
    task::Waker,
    time::Duration,
};

use tokio::time::Instant;

use crate::ErrorKind;

/// What has a place in a worker.
pub(super) trait Seat {
    /// A request, written ahead of its turn.
    type Letter;

    fn worker(&self) -> u32;
    /// How many such places the worker has.
    fn threads(&self) -> usize;
    /// Whose request the worker was sent already, and is at next: no more than once for each.
    fn next(&mut self) -> Option<Number>;
}

/// Who is idle, and who waits. Never both.
#[derive(Debug)]
pub(super) struct Line<S: Seat> {
    crews: Vec<Crew<S>>,
    /// How often a slot was taken.
    taken: u64,
    /// Those who wait, in the order of their coming.
    waiting: VecDeque<Waiter<S::Letter>>,
    /// Those who wait for one slot, since its worker was sent their request already.
    behind: BTreeMap<Number, Waiter<S::Letter>>,
    /// Those who were told, and have not looked yet.
    told: BTreeMap<Number, Result<S, ErrorKind>>,
    next: Number,
    /// How many may wait.
    limit: usize,
    closed: Option<ErrorKind>,
}

/// The slots of one worker.
#[derive(Debug)]
struct Crew<S> {
    worker: u32,
    threads: usize,
    /// The last one was used last: its thread's memory is in a cache.
    idle: Vec<S>,
    /// When it was sent a request last.
    used: u64,
    retires: bool,
}

/// Who waits.
pub(in crate::wsgi) type Number = u64;

#[derive(Debug)]
struct Waiter<L> {
    number: Number,
    since: Instant,
    waker: Waker,
    /// What is to be sent for it, if that may be sent ahead of its turn.
    letter: Option<L>,
}

/// What became of a slot.
#[derive(Debug)]
#[must_use]
pub(super) enum Placed<S> {
    Idle,
    /// Somebody who waited has it, and is to be woken.
    Handed(Waker),
    /// Its worker gets no more requests.
    Stop(S),
    /// Its worker is not known (any more), or is at what nobody waits for.
    Stray(S),
}

/// What the line looks like from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::wsgi) struct Load {
    /// Slots without a request, of workers that do not retire.
    pub(in crate::wsgi) idle: usize,
    /// The other slots of those workers, be it that they are not (or not again) connected.
    pub(in crate::wsgi) busy: usize,
    pub(in crate::wsgi) waiting: usize,
    /// How long the one has waited who has waited longest.
    pub(in crate::wsgi) oldest_wait: Option<Duration>,
}

impl<S: Seat> Line<S> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            crews: Vec::new(),
            taken: 0,
            waiting: VecDeque::new(),
            behind: BTreeMap::new(),
            told: BTreeMap::new(),
            next: 0,
            limit,
            closed: None,
        }
    }

    /// A slot for who comes now: of the worker with the fewest busy threads, and of those of the
    /// one that was used last, whose memory is in a cache.
    pub(super) fn take(&mut self) -> Result<Option<S>, ErrorKind> {
        if let Some(why) = self.closed {
            return Err(why);
        }
        Ok(self.best())
    }

    fn best(&mut self) -> Option<S> {
        let crews = self.crews.iter_mut();
        let best = crews
            .filter(|crew| !crew.idle.is_empty())
            .min_by_key(|crew| (crew.busy(), Reverse(crew.used)))?;
        self.taken += 1;
        best.used = self.taken;
        best.idle.pop()
    }

    /// Somebody waits from now on; `letter` is what may be sent ahead for him.
    pub(super) fn enter(
        &mut self,
        now: Instant,
        waker: &Waker,
        letter: Option<S::Letter>,
    ) -> Result<Number, ErrorKind> {
        if let Some(why) = self.closed {
            return Err(why);
        }
        if self.waiting.len() + self.behind.len() >= self.limit {
            return Err(ErrorKind::QueueFull);
        }
        let number = self.next;
        self.next += 1;
        self.waiting.push_back(Waiter {
            number,
            since: now,
            waker: waker.clone(),
            letter,
        });
        Ok(number)
    }

    /// What this worker is to be sent ahead: the request of the one who waits longest, who waits for
    /// one slot of it from now on.
    pub(super) fn ahead(&mut self, worker: u32) -> Option<(Number, S::Letter)> {
        if crew_of(&mut self.crews, worker).is_none_or(|crew| crew.retires) {
            return None;
        }
        // Nobody is overtaken, not even by what can be sent.
        let letter = self.waiting.front_mut()?.letter.take()?;
        let waiter = self.waiting.pop_front()?;
        let number = waiter.number;
        self.behind.insert(number, waiter);
        Some((number, letter))
    }

    /// A worker that was sent these requests ahead will not answer them: they wait as they did
    /// before. Returns whom to wake.
    pub(super) fn take_back(&mut self, numbers: impl Iterator<Item = Number>) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for number in numbers {
            let Some(waiter) = self.behind.remove(&number) else {
                continue;
            };
            // Another slot may have become idle, as nobody else waited.
            let told = match self.closed {
                Some(why) => Some(Err(why)),
                None => self.best().map(Ok),
            };
            if let Some(told) = told {
                self.told.insert(number, told);
                wakers.push(waiter.waker);
            } else {
                let place = self.waiting.partition_point(|other| other.number < number);
                self.waiting.insert(place, waiter);
            }
        }
        wakers
    }

    /// What somebody who waits was told, which is told once.
    ///
    /// A waker that is no more wanted is given back: it may be anything, and is not to be dropped
    /// where a lock is held.
    pub(super) fn look(
        &mut self,
        number: Number,
        waker: &Waker,
    ) -> Result<Result<S, ErrorKind>, Option<Waker>> {
        if let Some(told) = self.told.remove(&number) {
            return Ok(told);
        }
        let waiter = match self.place(number) {
            Some(place) => self.waiting.get_mut(place),
            None => self.behind.get_mut(&number),
        };
        let Some(Waiter { waker: known, .. }) = waiter else {
            return Err(None);
        };
        Err(match known.will_wake(waker) {
            true => None,
            false => Some(mem::replace(known, waker.clone())),
        })
    }

    /// Somebody waits no more. If he was handed a slot meanwhile, it is to be given to the next.
    pub(super) fn leave(&mut self, number: Number) -> (Option<S>, Option<Waker>) {
        if let Some(place) = self.place(number) {
            let waiter = self.waiting.remove(place);
            return (None, waiter.map(|waiter| waiter.waker));
        }
        if let Some(waiter) = self.behind.remove(&number) {
            return (None, Some(waiter.waker));
        }
        let told = self.told.remove(&number);
        (told.and_then(Result::ok), None)
    }

    /// A slot is idle again, or at the next of what it was sent ahead.
    pub(super) fn give_back(&mut self, mut slot: S) -> Placed<S> {
        let Some(crew) = crew_of(&mut self.crews, slot.worker()) else {
            return Placed::Stray(slot);
        };
        if let Some(number) = slot.next() {
            let Some(waiter) = self.behind.remove(&number) else {
                return Placed::Stray(slot);
            };
            self.taken += 1;
            crew.used = self.taken;
            self.told.insert(number, Ok(slot));
            return Placed::Handed(waiter.waker);
        }
        if crew.retires {
            return Placed::Stop(slot);
        }
        match self.waiting.pop_front() {
            Some(waiter) => {
                self.taken += 1;
                crew.used = self.taken;
                self.told.insert(waiter.number, Ok(slot));
                Placed::Handed(waiter.waker)
            }
            None => {
                crew.idle.push(slot);
                Placed::Idle
            }
        }
    }

    /// A slot is there that was not before.
    pub(super) fn add(&mut self, slot: S) -> Placed<S> {
        if crew_of(&mut self.crews, slot.worker()).is_none() {
            self.crews
                .push(Crew::new(slot.worker(), slot.threads(), false));
        }
        self.give_back(slot)
    }

    /// A worker gets no more requests. Returns its idle slots, and keeps in mind to stop the
    /// others.
    pub(super) fn retire(&mut self, worker: u32) -> Vec<S> {
        match crew_of(&mut self.crews, worker) {
            Some(crew) => {
                crew.retires = true;
                mem::take(&mut crew.idle)
            }
            None => {
                self.crews.push(Crew::new(worker, 0, true));
                Vec::new()
            }
        }
    }

    /// A worker has exited. Returns what is left of it.
    pub(super) fn remove(&mut self, worker: u32) -> Vec<S> {
        let place = self.crews.iter().position(|crew| crew.worker == worker);
        place.map_or_else(Vec::new, |place| self.crews.remove(place).idle)
    }

    /// Whoever waits or comes is refused. Returns whom to wake.
    pub(super) fn close(&mut self, why: ErrorKind) -> Vec<Waker> {
        self.closed = Some(why);
        let waiting = mem::take(&mut self.waiting);
        waiting
            .into_iter()
            .map(|waiter| {
                self.told.insert(waiter.number, Err(why));
                waiter.waker
            })
            .collect()
    }

    /// Nobody is refused any more.
    pub(super) fn open(&mut self) {
        self.closed = None;
    }

    pub(super) fn load(&self, now: Instant) -> Load {
        let mut load = Load {
            waiting: self.waiting.len() + self.behind.len(),
            oldest_wait: self
                .waiting
                .front()
                .into_iter()
                .chain(self.behind.first_key_value().map(|(_, waiter)| waiter))
                .map(|waiter| now.saturating_duration_since(waiter.since))
                .max(),
            ..Load::default()
        };
        for crew in self.crews.iter().filter(|crew| !crew.retires) {
            load.idle += crew.idle.len();
            load.busy += crew.busy();
        }
        load
    }

    fn place(&self, number: Number) -> Option<usize> {
        self.waiting
            .binary_search_by_key(&number, |waiter| waiter.number)
            .ok()
    }
}

impl<S> Crew<S> {
    fn new(worker: u32, threads: usize, retires: bool) -> Self {
        Self {
            worker,
            threads,
            idle: Vec::new(),
            used: 0,
            retires,
        }
    }

    /// What is not idle counts as busy, be it that its connection was closed: its thread may well
    /// be at work.
    fn busy(&self) -> usize {
        self.threads.saturating_sub(self.idle.len())
    }
}

fn crew_of<S>(crews: &mut [Crew<S>], worker: u32) -> Option<&mut Crew<S>> {
    crews.iter_mut().find(|crew| crew.worker == worker)
}

#[cfg(test)]
mod tests;
