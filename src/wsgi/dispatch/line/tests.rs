//! The line beside an oracle: a plain list of all slots and all who wait, which looks at each of them
//! whenever it is asked who is next.
#![allow(clippy::unwrap_used)] // In a test it is an assertion.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// A slot: its worker, and which of its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Chair(u32, usize);

const THREADS: usize = 3;

impl Seat for Chair {
    type Letter = ();

    fn next(&mut self) -> Option<Number> {
        None
    }

    fn worker(&self) -> u32 {
        self.0
    }

    fn threads(&self) -> usize {
        THREADS
    }
}

fn line(limit: usize) -> Line<Chair> {
    Line::new(limit)
}

fn enter(line: &mut Line<Chair>) -> Result<Number, ErrorKind> {
    line.enter(Instant::now(), Waker::noop(), None)
}

fn look(line: &mut Line<Chair>, number: Number) -> Option<Result<Chair, ErrorKind>> {
    line.look(number, Waker::noop()).ok()
}

#[test]
fn the_least_busy_worker_is_chosen_and_then_the_one_that_is_warm() {
    let mut line = line(0);
    for worker in 0..3 {
        for number in 0..THREADS {
            let _idle = line.add(Chair(worker, number));
        }
    }
    // All are as idle; none was used; the first is as good as any.
    let first = line.take().unwrap().unwrap();
    assert_eq!(first, Chair(0, 2));
    assert_eq!(line.take(), Ok(Some(Chair(1, 2))));
    assert_eq!(line.take(), Ok(Some(Chair(2, 2))));
    // All have one busy thread; the third was used last.
    assert_eq!(line.take(), Ok(Some(Chair(2, 1))));
    let _idle = line.give_back(first);
    // It is idle as a whole.
    assert_eq!(line.take(), Ok(Some(first)));
    assert_eq!(
        line.load(Instant::now()),
        Load {
            idle: 5,
            busy: 4,
            waiting: 0,
            oldest_wait: None
        }
    );
}

#[test]
fn a_slot_that_went_counts_as_busy_until_it_is_dialled_again() {
    let mut line = line(0);
    for worker in 0..2 {
        for number in 0..THREADS {
            let _idle = line.add(Chair(worker, number));
        }
    }
    let lost = line.take().unwrap().unwrap();
    // It never comes back; the other worker has more to offer.
    for _ in 0..4 {
        let taken = line.take().unwrap().unwrap();
        assert_ne!(taken.0, lost.0);
        let _idle = line.give_back(taken);
    }
    let _idle = line.add(lost);
    assert_eq!(line.load(Instant::now()).busy, 0);
}

#[test]
fn nobody_waits_beside_an_idle_slot_or_is_overtaken() {
    let mut line = line(2);
    assert_eq!(line.take(), Ok(None));
    let (first, second) = (enter(&mut line).unwrap(), enter(&mut line).unwrap());
    assert_eq!(enter(&mut line), Err(ErrorKind::QueueFull));
    assert_eq!(look(&mut line, first), None);
    assert!(matches!(line.add(Chair(0, 0)), Placed::Handed(_)));
    // Who comes now does not get it.
    assert_eq!(line.take(), Ok(None));
    let third = enter(&mut line).unwrap();
    assert_eq!(look(&mut line, first), Some(Ok(Chair(0, 0))));
    assert!(matches!(line.give_back(Chair(0, 0)), Placed::Handed(_)));
    // Who was handed it goes without looking.
    let (slot, waker) = line.leave(second);
    assert_eq!((slot, waker.is_none()), (Some(Chair(0, 0)), true));
    assert!(matches!(line.give_back(Chair(0, 0)), Placed::Handed(_)));
    assert_eq!(look(&mut line, third), Some(Ok(Chair(0, 0))));
    assert!(matches!(line.give_back(Chair(0, 0)), Placed::Idle));
}

