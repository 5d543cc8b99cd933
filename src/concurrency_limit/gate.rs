//! The permits of a limit: taken without a lock while nobody waits, and handed on under one.
//!
//! Nobody is forgotten: whoever joins the line says so first (`waiting`) and then looks for room
//! once more; whoever gives something back does that first (`in_use`) and then looks whether
//! somebody waits. Both change `in_use`, if only by nothing, and changes of one variable have one
//! order: the second of the two sees what the first had said before.
//!
//! This file is compiled twice: the tests include it with loom's types in place of std's
//! (`super::sync`), and try every interleaving.

use std::{
    hash::Hash,
    task::{Poll, Waker},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    line::{Left, Line, Number, Refusal, Rules, Ticket, Turn},
    sync::{
        AtomicUsize, Mutex, MutexGuard,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
};

#[derive(Debug)]
pub(super) struct Gate<K> {
    /// How much may be in use at once.
    limit: AtomicUsize,
    in_use: AtomicUsize,
    /// How many wait. It is written under the lock, and read without.
    waiting: AtomicUsize,
    /// Whether there is more to count than what is in use: keys, or classes.
    counts: bool,
    line: Mutex<Line<K>>,
}

/// What becomes of one who comes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// The ticket says what was taken.
    In,
    /// He waits, and not longer than that.
    Waits(Number, Duration),
    Refused(Refusal),
}

/// What becomes of one who has waited long enough.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum GaveUp<K> {
    /// His turn had come just now.
    In(Ticket<K>),
    /// `by_key`: there was room, but not for his key.
    Out { by_key: bool },
    /// He had had to leave just now.
    Displaced,
}

impl<K: Clone + Eq + Hash> Gate<K> {
    pub(super) fn new(limit: usize, rules: Rules) -> Self {
        Self {
            limit: AtomicUsize::new(limit),
            in_use: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            counts: rules.per_key.is_some() || rules.classes.len() > 1,
            line: Mutex::new(Line::new(rules)),
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.load(Acquire)
    }

    pub(super) fn in_use(&self) -> usize {
        self.in_use.load(Acquire)
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Acquire)
    }

    /// Whether nobody is in, and nobody waits.
    ///
    /// Whoever comes in later sees what was written before this was asked, and whoever goes out
    /// later does so too: it changes `in_use`, as they do, and by nothing.
    pub(super) fn is_idle(&self) -> bool {
        let line = self.lock();
        line.len() == 0 && self.in_use.fetch_add(0, AcqRel) == 0
    }

    /// What there is to say of the line.
    pub(super) fn look<T>(&self, at: impl FnOnce(&Line<K>) -> T) -> T {
        at(&self.lock())
    }

    /// Lets one in, or puts him into the line, or turns him away.
    #[inline]
    pub(super) fn enter(&self, ticket: &mut Ticket<K>, now: impl FnOnce() -> Instant) -> Entry {
        if !self.counts && self.waiting.load(Acquire) == 0 {
            let price = ticket.cost.min(self.limit());
            if self.take(price) {
                ticket.cost = price;
                return Entry::In;
            }
        }
        self.enter_locked(ticket, now)
    }

    /// Where there is more to count, or somebody waits.
    fn enter_locked(&self, ticket: &mut Ticket<K>, now: impl FnOnce() -> Instant) -> Entry {
        let mut line = self.lock();
        if self.counts
            && let Some(price) = line.lets_in(ticket, self.limit())
            && self.take(price)
        {
            ticket.cost = price;
            line.enter(ticket);
            return Entry::In;
        }
        let now = now();
        let (number, patience, displaced) = match line.join(ticket.clone(), now) {
            Ok(joined) => joined,
            Err(refusal) => return Entry::Refused(refusal),
        };
        self.waiting.store(line.len(), Release);
        let mut wakers: Vec<_> = displaced.into_iter().collect();
        // What was given back meanwhile.
        self.admit(&mut line, now, &mut wakers);
        drop(line);
        wakers.into_iter().for_each(Waker::wake);
        Entry::Waits(number, patience)
    }

