//! One generation in the place of another.

use super::*;

#[test]
fn the_new_generation_is_whole_before_the_old_one_goes() {
    let mut test = Test::serving(rules(3));
    // Two at a time, since there is work to be done.
    assert_eq!(test.on(Event::Reload), [spawn(4, 2), spawn(5, 2)]);
    assert!(test.fleet.is_reloading());
    assert_eq!(test.ready(5), [spawn(6, 2)]);
    assert_eq!(test.ready(4), []);
    let switch = [
        Admit { id: 4 },
        Admit { id: 5 },
        Admit { id: 6 },
        retire(1, Why::Reload),
        retire(2, Why::Reload),
        retire(3, Why::Reload),
        Serving { generation: 2 },
    ];
    assert_eq!(test.ready(6), switch);
    assert!(!test.fleet.is_reloading());
    assert_eq!(test.fleet.generation(), 2);
}

#[test]
fn if_one_of_it_does_not_come_up_the_old_one_stays() {
    let mut test = Test::serving(rules(2));
    test.on(Event::Reload);
    test.ready(3);
    let broken = Broken {
        generation: 2,
        id: 4,
    };
    let actions = [Kill { id: 4 }, broken, Kill { id: 3 }];
    assert_eq!(test.on(Event::BootFailed(4)), actions);
    assert_eq!(test.fleet.generation(), 1);
    assert!(!test.fleet.is_backing_off());
    for id in [3, 4] {
        assert_eq!(test.on(Event::Exited(id)), []);
    }
    // The next one is another.
    assert_eq!(test.on(Event::Reload), [spawn(5, 3), spawn(6, 3)]);
}

#[test]
fn one_that_dies_before_the_others_are_there_breaks_it_as_well() {
    let mut test = Test::serving(rules(2));
    test.on(Event::Reload);
    test.ready(3);
    let broken = Broken {
        generation: 2,
        id: 3,
    };
    assert_eq!(test.on(Event::Exited(3)), [broken, Kill { id: 4 }]);
}

#[test]
fn what_is_asked_for_meanwhile_comes_after() {
    let mut test = Test::serving(rules(1));
    assert_eq!(test.on(Event::Reload), [spawn(2, 2)]);
    assert_eq!(test.on(Event::Reload), []);
    assert_eq!(test.on(Event::Reload), []);
    let switch = [
        Admit { id: 2 },
        retire(1, Why::Reload),
        Serving { generation: 2 },
        spawn(3, 3),
    ];
    assert_eq!(test.ready(2), switch);
    test.ready(3);
    assert_eq!(test.fleet.generation(), 3);
    assert!(!test.fleet.is_reloading());
}

#[test]
fn after_a_broken_one_too() {
    let mut test = Test::serving(rules(1));
    test.on(Event::Reload);
    test.on(Event::Reload);
    let broken = Broken {
        generation: 2,
        id: 2,
    };
    let actions = [Kill { id: 2 }, broken, spawn(3, 3)];
    assert_eq!(test.on(Event::BootFailed(2)), actions);
}

#[test]
fn better_a_part_of_the_new_one_than_nobody() {
    let mut test = Test::serving(rules(2));
    test.on(Event::Reload);
    test.ready(3);
    test.after(Duration::from_secs(1));
    test.on(Event::Exited(1));
    assert_eq!(
        test.on(Event::Exited(2)),
        [Crashed { id: 2 }, Admit { id: 3 }]
    );
    // And it stays though the other one does not come up.
    let broken = Broken {
        generation: 2,
        id: 4,
    };
    assert_eq!(test.on(Event::BootFailed(4)), [Kill { id: 4 }, broken]);
    assert_eq!(test.fleet.generation(), 2);
    assert!(test.fleet.is_backing_off());
    assert_eq!(test.after(Duration::from_millis(100)), [spawn(5, 2)]);
}

#[test]
fn a_reload_ends_the_wait_for_the_next_boot() {
    let mut test = Test::serving(rules(1));
    test.on(Event::Exited(1));
    for id in 2..9 {
        test.on(Event::Exited(id));
        test.after(Duration::from_secs(30));
    }
    test.on(Event::Exited(9));
    assert!(test.fleet.retry_in(test.now) > Duration::from_secs(10));
    assert_eq!(test.on(Event::Reload), [spawn(10, 2)]);
    test.ready(10);
    assert!(!test.fleet.is_backing_off());
}

#[test]
fn a_shutdown_ends_it() {
    let mut test = Test::serving(rules(1));
    test.on(Event::Reload);
    assert_eq!(
        test.on(Event::Shutdown),
        [retire(1, Why::Shutdown), Kill { id: 2 }]
    );
    test.on(Event::Exited(1));
    assert_eq!(test.on(Event::Exited(2)), [Stopped]);
}

#[test]
fn one_that_was_booting_for_the_old_one_is_let_in_meanwhile() {
    let mut test = Test::serving(rules(2));
    assert_eq!(test.on(Event::Exited(1)), [Crashed { id: 1 }, spawn(3, 1)]);
    test.on(Event::Reload);
    assert_eq!(test.ready(3), [Admit { id: 3 }]);
    // But nobody else is booted for it.
    assert_eq!(test.on(Event::Exited(2)), [Crashed { id: 2 }]);
}

#[test]
fn fewer_in_the_midst_of_a_reload_are_fewer_of_both() {
    let mut test = Test::serving(rules(3));
    assert_eq!(test.on(Event::Reload), [spawn(4, 2), spawn(5, 2)]);
    // Three old ones would be all the processes that there may be for one worker.
    assert_eq!(
        test.on(Event::Resize(1, 1)),
        [
            retire(3, Why::Surplus),
            retire(2, Why::Surplus),
            Kill { id: 5 }
        ]
    );
    assert_eq!(
        test.on(Event::BootFailed(4)),
        [
            Kill { id: 4 },
            Broken {
                generation: 2,
                id: 4
            }
        ]
    );
    for id in [2, 3, 4, 5] {
        test.on(Event::Exited(id));
    }
    assert_eq!(test.on(Event::Reload), [spawn(6, 3)]);
    assert_eq!(test.ready(6).last(), Some(&Serving { generation: 3 }));
}
