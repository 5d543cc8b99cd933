//! Events and times in, actions out.

#![allow(clippy::unwrap_used)]

mod recycling;
mod reloading;
mod simulation;

use std::time::Duration;

use tokio::time::Instant;

use super::{Action::*, *};

const STARTUP: Duration = Duration::from_secs(60);
const GRACEFUL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);

fn rules(workers: usize) -> Rules {
    Rules {
        min: workers,
        max: workers,
        threads: 1,
        boots: 8,
        startup_timeout: STARTUP,
        graceful_timeout: GRACEFUL,
        request_timeout: TIMEOUT,
        max_requests: None,
        max_lifetime: None,
        max_memory: None,
    }
}

/// A fleet, and the time.
struct Test {
    fleet: Fleet,
    now: Instant,
}

impl Test {
    /// Before the first event.
    fn new(rules: Rules) -> Self {
        Self {
            fleet: Fleet::new(rules, 1),
            now: Instant::now(),
        }
    }

    /// All of its workers are ready, and have been so for a while.
    fn serving(rules: Rules) -> Self {
        let workers = rules.min as Id;
        let mut test = Self::new(rules);
        test.on(Event::Tick);
        for id in 1..=workers {
            test.ready(id);
        }
        assert_eq!(test.fleet.generation(), 1);
        test.after(Duration::from_secs(5));
        test
    }

    fn on(&mut self, event: Event) -> Vec<Action> {
        self.fleet.on(event, self.now)
    }

    fn after(&mut self, time: Duration) -> Vec<Action> {
        self.now += time;
        self.on(Event::Tick)
    }

    /// A worker comes up.
    fn ready(&mut self, id: Id) -> Vec<Action> {
        let mut actions = self.on(Event::Spawned(id));
        for _ in 0..self.fleet.rules.threads {
            actions.extend(self.on(Event::Hello(id)));
        }
        actions
    }

    fn look(&mut self, facts: Facts) -> Vec<Action> {
        self.on(Event::Looked(vec![facts], Demand::default()))
    }

    fn state(&self, id: Id) -> Option<State> {
        let mut states = self.fleet.states();
        states
            .find(|(other, ..)| *other == id)
            .map(|(.., state)| state)
    }
}

fn spawn(id: Id, generation: u32) -> Action {
    Spawn { id, generation }
}

fn retire(id: Id, why: Why) -> Action {
    Retire { id, why }
}

#[test]
fn all_boot_at_once_and_serve_when_all_are_there() {
    let mut test = Test::new(rules(2));
    assert_eq!(test.on(Event::Tick), [spawn(1, 1), spawn(2, 1)]);
    assert_eq!(test.ready(2), []);
    let serving = Serving { generation: 1 };
    assert_eq!(test.ready(1), [Admit { id: 1 }, Admit { id: 2 }, serving]);
    assert_eq!(test.fleet.due(), None);
}

#[test]
fn no_more_boot_at_once_than_there_are_cpus() {
    let mut test = Test::new(Rules {
        boots: 2,
        ..rules(3)
    });
    assert_eq!(test.on(Event::Tick), [spawn(1, 1), spawn(2, 1)]);
    assert_eq!(test.ready(1), [spawn(3, 1)]);
}

#[test]
fn a_worker_is_ready_when_all_of_its_slots_are() {
    let mut test = Test::new(Rules {
        threads: 3,
        ..rules(1)
    });
    test.on(Event::Tick);
    test.on(Event::Spawned(1));
    for _ in 0..2 {
        assert_eq!(test.on(Event::Hello(1)), []);
    }
    let serving = Serving { generation: 1 };
    assert_eq!(test.on(Event::Hello(1)), [Admit { id: 1 }, serving]);
    // One that dials again is nothing new.
    assert_eq!(test.on(Event::Hello(1)), []);
}

#[test]
fn whatever_fails_at_the_first_boot_stops_everything() {
    type Fails = fn(&mut Test) -> Vec<Action>;
    let broken = Broken {
        generation: 1,
        id: 2,
    };
    let table: [(&str, Fails, Vec<Action>); 4] = [
        (
            "no application",
            |test| test.on(Event::BootFailed(2)),
            vec![Kill { id: 2 }, broken.clone(), Kill { id: 1 }],
        ),
        (
            "an exit",
            |test| test.on(Event::Exited(2)),
            vec![broken.clone(), Kill { id: 1 }],
        ),
        (
            "a slow boot",
            |test| {
                assert_eq!(test.fleet.due(), Some(test.now + STARTUP));
                test.after(STARTUP)
            },
            vec![
                Overdue { id: 2 },
                Kill { id: 2 },
                broken.clone(),
                Kill { id: 1 },
            ],
        ),
        (
            "a SIGTERM",
            |test| test.on(Event::Bye(2)),
            vec![Kill { id: 2 }, broken.clone(), Kill { id: 1 }],
        ),
    ];
    for (what, fails, expected) in table {
        let mut test = Test::new(rules(2));
        test.on(Event::Tick);
        test.on(Event::Spawned(2));
        assert_eq!(fails(&mut test), expected, "{what}");
        assert!(test.fleet.is_stopping());
        let mut last = Vec::new();
        for id in [2, 1] {
            last.extend(test.on(Event::Exited(id)));
        }
        assert_eq!(last, [Stopped], "{what}");
    }
}

