//! Every interleaving of a few tasks at a gate: nobody is forgotten, and there are never too many in.
//!
//! loom runs each of these as often as there are orders in which the threads' steps can be seen, up
//! to two (three where there are but two threads) switches between threads at a step that did not ask for one.

mod sync {
    pub(super) use loom::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    };

    pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().expect("no thread panics")
    }
}

// The code itself, on loom's types.
// What only the real one needs is not used here.
#[allow(dead_code)]
#[allow(clippy::duplicate_mod)]
#[path = "../gate.rs"]
mod gate;

use std::{
    future::poll_fn,
    time::{Duration, Instant},
};

use loom::{
    future::block_on,
    model::Builder,
    sync::{Arc, atomic::AtomicBool},
    thread,
};

use self::{
    gate::{Entry, Gate, GaveUp},
    sync::{
        AtomicUsize,
        Ordering::{Relaxed, SeqCst},
    },
};
use super::line::{self, PerKey, Refusal, Rules, Share, Ticket};

struct Model {
    gate: Gate<u8>,
    /// How much is really in.
    inside: AtomicUsize,
    most: usize,
    now: tokio::time::Instant,
}

fn rules(places: usize) -> Rules {
    Rules {
        places,
        patience: Duration::from_secs(1),
        overload: None,
        per_key: None,
        classes: vec![Share::default()],
    }
}

fn ticket(cost: usize) -> Ticket<u8> {
    Ticket {
        cost,
        class: 0,
        key: None,
    }
}

impl Model {
    fn new(limit: usize, rules: Rules) -> Arc<Self> {
        Arc::new(Self {
            gate: Gate::new(limit, rules),
            inside: AtomicUsize::new(0),
            most: limit,
            now: Instant::now().into(),
        })
    }

    fn enter(&self, ticket: &mut Ticket<u8>) -> Entry {
        self.gate.enter(ticket, || self.now)
    }

    /// Goes in, however long it takes; whether it was turned away.
    fn visit(&self, ticket: &Ticket<u8>) -> Result<(), Refusal> {
        let mut ticket = ticket.clone();
        match self.enter(&mut ticket) {
            Entry::In => {}
            Entry::Refused(refusal) => return Err(refusal),
            Entry::Waits(number, _) => {
                ticket = block_on(poll_fn(|cx| self.gate.poll(number, cx.waker())))?;
            }
        }
        self.work(&ticket);
        Ok(())
    }

    fn work(&self, ticket: &Ticket<u8>) {
        let before = self.inside.fetch_add(ticket.cost, SeqCst);
        assert!(before + ticket.cost <= self.most, "too many are in");
        self.inside.fetch_sub(ticket.cost, SeqCst);
        self.gate.exit(ticket, || self.now);
    }

    fn assert_empty(&self) {
        assert_eq!((self.gate.in_use(), self.gate.waiting()), (0, 0));
        assert_eq!(self.gate.look(line::Line::keys), 0);
    }
}

fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// Each of these visits in a thread of its own, and nobody is turned away.
fn all_go_in(preemptions: usize, limit: usize, rules: &Rules, visits: &[Ticket<u8>]) {
    let (rules, visits) = (rules.clone(), visits.to_vec());
    check(preemptions, move || {
        let model = Model::new(limit, rules.clone());
        let others: Vec<_> = visits[1..]
            .iter()
            .cloned()
            .map(|ticket| {
                let model = Arc::clone(&model);
                thread::spawn(move || model.visit(&ticket))
            })
            .collect();
        model.visit(&visits[0]).expect("there is a place");
        for other in others {
            other.join().expect("no panic").expect("there is a place");
        }
        model.assert_empty();
    });
}

#[test]
fn two_for_one_place() {
    all_go_in(3, 1, &rules(2), &[ticket(1), ticket(1)]);
}

#[test]
fn three_for_one_place() {
    all_go_in(2, 1, &rules(2), &[ticket(1), ticket(1), ticket(1)]);
}

#[test]
fn one_that_takes_all_and_two_that_do_not() {
    all_go_in(2, 2, &rules(2), &[ticket(2), ticket(1), ticket(1)]);
}

#[test]
fn by_key() {
    let rules = Rules {
        per_key: Some(PerKey { max: 1, places: 2 }),
        ..rules(3)
    };
    let of = |key| Ticket {
        key: Some(key),
        ..ticket(1)
    };
    all_go_in(2, 2, &rules, &[of(1), of(1), of(2)]);
}

