//! Who is next, case by case.
#![allow(clippy::unwrap_used)] // In a test it is an assertion.

use super::*;

mod oracle;

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

/// A slot that keeps in mind whose requests its worker has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Thread {
    chair: Chair,
    ahead: VecDeque<Number>,
    /// Whether it is at one of them.
    was_sent: bool,
}

impl Thread {
    fn new(chair: Chair) -> Self {
        Self {
            chair,
            ahead: VecDeque::new(),
            was_sent: false,
        }
    }
}

impl Seat for Thread {
    type Letter = &'static str;

    fn next(&mut self) -> Option<Number> {
        let next = self.ahead.pop_front();
        self.was_sent = next.is_some();
        next
    }

    fn worker(&self) -> u32 {
        self.chair.0
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

#[test]
fn who_was_sent_ahead_waits_for_one_slot_and_else_where_he_was() {
    let mut line: Line<Thread> = Line::new(4);
    let _idle = line.add(Thread::new(Chair(0, 0)));
    let mut busy = line.take().unwrap().unwrap();
    let enter = |line: &mut Line<Thread>, letter| {
        line.enter(Instant::now(), Waker::noop(), letter).unwrap()
    };
    let first = enter(&mut line, Some("first"));
    let second = enter(&mut line, Some("second"));
    let third = enter(&mut line, None);
    let fourth = enter(&mut line, Some("fourth"));
    // Not to a worker that is not known.
    assert_eq!(line.ahead(7), None);
    for letter in ["first", "second"] {
        let (number, sent) = line.ahead(0).unwrap();
        busy.ahead.push_back(number);
        assert_eq!(sent, letter);
    }
    // The third cannot be, and so the fourth is not.
    assert_eq!(line.ahead(0), None);
    assert_eq!(
        line.enter(Instant::now(), Waker::noop(), None),
        Err(ErrorKind::QueueFull)
    );
    assert!(matches!(line.give_back(busy), Placed::Handed(_)));
    let told = line.look(first, Waker::noop()).unwrap().unwrap();
    assert_eq!((told.chair, told.was_sent), (Chair(0, 0), true));
    // Its connection ends: the second is before the third again, and not sent ahead once more.
    assert_eq!(line.take_back(told.ahead.into_iter()).len(), 0);
    assert_eq!(line.ahead(0), None);
    for number in [second, third, fourth] {
        let slot = Thread::new(Chair(0, 0));
        assert!(matches!(line.add(slot), Placed::Handed(_)));
        let told = line.look(number, Waker::noop()).unwrap().unwrap();
        assert!(!told.was_sent);
    }
    // One that retires answers what it has, and is sent no more.
    let fifth = enter(&mut line, Some("fifth"));
    let sixth = enter(&mut line, Some("sixth"));
    let mut busy = Thread::new(Chair(0, 0));
    busy.ahead.push_back(line.ahead(0).unwrap().0);
    assert_eq!(line.retire(0), []);
    assert_eq!(line.ahead(0), None);
    assert!(matches!(line.give_back(busy), Placed::Handed(_)));
    let told = line.look(fifth, Waker::noop()).unwrap().unwrap();
    assert!(matches!(line.give_back(told), Placed::Stop(_)));
    assert!(line.look(sixth, Waker::noop()).is_err());
}
