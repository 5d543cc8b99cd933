//! The line beside an oracle: a plain list of all slots and all who wait, which looks at each of them
//! whenever it is asked who is next.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// One comes, whose request may be sent ahead or not.
    Come(bool),
    /// One who waits looks.
    Look(usize),
    /// One who waits, or was sent ahead, or was told, goes.
    Leave(usize),
    /// One who has a slot is done.
    Done(usize),
    /// One who has a slot sends its worker the next ahead.
    Send(usize),
    /// A connection ends.
    Lose(usize),
    Dial(u32, usize),
    Retire(u32),
    Remove(u32),
    Close,
    Open,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => any::<bool>().prop_map(Step::Come),
        4 => Just(Step::Come(true)),
        3 => (0_usize..8).prop_map(Step::Look),
        1 => (0_usize..8).prop_map(Step::Leave),
        5 => (0_usize..8).prop_map(Step::Done),
        4 => (0_usize..8).prop_map(Step::Send),
        1 => (0_usize..8).prop_map(Step::Lose),
        5 => (0_u32..4, 0..THREADS).prop_map(|(worker, slot)| Step::Dial(worker, slot)),
        1 => (0_u32..4).prop_map(Step::Retire),
        1 => (0_u32..4).prop_map(Step::Remove),
        1 => Just(Step::Close),
        2 => Just(Step::Open),
    ];
    prop::collection::vec(step, 0..200)
}

#[derive(Debug, Default)]
struct Oracle {
    idle: BTreeSet<Chair>,
    /// The slots of those who know that they have one.
    held: Vec<Thread>,
    /// Those who were told, and do not know.
    handed: Vec<(Number, Result<Chair, ErrorKind>)>,
    /// Those who wait, in the order of their coming, and whether they may be sent ahead.
    waiting: Vec<(Number, bool)>,
    /// Those who were sent ahead, and to which slot.
    behind: Vec<(Number, Chair)>,
    known: BTreeSet<u32>,
    retired: BTreeSet<u32>,
    is_closed: bool,
}

impl Oracle {
    /// Where a slot that is idle goes.
    fn place(&mut self, slot: &Thread) -> Where {
        let chair = slot.chair;
        if !self.known.contains(&chair.0) {
            return Where::Stray;
        }
        if let Some(next) = slot.ahead.front() {
            // Its worker is at this one now, whether he is there or not.
            let Some(at) = self.behind.iter().position(|(number, _)| number == next) else {
                return Where::Stray;
            };
            let (next, sent_to) = self.behind.remove(at);
            assert_eq!(sent_to, chair);
            self.handed.push((next, Ok(chair)));
            return Where::Handed;
        }
        if self.retired.contains(&chair.0) {
            return Where::Stop;
        }
        if self.waiting.is_empty() {
            self.idle.insert(chair);
            return Where::Idle;
        }
        let (first, _) = self.waiting.remove(0);
        self.handed.push((first, Ok(chair)));
        Where::Handed
    }

    /// A slot is given back to both, and dropped if it is of no use.
    fn give_back(&mut self, line: &mut Line<Thread>, slot: Thread) {
        let expected = self.place(&slot);
        let placed = line.give_back(slot);
        assert_eq!(name(&placed), expected);
        match placed {
            Placed::Stop(slot) => assert!(slot.ahead.is_empty()),
            Placed::Stray(slot) => self.drop(line, slot),
            Placed::Idle | Placed::Handed(_) => {}
        }
    }

    /// A connection ends, and what its worker had ahead is taken back.
    fn drop(&mut self, line: &mut Line<Thread>, slot: Thread) {
        let chair = slot.chair;
        let mut wakers = line.take_back(slot.ahead.iter().copied()).len();
        for number in slot.ahead {
            let Some(at) = self.behind.iter().position(|(behind, _)| *behind == number) else {
                continue;
            };
            assert_eq!(self.behind.remove(at), (number, chair));
            let told = if self.is_closed {
                Some(Err(ErrorKind::Draining))
            } else if self.idle.is_empty() {
                None
            } else {
                // Which one, the line chooses.
                let chosen = line.told[&number].as_ref().unwrap().chair;
                self.choose(chosen);
                Some(Ok(chosen))
            };
            if let Some(told) = told {
                self.handed.push((number, told));
                wakers -= 1;
            } else {
                let at = self.waiting.partition_point(|(other, _)| *other < number);
                // It is not sent a second time.
                self.waiting.insert(at, (number, false));
            }
        }
        assert_eq!(wakers, 0);
    }