#[test]
fn a_worker_that_retires_gets_nothing_more() {
    let mut line = line(1);
    let _idle = line.add(Chair(0, 0));
    let _idle = line.add(Chair(0, 1));
    let busy = line.take().unwrap().unwrap();
    assert_eq!(line.retire(0), [Chair(0, 0)]);
    assert_eq!(line.take(), Ok(None));
    let waits = enter(&mut line).unwrap();
    assert!(matches!(line.give_back(busy), Placed::Stop(Chair(0, 1))));
    assert!(matches!(line.add(busy), Placed::Stop(Chair(0, 1))));
    assert_eq!(look(&mut line, waits), None);
    assert_eq!(line.load(Instant::now()).busy, 0);
    assert_eq!(line.remove(0), []);
    assert!(matches!(line.give_back(busy), Placed::Stray(Chair(0, 1))));
    // Also before it has dialled.
    assert_eq!(line.retire(7), []);
    assert!(matches!(line.add(Chair(7, 0)), Placed::Stop(_)));
}

#[test]
fn who_waits_when_it_closes_is_told_why() {
    let mut line = line(2);
    let (first, second) = (enter(&mut line).unwrap(), enter(&mut line).unwrap());
    let (slot, waker) = line.leave(first);
    assert!(slot.is_none() && waker.is_some());
    assert_eq!(line.close(ErrorKind::Draining).len(), 1);
    assert_eq!(look(&mut line, second), Some(Err(ErrorKind::Draining)));
    assert_eq!(line.take(), Err(ErrorKind::Draining));
    assert_eq!(enter(&mut line), Err(ErrorKind::Draining));
    // What comes back meanwhile is there when it opens.
    assert!(matches!(line.add(Chair(0, 0)), Placed::Idle));
    line.open();
    assert_eq!(line.take(), Ok(Some(Chair(0, 0))));
}

#[derive(Clone, Debug)]
enum Step {
    /// One comes.
    Come,
    /// One who waits looks.
    Look(usize),
    /// One who waits goes.
    Leave(usize),
    /// One who has a slot is done.
    Done(usize),
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
        6 => Just(Step::Come),
        3 => (0_usize..8).prop_map(Step::Look),
        1 => (0_usize..8).prop_map(Step::Leave),
        5 => (0_usize..8).prop_map(Step::Done),
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
    /// Who has which slot; whether he knows.
    held: Vec<Chair>,
    handed: Vec<(Number, Result<Chair, ErrorKind>)>,
    waiting: Vec<Number>,
    known: BTreeSet<u32>,
    retired: BTreeSet<u32>,
    is_closed: bool,
}

impl Oracle {
    /// Where a slot that is idle goes.
    fn place(&mut self, chair: Chair) -> Where {
        if !self.known.contains(&chair.0) {
            return Where::Stray;
        }
        if self.retired.contains(&chair.0) {
            return Where::Stop;
        }
        if self.waiting.is_empty() {
            self.idle.insert(chair);
            return Where::Idle;
        }
        let first = self.waiting.remove(0);
        self.handed.push((first, Ok(chair)));
        Where::Handed
    }

    fn busy(&self, worker: u32) -> usize {
        THREADS - self.idle.iter().filter(|chair| chair.0 == worker).count()
    }

    /// Whether this slot is somewhere.
    fn has(&self, chair: Chair) -> bool {
        self.idle.contains(&chair)
            || self.held.contains(&chair)
            || self.handed.iter().any(|(_, told)| *told == Ok(chair))
    }
}

#[derive(Debug, PartialEq)]
enum Where {
    Idle,
    Handed,
    Stop,
    Stray,
}