    /// Lets one in, or says what would become of him, if he came to stay: `None` if he would wait.
    /// Those who are in beyond the limit stand for those who would wait.
    pub(super) fn try_enter(&self, ticket: &mut Ticket<K>) -> Result<(), Option<Refusal>> {
        let mut line = self.lock();
        let limit = self.limit();
        match line.lets_in(ticket, limit) {
            Some(price) if self.take(price) => {
                ticket.cost = price;
                if self.counts {
                    line.enter(ticket);
                }
                Ok(())
            }
            _ => {
                let beyond = self.in_use().saturating_sub(limit);
                Err(line.would_refuse(ticket, beyond))
            }
        }
    }

    /// Lets one in beyond the limit.
    pub(super) fn force(&self, ticket: &mut Ticket<K>) {
        ticket.cost = ticket.cost.min(self.limit());
        if self.counts {
            self.lock().enter(ticket);
        }
        self.in_use.fetch_add(ticket.cost, AcqRel);
    }

    /// Waits for the turn of this one.
    pub(super) fn poll(&self, number: Number, waker: &Waker) -> Poll<Result<Ticket<K>, Refusal>> {
        let turn = self.lock().look(number, waker);
        match turn {
            Turn::NotYet(old) => {
                drop(old);
                Poll::Pending
            }
            Turn::Come(ticket) => Poll::Ready(Ok(ticket)),
            Turn::Displaced => Poll::Ready(Err(Refusal::Displaced)),
        }
    }

    /// One has waited for long enough.
    pub(super) fn give_up(&self, number: Number, now: Instant) -> GaveUp<K> {
        let mut line = self.lock();
        match line.leave(number) {
            Left::Granted(ticket) => GaveUp::In(ticket),
            Left::Displaced => GaveUp::Displaced,
            // The waker is dropped last, when nothing is locked.
            Left::Waiting {
                by_key,
                waker: _waker,
            } => {
                self.left(line, now);
                GaveUp::Out { by_key }
            }
        }
    }

    /// One leaves the line without a word. Whether nobody is in any more.
    pub(super) fn abandon(&self, number: Number, now: Instant) -> bool {
        let mut line = self.lock();
        match line.leave(number) {
            Left::Granted(ticket) => {
                drop(line);
                self.exit(&ticket, || now)
            }
            Left::Displaced => false,
            Left::Waiting { waker: _waker, .. } => {
                self.left(line, now);
                false
            }
        }
    }

    /// Somebody has left the line: those behind him may need less room than he did.
    fn left(&self, mut line: MutexGuard<'_, Line<K>>, now: Instant) {
        let mut wakers = Vec::new();
        self.admit(&mut line, now, &mut wakers);
        drop(line);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// One is out again. Whether nobody is in any more.
    pub(super) fn exit(&self, ticket: &Ticket<K>, now: impl FnOnce() -> Instant) -> bool {
        if !self.counts {
            let was = self.in_use.fetch_sub(ticket.cost, AcqRel);
            if self.waiting.load(Acquire) > 0 {
                self.left(self.lock(), now());
            }
            return was == ticket.cost;
        }
        let mut line = self.lock();
        line.exit(ticket);
        let was = self.in_use.fetch_sub(ticket.cost, AcqRel);
        if line.waits_for(ticket) {
            self.left(line, now());
        }
        was == ticket.cost
    }

    /// Another limit, from now on. What is in use beyond it is let out, and nobody in.
    pub(super) fn resize(&self, limit: usize, now: Instant) {
        self.limit.store(limit, Release);
        self.left(self.lock(), now);
    }

    /// Lets in as many as there is room for.
    fn admit(&self, line: &mut Line<K>, now: Instant, wakers: &mut Vec<Waker>) {
        let take = |cost| self.take_from(self.in_use.fetch_add(0, AcqRel), cost);
        while let Some(waker) = line.admit(self.limit(), now, self.counts, take) {
            wakers.extend(waker);
        }
        self.waiting.store(line.len(), Release);
    }

    /// Takes so much, if it is there.
    fn take(&self, cost: usize) -> bool {
        self.take_from(self.in_use.load(Relaxed), cost)
    }

    /// Takes so much, if it is there; `in_use` is what was in use a moment ago.
    fn take_from(&self, mut in_use: usize, cost: usize) -> bool {
        let limit = self.limit();
        loop {
            let Some(then) = in_use.checked_add(cost) else {
                return false;
            };
            if then > limit {
                return false;
            }
            match self
                .in_use
                .compare_exchange_weak(in_use, then, AcqRel, Relaxed)
            {
                Ok(_) => return true,
                Err(now) => in_use = now,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line<K>> {
        super::sync::lock(&self.line)
    }
}