    /// An idle slot is taken, of one of the least busy workers.
    fn choose(&mut self, chair: Chair) {
        let busy = self.busy(chair.0);
        assert!(self.idle.iter().all(|other| self.busy(other.0) >= busy));
        assert!(self.idle.remove(&chair));
    }

    fn busy(&self, worker: u32) -> usize {
        THREADS - self.idle.iter().filter(|chair| chair.0 == worker).count()
    }

    /// All slots, wherever they are.
    fn chairs(&self) -> Vec<Chair> {
        let held = self.held.iter().map(|slot| slot.chair);
        let handed = self.handed.iter().filter_map(|(_, told)| told.ok());
        self.idle
            .iter()
            .copied()
            .chain(held)
            .chain(handed)
            .collect()
    }

    /// Somebody looks who was told.
    fn look(&mut self, line: &mut Line<Thread>, which: usize) {
        let (number, told) = self.handed.remove(which % self.handed.len());
        let looked = line.look(number, Waker::noop()).unwrap();
        assert_eq!(
            looked.as_ref().map(|slot| slot.chair),
            told.as_ref().copied()
        );
        // To be told once is enough.
        assert!(line.look(number, Waker::noop()).is_err());
        self.held.extend(looked.ok());
    }

    /// Somebody goes, as `Take` does.
    fn leave(&mut self, line: &mut Line<Thread>, which: usize) {
        let mut which = which % (self.handed.len() + self.waiting.len() + self.behind.len());
        if which < self.handed.len() {
            let (number, told) = self.handed.remove(which);
            let (slot, _) = line.leave(number);
            assert_eq!(slot.as_ref().map(|slot| slot.chair), told.ok());
            match slot {
                Some(slot) if slot.was_sent => self.drop(line, slot),
                Some(slot) => self.give_back(line, slot),
                None => {}
            }
            return;
        }
        which -= self.handed.len();
        let number = match which.checked_sub(self.waiting.len()) {
            None => self.waiting.remove(which).0,
            Some(which) => self.behind.remove(which).0,
        };
        let (slot, waker) = line.leave(number);
        assert!(slot.is_none() && waker.is_some());
    }

    fn agrees(&self, line: &Line<Thread>, limit: usize) {
        let waits = self.waiting.len() + self.behind.len();
        let load = line.load(Instant::now());
        assert_eq!((load.idle, load.waiting), (self.idle.len(), waits));
        assert_eq!(load.oldest_wait.is_some(), waits > 0);
        assert!(waits <= limit);
        // Who was sent ahead waits for one slot; nobody else waits beside an idle one.
        assert!(self.waiting.is_empty() || load.idle == 0);
        let waiting = line.waiting.iter().map(|waiter| waiter.number);
        assert!(waiting.eq(self.waiting.iter().map(|(number, _)| *number)));
        assert!(self.waiting.is_sorted());
        let behind: BTreeSet<_> = self.behind.iter().map(|(number, _)| *number).collect();
        assert!(line.behind.keys().eq(&behind));
        let told: BTreeSet<_> = self.handed.iter().map(|(number, _)| *number).collect();
        assert!(line.told.keys().eq(&told));
        let chairs = self.chairs();
        let different: BTreeSet<_> = chairs.iter().collect();
        assert_eq!(different.len(), chairs.len(), "a slot is in two places");
    }
}

#[derive(Debug, PartialEq)]
enum Where {
    Idle,
    Handed,
    Stop,
    Stray,
}

fn name(placed: &Placed<Thread>) -> Where {
    match placed {
        Placed::Idle => Where::Idle,
        Placed::Handed(_) => Where::Handed,
        Placed::Stop(_) => Where::Stop,
        Placed::Stray(_) => Where::Stray,
    }
}