#[test]
fn one_leaves_while_another_waits_behind_him() {
    check(2, || {
        let model = Model::new(1, rules(2));
        let leaves = thread::spawn({
            let model = Arc::clone(&model);
            move || match model.enter(&mut ticket(1)) {
                Entry::In => model.work(&ticket(1)),
                Entry::Waits(number, _) => drop(model.gate.abandon(number, model.now)),
                Entry::Refused(refusal) => panic!("{refusal:?}"),
            }
        });
        let other = thread::spawn({
            let model = Arc::clone(&model);
            move || model.visit(&ticket(1))
        });
        model.visit(&ticket(1)).expect("there is a place");
        leaves.join().expect("no panic");
        other.join().expect("no panic").expect("there is a place");
        model.assert_empty();
    });
}

#[test]
fn patience_ends_as_the_turn_comes() {
    check(3, || {
        let model = Model::new(1, rules(1));
        let impatient = thread::spawn({
            let model = Arc::clone(&model);
            move || match model.enter(&mut ticket(1)) {
                Entry::In => model.work(&ticket(1)),
                Entry::Waits(number, _) => match model.gate.give_up(number, model.now) {
                    GaveUp::In(ticket) => model.work(&ticket),
                    out => assert_eq!(out, GaveUp::Out { by_key: false }),
                },
                Entry::Refused(refusal) => panic!("{refusal:?}"),
            }
        });
        model.visit(&ticket(1)).expect("there is a place");
        impatient.join().expect("no panic");
        model.assert_empty();
    });
}

#[test]
fn a_larger_limit_lets_in_who_waits() {
    check(3, || {
        let model = Model::new(2, rules(1));
        model.gate.resize(1, model.now);
        let mut first = ticket(1);
        assert_eq!(model.enter(&mut first), Entry::In, "there is room");
        let second = thread::spawn({
            let model = Arc::clone(&model);
            move || model.visit(&ticket(1))
        });
        model.gate.resize(2, model.now);
        second.join().expect("no panic").expect("there is a place");
        model.gate.exit(&first, || model.now);
        model.assert_empty();
    });
}

#[test]
fn without_a_queue_one_of_two_is_turned_away_or_both_go_in() {
    check(3, || {
        let model = Model::new(1, rules(0));
        let other = thread::spawn({
            let model = Arc::clone(&model);
            move || model.visit(&ticket(1))
        });
        let here = model.visit(&ticket(1));
        let there = other.join().expect("no panic");
        assert!(here.is_ok() || there.is_ok());
        model.assert_empty();
    });
}

#[test]
fn by_class_and_cost() {
    let share = |priority, reserve| Share { priority, reserve };
    let rules = Rules {
        classes: vec![share(0, 1), share(1, 0)],
        ..rules(3)
    };
    let of = |class, cost| Ticket {
        class,
        ..ticket(cost)
    };
    all_go_in(2, 2, &rules, &[of(0, 1), of(1, 2), of(0, 2)]);
}

/// As a drain does it: it says that nobody is to come in, and then looks whether somebody is in;
/// whoever comes in looks afterwards whether he may, and whoever goes out, whether he is waited for.
#[test]
fn a_drain_and_the_last_one() {
    check(4, || {
        let model = Model::new(1, rules(0));
        let is_draining = Arc::new(AtomicBool::new(false));
        let other = thread::spawn({
            let (model, is_draining) = (Arc::clone(&model), Arc::clone(&is_draining));
            move || {
                let mut ticket = ticket(1);
                assert_eq!(model.enter(&mut ticket), Entry::In, "there is room");
                assert!(model.gate.exit(&ticket, || model.now), "he was alone");
                is_draining.load(Relaxed)
            }
        });
        is_draining.store(true, Relaxed);
        let was_idle = model.gate.is_idle();
        let tells = other.join().expect("no panic");
        assert!(was_idle || tells, "nobody says that it is over");
    });
}

#[test]
fn a_drain_that_is_over_and_one_who_comes() {
    check(4, || {
        let model = Model::new(1, rules(0));
        let is_draining = Arc::new(AtomicBool::new(false));
        let other = thread::spawn({
            let (model, is_draining) = (Arc::clone(&model), Arc::clone(&is_draining));
            move || {
                assert_eq!(model.enter(&mut ticket(1)), Entry::In);
                !is_draining.load(Relaxed)
            }
        });
        is_draining.store(true, Relaxed);
        let was_idle = model.gate.is_idle();
        let is_in = other.join().expect("no panic");
        assert!(!(was_idle && is_in), "the drain did not see him");
    });
}