#[test]
fn one_that_crashes_is_replaced_at_once() {
    let mut test = Test::serving(rules(2));
    assert_eq!(test.on(Event::Exited(1)), [Crashed { id: 1 }, spawn(3, 1)]);
    assert_eq!(test.ready(3), [Admit { id: 3 }]);
    assert!(!test.fleet.is_backing_off());
}

#[test]
fn what_crashes_as_soon_as_it_is_ready_is_tried_again_later_and_later() {
    let mut test = Test::serving(rules(1));
    test.on(Event::Exited(1));
    let mut pause = Duration::from_millis(100);
    for id in 2..20 {
        test.ready(id);
        assert_eq!(test.on(Event::Exited(id)), [Crashed { id }]);
        assert!(test.fleet.is_backing_off());
        assert_eq!(test.fleet.due(), Some(test.now + pause));
        assert_eq!(test.after(pause - Duration::from_nanos(1)), []);
        assert_eq!(test.after(Duration::from_nanos(1)), [spawn(id + 1, 1)]);
        pause = (pause * 2).min(Duration::from_secs(30));
    }
    // It stays at last.
    test.ready(20);
    assert_eq!(test.fleet.due(), Some(test.now + Duration::from_secs(1)));
    test.after(Duration::from_secs(1));
    assert!(!test.fleet.is_backing_off());
}

#[test]
fn while_boots_fail_one_is_tried_for_all() {
    let mut test = Test::serving(rules(3));
    for id in [1, 2, 3] {
        test.on(Event::Exited(id));
    }
    // Their replacements do not come up.
    assert_eq!(
        test.on(Event::BootFailed(4)),
        [Kill { id: 4 }, BootFailed { id: 4 }]
    );
    assert_eq!(test.on(Event::Exited(5)), [BootFailed { id: 5 }]);
    assert_eq!(test.on(Event::Exited(6)), [BootFailed { id: 6 }]);
    assert_eq!(test.after(Duration::from_millis(400)), [spawn(7, 1)]);
    assert_eq!(test.after(Duration::from_secs(50)), []);
    assert_eq!(test.ready(7), [Admit { id: 7 }]);
    // And has to stay before the others are started.
    assert_eq!(test.after(Duration::from_millis(999)), []);
    assert_eq!(
        test.after(Duration::from_millis(1)),
        [spawn(8, 1), spawn(9, 1)]
    );
}

#[test]
fn a_stuck_worker_writes_down_where_and_is_replaced_at_once() {
    let mut test = Test::serving(rules(2));
    let actions = [Dump { id: 1 }, retire(1, Why::TimedOut), spawn(3, 1)];
    assert_eq!(test.on(Event::TimedOut(1)), actions);
    // Once is enough.
    assert_eq!(test.on(Event::TimedOut(1)), []);
    assert_eq!(test.fleet.due(), Some(test.now + Duration::from_secs(1)));
    assert_eq!(test.after(Duration::from_secs(1)), [Kill { id: 1 }]);
    assert_eq!(test.on(Event::Exited(1)), []);
}

#[test]
fn siblings_of_a_stuck_thread_have_the_graceful_timeout() {
    let mut test = Test::serving(Rules {
        threads: 4,
        ..rules(1)
    });
    let busy = |busy| Facts {
        id: 1,
        busy,
        ..Facts::default()
    };
    test.look(busy(2));
    test.on(Event::TimedOut(1));
    assert_eq!(test.after(Duration::from_secs(20)), []);
    test.look(busy(1));
    assert_eq!(test.after(Duration::from_secs(9)), []);
    // The last of them is done.
    assert_eq!(test.look(busy(0)), [Kill { id: 1 }]);

    let mut test = Test::serving(Rules {
        threads: 4,
        ..rules(1)
    });
    test.look(busy(2));
    test.on(Event::TimedOut(1));
    assert_eq!(test.after(GRACEFUL), [Kill { id: 1 }]);
}