fn step(line: &mut Line<Thread>, oracle: &mut Oracle, limit: usize, step: Step) {
    match step {
        Step::Come(may_be_sent) => match line.take() {
            Err(why) => {
                assert!(oracle.is_closed);
                assert_eq!(why, ErrorKind::Draining);
            }
            Ok(Some(slot)) => {
                assert!(!oracle.is_closed && oracle.waiting.is_empty());
                assert_eq!((&slot.ahead, slot.was_sent), (&VecDeque::new(), false));
                oracle.choose(slot.chair);
                oracle.held.push(slot);
            }
            Ok(None) => {
                assert!(oracle.idle.is_empty() && !oracle.is_closed);
                let letter = may_be_sent.then_some("letter");
                let entered = line.enter(Instant::now(), Waker::noop(), letter);
                if oracle.waiting.len() + oracle.behind.len() >= limit {
                    assert_eq!(entered, Err(ErrorKind::QueueFull));
                } else {
                    oracle.waiting.push((entered.unwrap(), may_be_sent));
                }
            }
        },
        Step::Look(which) => {
            let others: Vec<_> = oracle.waiting.iter().map(|(number, _)| *number).collect();
            for number in others
                .into_iter()
                .chain(line.behind.keys().copied().collect::<Vec<_>>())
            {
                assert!(line.look(number, Waker::noop()).is_err());
            }
            if !oracle.handed.is_empty() {
                oracle.look(line, which);
            }
        }
        Step::Leave(which) => {
            if oracle.handed.len() + oracle.waiting.len() + oracle.behind.len() > 0 {
                oracle.leave(line, which);
            }
        }
        Step::Done(which) => {
            if !oracle.held.is_empty() {
                let slot = oracle.held.remove(which % oracle.held.len());
                oracle.give_back(line, slot);
            }
        }
        Step::Send(which) => {
            if oracle.held.is_empty() {
                return;
            }
            let which = which % oracle.held.len();
            let slot = &mut oracle.held[which];
            let worker = slot.chair.0;
            let serves = oracle.known.contains(&worker) && !oracle.retired.contains(&worker);
            let first = oracle
                .waiting
                .first()
                .filter(|(_, may_be_sent)| serves && *may_be_sent);
            let sent = line.ahead(worker).map(|(number, _)| number);
            assert_eq!(sent, first.map(|(number, _)| *number));
            if let Some(number) = sent {
                oracle.waiting.remove(0);
                oracle.behind.push((number, slot.chair));
                slot.ahead.push_back(number);
            }
        }
        Step::Lose(which) => {
            if !oracle.held.is_empty() {
                let slot = oracle.held.remove(which % oracle.held.len());
                oracle.drop(line, slot);
            }
        }
        Step::Dial(worker, slot) => {
            let chair = Chair(worker, slot);
            if !oracle.chairs().contains(&chair) {
                oracle.known.insert(worker);
                let expected = oracle.place(&Thread::new(chair));
                assert_eq!(name(&line.add(Thread::new(chair))), expected);
            }
        }
        Step::Retire(worker) => {
            let stopped: BTreeSet<_> = line.retire(worker).iter().map(|slot| slot.chair).collect();
            oracle.known.insert(worker);
            oracle.retired.insert(worker);
            let gone = oracle.idle.iter().copied();
            assert!(
                stopped
                    .into_iter()
                    .eq(gone.filter(|chair| chair.0 == worker))
            );
            oracle.idle.retain(|chair| chair.0 != worker);
        }
        Step::Remove(worker) => {
            for slot in line.remove(worker) {
                assert!(oracle.idle.remove(&slot.chair));
            }
            assert!(oracle.idle.iter().all(|chair| chair.0 != worker));
            // Whoever has such a slot learns it from the connection.
            oracle.known.remove(&worker);
            oracle.retired.remove(&worker);
        }
        Step::Close => {
            // Who was sent ahead is answered.
            let woken = line.close(ErrorKind::Draining).len();
            assert_eq!(woken, oracle.waiting.len());
            let told = oracle
                .waiting
                .drain(..)
                .map(|(number, _)| (number, Err(ErrorKind::Draining)));
            oracle.handed.extend(told);
            oracle.is_closed = true;
        }
        Step::Open => {
            line.open();
            oracle.is_closed = false;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn the_line_does_as_the_oracle_says(limit in 0_usize..6, steps in steps()) {
        let mut line = Line::new(limit);
        let mut oracle = Oracle::default();
        for now in steps {
            step(&mut line, &mut oracle, limit, now);
            oracle.agrees(&line, limit);
        }
        // All who have, or are to have, a slot are done; then nobody waits but for want of slots.
        while !oracle.handed.is_empty() || !oracle.held.is_empty() {
            step(&mut line, &mut oracle, limit, Step::Look(0));
            step(&mut line, &mut oracle, limit, Step::Done(0));
            oracle.agrees(&line, limit);
        }
        prop_assert!(oracle.behind.is_empty());
        while !oracle.waiting.is_empty() {
            oracle.leave(&mut line, 0);
        }
        prop_assert!(line.waiting.is_empty() && line.behind.is_empty() && line.told.is_empty());
    }
}
