//! Workers that have worked enough.

use super::*;

fn worked(id: Id) -> Facts {
    Facts {
        id,
        requests: 100,
        ..Facts::default()
    }
}

fn recycling(workers: usize) -> Rules {
    Rules {
        max_requests: Some(Bound {
            limit: 100,
            jitter: 0,
        }),
        ..rules(workers)
    }
}

#[test]
fn a_replacement_is_ready_before_its_predecessor_goes() {
    let mut test = Test::serving(recycling(2));
    let mut facts = worked(1);
    facts.requests = 99;
    assert_eq!(test.look(facts), []);
    assert_eq!(test.look(worked(1)), [spawn(3, 1)]);
    assert!(matches!(test.state(1), Some(State::Leaving { .. })));
    assert_eq!(
        test.ready(3),
        [Admit { id: 3 }, retire(1, Why::MaxRequests)]
    );
    assert_eq!(test.after(GRACEFUL), [Kill { id: 1 }]);
    assert_eq!(test.on(Event::Exited(1)), []);
}

#[test]
fn one_at_a_time() {
    let mut test = Test::serving(recycling(2));
    assert_eq!(test.look(worked(1)), [spawn(3, 1)]);
    assert_eq!(test.look(worked(2)), []);
    test.ready(3);
    // Not as long as the first of them is there.
    assert_eq!(test.look(worked(2)), []);
    test.on(Event::Exited(1));
    assert_eq!(test.look(worked(2)), [spawn(4, 1)]);
}

#[test]
fn a_quarter_of_many_at_a_time() {
    let mut test = Test::serving(recycling(8));
    let facts = (1..=8).map(worked).collect();
    let actions = test.on(Event::Looked(facts, Demand::default()));
    assert_eq!(actions, [spawn(9, 1), spawn(10, 1)]);
}

#[test]
fn it_works_on_while_its_replacement_does_not_come_up() {
    let mut test = Test::serving(recycling(1));
    test.look(worked(1));
    let failed = [Kill { id: 2 }, BootFailed { id: 2 }];
    assert_eq!(test.on(Event::BootFailed(2)), failed);
    assert!(matches!(test.state(1), Some(State::Leaving { .. })));
    assert!(test.fleet.serves());
    assert_eq!(test.after(Duration::from_millis(100)), [spawn(3, 1)]);
    assert_eq!(
        test.ready(3),
        [Admit { id: 3 }, retire(1, Why::MaxRequests)]
    );
}

#[test]
fn a_boot_that_failed_is_forgotten_when_nobody_is_missing_any_more() {
    let mut test = Test::serving(recycling(2));
    test.look(worked(1));
    test.on(Event::BootFailed(3));
    // The one that was to be replaced is one too many now, so that nobody is booted who could show
    // that boots work again.
    assert_eq!(test.on(Event::Resize(1, 1)), [retire(1, Why::MaxRequests)]);
    test.on(Event::Exited(1));
    assert!(test.fleet.is_backing_off());
    assert_eq!(
        test.fleet.due(),
        Some(test.now + Duration::from_millis(100))
    );
    assert_eq!(test.after(Duration::from_millis(100)), []);
    assert!(!test.fleet.is_backing_off());
    assert_eq!(test.look(worked(2)), [spawn(4, 1)]);
}

#[test]
fn nobody_is_recycled_while_somebody_is_missing() {
    let mut test = Test::serving(recycling(2));
    test.on(Event::Exited(2));
    assert_eq!(test.look(worked(1)), []);
    test.ready(3);
    assert_eq!(test.look(worked(1)), [spawn(4, 1)]);
}

#[test]
fn the_old_and_the_fat_are_recycled_too() {
    let lifetime = Duration::from_secs(3600);
    let mut test = Test::serving(Rules {
        max_lifetime: Some(Bound {
            limit: lifetime,
            jitter: Duration::ZERO,
        }),
        max_memory: Some(1 << 20),
        ..rules(1)
    });
    let mut facts = Facts {
        id: 1,
        memory: Some((1 << 20) - 1),
        ..Facts::default()
    };
    assert_eq!(test.look(facts), []);
    facts.memory = Some(1 << 20);
    assert_eq!(test.look(facts), [spawn(2, 1)]);
    assert_eq!(test.ready(2), [Admit { id: 2 }, retire(1, Why::MaxMemory)]);
    test.on(Event::Exited(1));

    assert_eq!(test.fleet.due(), Some(test.now + lifetime));
    assert_eq!(test.after(lifetime), [spawn(3, 1)]);
    assert_eq!(
        test.ready(3),
        [Admit { id: 3 }, retire(2, Why::MaxLifetime)]
    );
}

#[test]
fn not_all_get_the_same_limit() {
    let mut test = Test::new(Rules {
        max_requests: Some(Bound {
            limit: 100,
            jitter: 10,
        }),
        boots: 100,
        ..rules(100)
    });
    test.on(Event::Tick);
    let limits = test.fleet.members.iter().map(|member| member.max_requests);
    let limits: std::collections::BTreeSet<_> = limits.flatten().collect();
    let all: std::collections::BTreeSet<_> = (100..=110).collect();
    assert_eq!(limits, all);
}