fn name(placed: &Placed<Chair>) -> Where {
    match placed {
        Placed::Idle => Where::Idle,
        Placed::Handed(_) => Where::Handed,
        Placed::Stop(_) => Where::Stop,
        Placed::Stray(_) => Where::Stray,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn the_line_does_as_the_oracle_says(limit in 0_usize..4, steps in steps()) {
        let mut line = line(limit);
        let mut oracle = Oracle::default();
        for step in steps {
            match step {
                Step::Come => match line.take() {
                    Err(why) => {
                        prop_assert!(oracle.is_closed);
                        prop_assert_eq!(why, ErrorKind::Draining);
                    }
                    Ok(Some(chair)) => {
                        prop_assert!(!oracle.is_closed && oracle.waiting.is_empty());
                        let busy = oracle.busy(chair.0);
                        prop_assert!(oracle.idle.iter().all(|other| oracle.busy(other.0) >= busy));
                        prop_assert!(oracle.idle.remove(&chair));
                        oracle.held.push(chair);
                    }
                    Ok(None) => {
                        prop_assert!(oracle.idle.is_empty() && !oracle.is_closed);
                        let entered = enter(&mut line);
                        if oracle.waiting.len() >= limit {
                            prop_assert_eq!(entered, Err(ErrorKind::QueueFull));
                        } else {
                            oracle.waiting.push(entered.unwrap());
                        }
                    }
                },
                Step::Look(which) => {
                    if !oracle.handed.is_empty() {
                        let (number, told) = oracle.handed.remove(which % oracle.handed.len());
                        prop_assert_eq!(look(&mut line, number), Some(told));
                        oracle.held.extend(told.ok());
                    } else if !oracle.waiting.is_empty() {
                        let number = oracle.waiting[which % oracle.waiting.len()];
                        prop_assert_eq!(look(&mut line, number), None);
                    }
                }
                Step::Leave(which) => {
                    let all = oracle.handed.len() + oracle.waiting.len();
                    if all == 0 {
                        continue;
                    }
                    let which = which % all;
                    if which < oracle.handed.len() {
                        let (number, told) = oracle.handed.remove(which);
                        let (slot, _) = line.leave(number);
                        prop_assert_eq!(slot, told.ok());
                        if let Some(slot) = slot {
                            prop_assert_eq!(name(&line.give_back(slot)), oracle.place(slot));
                        }
                    } else {
                        let number = oracle.waiting.remove(which - oracle.handed.len());
                        prop_assert_eq!(line.leave(number).0, None);
                    }
                }
                Step::Done(which) => {
                    if !oracle.held.is_empty() {
                        let chair = oracle.held.remove(which % oracle.held.len());
                        prop_assert_eq!(name(&line.give_back(chair)), oracle.place(chair));
                    }
                }
                Step::Lose(which) => {
                    if !oracle.held.is_empty() {
                        oracle.held.remove(which % oracle.held.len());
                    }
                }
                Step::Dial(worker, slot) => {
                    let chair = Chair(worker, slot);
                    if !oracle.has(chair) {
                        oracle.known.insert(worker);
                        prop_assert_eq!(name(&line.add(chair)), oracle.place(chair));
                    }
                }
                Step::Retire(worker) => {
                    let mut stopped = line.retire(worker);
                    stopped.sort_unstable();
                    oracle.known.insert(worker);
                    oracle.retired.insert(worker);
                    let gone: Vec<_> = oracle.idle.iter().filter(|chair| chair.0 == worker).copied().collect();
                    oracle.idle.retain(|chair| chair.0 != worker);
                    prop_assert_eq!(stopped, gone);
                }
                Step::Remove(worker) => {
                    let _gone = line.remove(worker);
                    oracle.known.remove(&worker);
                    oracle.retired.remove(&worker);
                    oracle.idle.retain(|chair| chair.0 != worker);
                    // Whoever has such a slot learns it from the connection.
                    oracle.held.retain(|chair| chair.0 != worker);
                }
                Step::Close => {
                    let woken = line.close(ErrorKind::Draining).len();
                    prop_assert_eq!(woken, oracle.waiting.len());
                    let waiting = mem::take(&mut oracle.waiting);
                    let told = waiting.into_iter().map(|number| (number, Err(ErrorKind::Draining)));
                    oracle.handed.extend(told);
                    oracle.is_closed = true;
                }
                Step::Open => {
                    line.open();
                    oracle.is_closed = false;
                }
            }
            let load = line.load(Instant::now());
            prop_assert_eq!(load.idle, oracle.idle.len());
            prop_assert_eq!(load.waiting, oracle.waiting.len());
            prop_assert!(load.waiting == 0 || load.idle == 0);
            prop_assert!(load.waiting <= limit);
        }
    }
}
