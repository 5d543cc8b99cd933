//! Windows whose numbers were computed by hand.

use std::{panic, time::Duration};

use super::super::{Aimd, Gradient2, LimitAlgorithm, Outcome, Sample, Vegas};

const MS: Duration = Duration::from_millis(1);

/// One window of requests that take `latency` milliseconds each, the first `overloads` of which
/// are overloads. As many end in that time as end with `in_flight` of them at once.
fn window(limit: &mut dyn LimitAlgorithm, latency: u32, in_flight: u32, overloads: u32) -> usize {
    let first = Duration::from_secs(10);
    for i in 0..=2 * in_flight {
        let outcome = match i < overloads {
            true => Outcome::Overload,
            false => Outcome::Success,
        };
        let at = first + MS * latency * i / in_flight;
        limit.observe(&Sample::new(at, MS * latency, in_flight as usize, outcome));
    }
    limit.limit()
}

/// The requests of the first probe, of 100 milliseconds each: one to settle and two to look, with
/// 20 at once; eight to settle and sixteen to measure, with 10.
fn at_rest<L: LimitAlgorithm>(mut limit: L) -> L {
    let mut limits = Vec::new();
    for i in 1..=(20 + 40 + 80 + 160) {
        let sample = Sample::new(MS * 30 * i, MS * 100, 10, Outcome::Success);
        limits.push(limit.observe(&sample));
    }
    limits.dedup();
    assert_eq!(limits, [20, 10, 20]);
    limit
}

#[test]
fn aimd_goes_up_by_one_and_down_by_a_tenth() {
    // Milliseconds, in flight, overloads of two times as many and one.
    for (latency, in_flight, overloads, limit) in [
        (100, 20, 0, 21),
        (100, 20, 4, 21),
        (100, 20, 5, 18),
        (100, 11, 0, 20),
        (100, 15, 0, 21),
        (100, 15, 4, 18),
        // Half of it is in use.
        (100, 10, 0, 20),
        // 5 seconds are not slow.
        (5000, 20, 0, 21),
        (5001, 20, 0, 18),
    ] {
        let case = (latency, in_flight, overloads);
        let seen = window(&mut Aimd::new(), latency, in_flight, overloads);
        assert_eq!(seen, limit, "{case:?}");
    }
    assert_eq!(window(&mut Aimd::new().backoff(0.5), 100, 20, 41), 10);
    assert_eq!(window(&mut Aimd::new().slow(MS * 99), 100, 20, 0), 18);
    assert_eq!(window(&mut Aimd::new().range(19..=20), 100, 20, 0), 20);
    assert_eq!(window(&mut Aimd::new().range(19..=20), 100, 20, 41), 19);
}

#[test]
fn aimd_takes_back_only_what_is_in_the_application() {
    // The rest of 200 are bodies that are still sent. Thirty of 0.1 seconds in 0.29 seconds: ten.
    let mut limit = Aimd::new().initial(200);
    for i in 0..=40 {
        let at = MS * 10 * i;
        limit.observe(&Sample::new(at, MS * 100, 200, Outcome::Overload));
    }
    assert_eq!(limit.limit(), 198);
}

#[test]
fn vegas_goes_by_what_waits() {
    // With a limit of 20, the ends of the queue are 1.79 and 3.58.
    for (latency, in_flight, overloads, limit) in [
        // 0 waiting: 21.79.
        (100, 20, 0, 21),
        // 2.61 and 3.33 waiting.
        (115, 20, 0, 20),
        (120, 20, 0, 20),
        // 4.62 waiting, 1.04 too much: 19.11, as half of that is less than half of 1.79.
        (130, 20, 0, 19),
        // 10 waiting: 16.79. 15: 14.29.
        (200, 20, 0, 16),
        (400, 20, 0, 14),
        // 8.5 of 17 waiting: 17.54.
        (200, 17, 0, 17),
        // Half of it is in use.
        (400, 10, 0, 20),
        // One in ten is not an overload.
        (115, 20, 4, 20),
        (115, 20, 5, 18),
    ] {
        let case = (latency, in_flight, overloads);
        let mut vegas = at_rest(Vegas::new());
        let seen = window(&mut vegas, latency, in_flight, overloads);
        assert_eq!(seen, limit, "{case:?}");
    }
    // From 8.94 to 17.89.
    for (latency, limit) in [(110, 28), (150, 24), (200, 20), (2000, 15)] {
        let mut patient = at_rest(Vegas::new().queue(2.0..=4.0));
        assert_eq!(window(&mut patient, latency, 20, 0), limit, "{latency}");
    }
}