#[test]
fn a_thread_that_does_not_dial_again_costs_the_worker_its_place() {
    let mut test = Test::serving(rules(1));
    let since = test.now;
    let lost = |lost, abandoned| Facts {
        id: 1,
        lost,
        abandoned,
        ..Facts::default()
    };
    let patience = Duration::from_secs(10);
    test.after(patience - Duration::from_nanos(1));
    assert_eq!(test.look(lost(Some(since), None)), []);
    // What it was at when the client left may go on as long as any request.
    assert_eq!(test.look(lost(None, Some(since))), []);
    test.after(TIMEOUT);
    assert_eq!(test.look(lost(None, Some(since))), []);
    test.after(Duration::from_nanos(1));
    let replaced = [Dump { id: 1 }, retire(1, Why::LostSlot), spawn(2, 1)];
    assert_eq!(test.look(lost(None, Some(since))), replaced);

    let mut test = Test::serving(rules(1));
    let since = test.now;
    test.after(patience);
    assert_eq!(test.look(lost(Some(since), None)), replaced);
}

#[test]
fn one_that_says_bye_finishes_what_it_is_at() {
    let mut test = Test::serving(rules(2));
    assert_eq!(test.on(Event::Bye(2)), [retire(2, Why::Asked), spawn(3, 1)]);
    assert_eq!(test.on(Event::Exited(2)), []);
}

#[test]
fn a_shutdown_waits_for_what_runs_but_not_for_ever() {
    let mut test = Test::serving(rules(2));
    test.on(Event::Exited(1));
    let retires = retire(2, Why::Shutdown);
    assert_eq!(test.on(Event::Shutdown), [retires, Kill { id: 3 }]);
    assert_eq!(test.on(Event::Shutdown), []);
    assert_eq!(test.on(Event::Reload), []);
    assert_eq!(test.on(Event::Exited(3)), []);
    assert_eq!(test.after(GRACEFUL), [Kill { id: 2 }]);
    assert_eq!(test.on(Event::Exited(2)), [Stopped]);
    assert!(test.fleet.is_stopped());
}

#[test]
fn what_the_kernel_does_not_let_go_of_is_not_waited_for() {
    let mut test = Test::serving(rules(1));
    test.on(Event::Shutdown);
    assert_eq!(test.after(GRACEFUL), [Kill { id: 1 }]);
    let due = test.fleet.due().unwrap();
    assert_eq!(due, test.now + Duration::from_secs(5));
    assert_eq!(test.after(due - test.now), [Stopped]);
}

#[test]
fn another_number_of_workers_is_another_number_of_workers() {
    let mut test = Test::serving(rules(2));
    assert_eq!(test.on(Event::Resize(4, 4)), [spawn(3, 1), spawn(4, 1)]);
    test.ready(3);
    // Who boots goes first, and then the youngest.
    let fewer = [
        Kill { id: 4 },
        retire(3, Why::Surplus),
        retire(2, Why::Surplus),
    ];
    assert_eq!(test.on(Event::Resize(1, 1)), fewer);
    assert_eq!(test.fleet.size(), (1, 1, 1));
}

#[test]
fn the_number_follows_the_work() {
    let mut test = Test::serving(Rules { max: 3, ..rules(1) });
    let overload = Demand {
        idle: 0,
        busy: 1,
        oldest_wait: Some(Duration::from_millis(100)),
    };
    let look = |test: &mut Test, demand| test.on(Event::Looked(Vec::new(), demand));
    assert_eq!(look(&mut test, overload), [spawn(2, 1)]);
    test.ready(2);
    test.after(Duration::from_secs(1));
    assert_eq!(look(&mut test, overload), [spawn(3, 1)]);
    test.ready(3);
    for retires in [3, 2] {
        assert_eq!(look(&mut test, Demand::default()), []);
        test.after(Duration::from_secs(60));
        let fewer = [retire(retires, Why::Surplus)];
        assert_eq!(look(&mut test, Demand::default()), fewer);
    }
}

#[test]
fn no_time_and_no_number_is_too_large() {
    let ever = Duration::MAX;
    let bound = Bound {
        limit: ever,
        jitter: ever,
    };
    let mut test = Test::serving(Rules {
        max: usize::MAX,
        startup_timeout: ever,
        graceful_timeout: ever,
        request_timeout: ever,
        max_lifetime: Some(bound),
        ..rules(2)
    });
    let facts = Facts {
        id: 1,
        abandoned: Some(test.now),
        ..Facts::default()
    };
    assert_eq!(test.look(facts), []);
    assert_eq!(
        test.on(Event::TimedOut(1)),
        [Dump { id: 1 }, retire(1, Why::TimedOut), spawn(3, 1)]
    );
    assert_eq!(test.on(Event::Bye(2)), [retire(2, Why::Asked), spawn(4, 1)]);
    test.ready(3);
    test.on(Event::Shutdown);
    assert!(matches!(test.state(3), Some(State::Draining { .. })));
}