#[test]
fn gradient2_keeps_a_multiple_of_the_latency_at_rest() {
    // With a limit of 20, half of the root is 2.24.
    for (latency, in_flight, overloads, limit) in [
        (100, 20, 0, 22),
        (110, 20, 0, 22),
        // 20 − 20 × (1 − 110 / 120) + 2.24 = 20.57.
        (120, 20, 0, 20),
        // 20 − 20 × 0.45 + 2.24 = 13.24.
        (200, 20, 0, 13),
        // The gradient is not below a half.
        (1000, 20, 0, 12),
        (100, 20, 4, 22),
        (100, 20, 5, 10),
        (1000, 10, 0, 20),
    ] {
        let case = (latency, in_flight, overloads);
        let mut gradient = at_rest(Gradient2::new().smoothing(1.0));
        let seen = window(&mut gradient, latency, in_flight, overloads);
        assert_eq!(seen, limit, "{case:?}");
    }
    // A fifth of the way from 20 to 12.24.
    assert_eq!(window(&mut at_rest(Gradient2::new()), 1000, 20, 0), 18);
    let mut tolerant = at_rest(Gradient2::new().tolerance(2.0).queue(1.0).smoothing(1.0));
    assert_eq!(window(&mut tolerant, 200, 20, 0), 24);
}

#[test]
fn a_window_is_long_and_has_requests_enough() {
    let tell = |count: u32, gap: Duration, latency: Duration| {
        let mut limit = Aimd::new();
        for i in 0..count {
            limit.observe(&Sample::new(gap * i, latency, 20, Outcome::Success));
        }
        limit.limit()
    };
    assert_eq!(tell(29, MS * 10, MS), 20);
    assert_eq!(tell(30, MS * 10, MS), 21);
    // 99 and 100 milliseconds.
    assert_eq!(tell(100, MS, MS), 20);
    assert_eq!(tell(101, MS, MS), 21);
    // Twice the latency.
    assert_eq!(tell(120, MS * 10, MS * 600), 20);
    assert_eq!(tell(121, MS * 10, MS * 600), 21);
}

#[test]
fn a_probe_goes_on_while_half_as_many_are_faster() {
    // Four workers, of 10 milliseconds each; the limit begins at 32.
    let mut limit = Vegas::new().initial(32).range(2..=200);
    let mut now = Duration::ZERO;
    let mut limits = vec![32];
    while limits.len() < 6 {
        let in_flight = limit.limit();
        let latency = MS * 10 * u32::try_from(in_flight.max(4)).unwrap() / 4;
        now += latency / u32::try_from(in_flight).unwrap();
        limit.observe(&Sample::new(now, latency, in_flight, Outcome::Success));
        limits.push(limit.limit());
        limits.dedup();
    }
    // With 2 in flight, a request takes as long as with 4. Then what waits leaves by halves.
    assert_eq!(limits, [32, 16, 8, 4, 2, 32]);
}

#[test]
fn the_initial_limit_is_within_the_range() {
    assert_eq!(Aimd::new().limit(), 20);
    assert_eq!(Vegas::new().limit(), 20);
    assert_eq!(Gradient2::new().limit(), 20);
    assert_eq!(Vegas::new().range(1..=8).limit(), 8);
    assert_eq!(Vegas::new().initial(300).range(100..=400).limit(), 300);
    assert_eq!(Gradient2::new().range(50..=60).initial(2).limit(), 50);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let refused: Vec<fn()> = vec![
        || drop(Aimd::new().initial(0)),
        || drop(Aimd::new().range(0..=5)),
        || drop(Aimd::new().range(1..=usize::MAX)),
        #[expect(clippy::reversed_empty_ranges, reason = "it is what is refused")]
        || drop(Vegas::new().range(5..=4)),
        || drop(Aimd::new().backoff(0.4)),
        || drop(Aimd::new().backoff(1.0)),
        || drop(Aimd::new().backoff(f64::NAN)),
        || drop(Aimd::new().slow(Duration::ZERO)),
        || drop(Vegas::new().queue(0.0..=2.0)),
        || drop(Vegas::new().queue(3.0..=2.0)),
        || drop(Vegas::new().queue(f64::NAN..=2.0)),
        || drop(Vegas::new().queue(1.0..=f64::INFINITY)),
        || drop(Vegas::new().recheck(Duration::ZERO)),
        || drop(Gradient2::new().tolerance(0.9)),
        || drop(Gradient2::new().queue(0.0)),
        || drop(Gradient2::new().smoothing(0.0)),
        || drop(Gradient2::new().smoothing(1.1)),
    ];
    for (number, refused) in refused.into_iter().enumerate() {
        assert!(panic::catch_unwind(refused).is_err(), "number {number}");
    }
}
