//! Servers that fail, at times that the tests make up.

#![allow(clippy::unwrap_used)] // In a test it is an assertion.

use std::{sync::Barrier, thread, time::Duration};

use http::StatusCode;
use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use super::{state::Ejected, table::may_eject};
use crate::{
    ErrorKind,
    gateway_proxy::outcome::{Failed, Outcome},
};

const SECOND: Duration = Duration::from_secs(1);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One server that may always be ejected, and a clock that only the test moves.
struct Server {
    health: Health,
    config: Ejection,
    check: HealthCheck,
    now: Instant,
}

impl Server {
    fn new(config: Ejection) -> Self {
        Self {
            health: Health::new(false),
            config,
            check: HealthCheck::get("/"),
            now: Instant::now(),
        }
    }

    fn after(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self
    }

    fn succeeds(&mut self) -> Option<Change> {
        self.health.succeeded(&self.config, self.now)
    }

    fn fails(&mut self) -> Option<Ejected> {
        self.fails_of(self.now)
    }

    fn fails_of(&mut self, sent: Instant) -> Option<Ejected> {
        match self.health.failed(&self.config, sent, self.now) {
            true => self.health.eject(&self.config, self.now),
            false => None,
        }
    }

    fn probe(&mut self, is_good: bool) -> Option<Change> {
        self.health.probe(&self.check, is_good, self.now)
    }

    fn state(&self) -> State {
        self.health.state(self.now)
    }

    /// Fails until it is out, and says for how long.
    fn fails_until_out(&mut self) -> Duration {
        for _ in 0..1000 {
            if let Some(ejected) = self.fails() {
                assert_eq!(ejected.until, self.now + ejected.time);
                assert_eq!(
                    self.state(),
                    State::Ejected {
                        until: ejected.until
                    }
                );
                return ejected.time;
            }
        }
        panic!("a thousand failures, and it is still there");
    }
}

mod consecutive_failures {
    use super::*;

    #[test]
    fn the_fifth_failure_in_a_row_ejects() {
        let mut server = Server::new(Ejection::new());
        for _ in 0..4 {
            assert_eq!(server.fails(), None);
            assert_eq!(server.state(), State::Up);
        }
        let until = server.now + seconds(30);
        let ejected = server.fails().unwrap();
        assert_eq!(
            ejected,
            Ejected {
                until,
                time: seconds(30),
                ejections: 1
            }
        );
        assert!(!server.health.is_usable(server.now));
        assert!(!server.health.is_usable(until - Duration::from_nanos(1)));
        assert!(server.health.is_usable(until));
    }

    #[test]
    fn a_success_between_begins_anew() {
        let mut server = Server::new(Ejection::new());
        for _ in 0..20 {
            for _ in 0..4 {
                assert_eq!(server.fails(), None);
            }
            assert_eq!(server.succeeds(), None);
        }
        assert_eq!(server.state(), State::Up);
    }

    #[test]
    fn off_never_ejects() {
        let mut server = Server::new(Ejection::off().error_rate(0.1, SECOND, 1));
        for _ in 0..100 {
            assert_eq!(server.fails(), None);
            assert!(!may_eject(&server.config, 10, 0));
        }
        assert_eq!(server.state(), State::Up);
    }

    #[test]
    fn a_failure_while_out_changes_nothing() {
        let mut server = Server::new(Ejection::new());
        let time = server.fails_until_out();
        let State::Ejected { until } = server.state() else {
            panic!("it is out");
        };
        for _ in 0..20 {
            assert_eq!(server.after(SECOND).fails(), None);
        }
        assert_eq!(server.state(), State::Ejected { until });
        server.after(time - seconds(20));
        assert_eq!(server.state(), State::Up);
    }
}

mod times {
    use super::*;

    #[test]
    fn each_ejection_is_twice_as_long_up_to_the_longest() {
        let mut server = Server::new(Ejection::new());
        for expected in [30, 60, 120, 240, 300, 300, 300] {
            let time = server.fails_until_out();
            assert_eq!(time, seconds(expected));
            server.after(time);
        }
    }

    #[test]
    fn a_base_beyond_the_longest_is_cut() {
        let config = Ejection::new().base_time(seconds(90)).max_time(seconds(7));
        let mut server = Server::new(config);
        assert_eq!(server.fails_until_out(), seconds(7));
    }

    #[test]
    fn who_stays_for_long_enough_has_a_clean_record() {
        let mut server = Server::new(Ejection::new());
        for _ in 0..3 {
            let time = server.fails_until_out();
            server.after(time);
        }
        assert_eq!(server.succeeds(), Some(Change::Returned));
        server.after(seconds(300) - Duration::from_nanos(1));
        assert_eq!(server.succeeds(), None);
        assert_eq!(server.fails_until_out(), seconds(240), "not long enough");

        server.after(seconds(240 + 300));
        assert_eq!(server.succeeds(), Some(Change::Returned));
        assert_eq!(
            server.fails_until_out(),
            seconds(30),
            "as if for the first time"
        );
    }

    /// Without this, a server that nobody asked for a day would be out after one failure.
    #[test]
    fn the_record_is_clean_without_a_request_too() {
        let mut server = Server::new(Ejection::new());
        let time = server.fails_until_out();
        server.after(time + seconds(300));
        for _ in 0..4 {
            assert_eq!(server.fails(), None);
        }
        assert_eq!(server.fails().unwrap().time, seconds(30));
    }
}

mod trial {
    use super::*;

    #[test]
    fn the_first_failure_after_the_return_ejects_again() {
        let mut server = Server::new(Ejection::new());
        let time = server.fails_until_out();
        assert_eq!(server.after(time).state(), State::Up);
        assert_eq!(server.fails().unwrap().time, seconds(60));
    }

    #[test]
    fn the_first_success_ends_it_and_is_told_once() {
        let mut server = Server::new(Ejection::new());
        let time = server.fails_until_out();
        assert_eq!(server.after(time).succeeds(), Some(Change::Returned));
        assert_eq!(server.succeeds(), None);
        for _ in 0..4 {
            assert_eq!(server.fails(), None);
        }
        assert!(server.fails().is_some());
    }

    #[test]
    fn a_late_success_does_not_end_an_ejection() {
        let mut server = Server::new(Ejection::new());
        server.fails_until_out();
        assert_eq!(server.after(SECOND).succeeds(), None);
        assert!(matches!(server.state(), State::Ejected { .. }));
        server.after(seconds(29));
        assert_eq!(server.fails().unwrap().time, seconds(60), "still on trial");
    }

    /// A request that hung for a minute fails after the server came back within it.
    #[test]
    fn what_was_sent_before_the_return_is_no_verdict() {
        let mut server = Server::new(Ejection::new());
        let before = server.now;
        let time = server.fails_until_out();
        let during = server.now + SECOND;
        server.after(time);
        for _ in 0..20 {
            assert_eq!(server.fails_of(before), None);
            assert_eq!(server.fails_of(during), None);
        }
        assert_eq!(server.state(), State::Up);
        assert!(server.fails_of(server.now).is_some());
    }
}

mod rate {
    use super::*;

    /// By the rate alone.
    fn by_rate(share: f64, window: Duration, min: u32) -> Ejection {
        let config = Ejection::new().consecutive(u32::MAX);
        config.error_rate(share, window, min)
    }

    #[test]
    fn half_of_enough_requests_ejects() {
        let mut server = Server::new(by_rate(0.5, seconds(10), 20));
        for _ in 0..9 {
            assert_eq!(server.succeeds(), None);
            assert_eq!(server.fails(), None, "too few to tell");
        }
        assert_eq!(server.succeeds(), None);
        assert!(server.fails().is_some(), "10 of 20");
    }

    #[test]
    fn less_than_the_rate_never_ejects() {
        let mut server = Server::new(by_rate(0.5, seconds(10), 10));
        for _ in 0..1000 {
            server.succeeds();
            server.succeeds();
            assert_eq!(server.fails(), None);
            server.after(Duration::from_millis(100));
        }
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut server = Server::new(by_rate(0.5, seconds(10), 10));
        for _ in 0..9 {
            assert_eq!(server.fails(), None);
        }
        server.after(seconds(10));
        assert_eq!(server.fails(), None, "one of one");

        let mut server = Server::new(by_rate(0.5, seconds(10), 10));
        for _ in 0..9 {
            assert_eq!(server.fails(), None);
        }
        server.after(seconds(5));
        assert!(server.fails().is_some(), "ten of ten");
    }

    #[test]
    fn requests_now_and_then_do_not_keep_what_is_older() {
        let mut server = Server::new(by_rate(0.5, seconds(10), 10));
        for _ in 0..9 {
            assert_eq!(server.fails(), None);
        }
        server.after(seconds(6)).succeeds();
        server.after(Duration::from_millis(4500));
        assert_eq!(server.fails(), None, "the nine are 10.5 seconds old");

        let mut server = Server::new(by_rate(0.5, seconds(10), 10));
        for _ in 0..9 {
            assert_eq!(server.fails(), None);
        }
        server.after(seconds(5)).succeeds();
        server.after(seconds(100));
        assert_eq!(server.fails(), None, "all of it is old");
    }

    #[test]
    fn an_ejection_begins_a_new_count() {
        let config = by_rate(0.5, seconds(3600), 10).base_time(SECOND);
        let mut server = Server::new(config);
        server.fails_until_out();
        server.after(SECOND).succeeds();
        for _ in 0..8 {
            assert_eq!(server.fails(), None);
        }
        assert!(server.fails().is_some(), "nine of ten");
    }
}

mod share {
    use super::*;

    #[test]
    fn at_least_one_stays_and_at_most_the_share_goes() {
        for (share, most) in [
            (0.5, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5]),
            (0.1, [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
            (1.0, [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ] {
            let config = Ejection::new().max_share(share);
            for (servers, most) in most.into_iter().enumerate() {
                for out in 0..12 {
                    let may = may_eject(&config, servers, out);
                    assert_eq!(may, out < most, "{share} of {servers}, {out} out");
                }
            }
        }
        assert!(may_eject(&Ejection::new().max_share(1.0), usize::MAX, 7));
    }

    #[test]
    fn one_server_is_never_ejected() {
        let (config, now) = (Ejection::new(), Instant::now());
        let (ejections, only) = (Ejections::default(), Health::new(false));
        for _ in 0..100 {
            assert_eq!(ejections.failed(&config, &only, [&only], now, now), None);
        }
        assert!(only.is_usable(now));
    }

    #[test]
    fn who_could_not_go_goes_with_the_next_failure_that_finds_room() {
        let (config, now) = (Ejection::new(), Instant::now());
        let (ejections, one, two) = (Ejections::default(), Health::new(false), Health::new(false));
        let fail = |server, now| ejections.failed(&config, server, [&one, &two], now, now);
        let mut changes = Vec::new();
        for _ in 0..5 {
            changes.extend(fail(&one, now));
        }
        assert!(matches!(changes[..], [Change::Ejected(_)]));
        for _ in 0..50 {
            assert_eq!(fail(&two, now), None);
        }
        let later = now + seconds(30);
        assert!(one.is_usable(later));
        assert!(matches!(fail(&two, later), Some(Change::Ejected(_))));
    }

    #[test]
    fn those_that_are_down_are_counted() {
        let (config, now) = (Ejection::new(), Instant::now());
        let (ejections, one, two) = (Ejections::default(), Health::new(false), Health::new(false));
        for _ in 0..3 {
            one.probe(&HealthCheck::get("/"), false, now);
        }
        for _ in 0..50 {
            let change = ejections.failed(&config, &two, [&one, &two], now, now);
            assert_eq!(change, None);
        }
        assert!(two.is_usable(now));
    }

    /// Many threads find in the same moment that each of their servers is to go.
    #[test]
    fn the_share_holds_when_all_fail_at_once() {
        const SERVERS: usize = 8;
        for _ in 0..50 {
            let (config, now) = (Ejection::new().consecutive(1), Instant::now());
            let ejections = Ejections::default();
            let table: [_; SERVERS] = std::array::from_fn(|_| Health::new(false));
            let start = Barrier::new(SERVERS);
            thread::scope(|scope| {
                for server in &table {
                    scope.spawn(|| {
                        start.wait();
                        // So that all are in the middle of it together, if they can be.
                        let table = table.iter().inspect(|_| thread::yield_now());
                        ejections.failed(&config, server, table, now, now)
                    });
                }
            });
            let out = table.iter().filter(|server| !server.is_usable(now));
            assert_eq!(out.count(), SERVERS / 2);
        }
    }
}

mod probes {
    use super::*;

    #[test]
    fn three_bad_ones_take_it_out_and_two_good_ones_bring_it_back() {
        let mut server = Server::new(Ejection::new());
        let outcome = [
            (false, None, State::Up),
            (false, None, State::Up),
            (true, None, State::Up),
            (false, None, State::Up),
            (false, None, State::Up),
            (false, Some(Change::Down), State::Down),
            (false, None, State::Down),
            (true, None, State::Down),
            (false, None, State::Down),
            (true, None, State::Down),
            (true, Some(Change::Up), State::Up),
            (true, None, State::Up),
        ];
        for (step, (is_good, change, state)) in outcome.into_iter().enumerate() {
            assert_eq!(server.probe(is_good), change, "step {step}");
            assert_eq!(server.state(), state, "step {step}");
        }
    }

    #[test]
    fn a_new_server_that_waits_is_usable_after_one_good_probe() {
        let mut server = Server::new(Ejection::new());
        server.health = Health::new(true);
        assert_eq!(server.state(), State::Unknown);
        assert_eq!(server.succeeds(), None, "a request in need says nothing");
        assert_eq!(server.state(), State::Unknown);
        assert_eq!(server.probe(false), None);
        assert_eq!(server.probe(true), Some(Change::Up));
        assert_eq!(server.state(), State::Up);

        server.health = Health::new(true);
        let changes: Vec<_> = (0..4).map(|_| server.probe(false)).collect();
        assert_eq!(changes, [None, None, Some(Change::Down), None]);
        assert_eq!(server.state(), State::Down);
    }

    #[test]
    fn requests_do_not_bring_back_what_its_probes_call_down() {
        let mut server = Server::new(Ejection::new());
        for _ in 0..3 {
            server.probe(false);
        }
        for _ in 0..10 {
            assert_eq!(server.succeeds(), None);
        }
        assert_eq!(server.state(), State::Down);
    }

    #[test]
    fn good_ones_end_a_first_ejection() {
        let mut server = Server::new(Ejection::new());
        server.probe(true);
        server.probe(true);
        server.fails_until_out();
        assert_eq!(server.probe(true), None, "only one since");
        assert_eq!(server.probe(true), Some(Change::Returned));
        assert_eq!(server.state(), State::Up);
        assert_eq!(server.succeeds(), None, "it was told");
    }

    /// The page that is probed may be well where the rest is not.
    #[test]
    fn good_ones_do_not_end_the_ejections_that_follow() {
        let mut server = Server::new(Ejection::new());
        server.fails_until_out();
        server.probe(true);
        server.probe(true);
        server.after(SECOND);
        assert_eq!(server.fails().unwrap().time, seconds(60), "on trial");
        for _ in 0..59 {
            assert_eq!(server.probe(true), None);
            assert!(matches!(server.state(), State::Ejected { .. }));
            server.after(SECOND);
        }
        assert_eq!(server.after(SECOND).state(), State::Up);
    }

    #[test]
    fn who_was_ejected_and_down_comes_back_with_its_probes() {
        let mut server = Server::new(Ejection::new());
        server.fails_until_out();
        for _ in 0..3 {
            server.probe(false);
        }
        assert_eq!(server.state(), State::Down);
        assert_eq!(server.probe(true), None);
        assert_eq!(server.probe(true), Some(Change::Up));
        assert_eq!(server.state(), State::Up);
    }
}

#[test]
fn the_worse_state_ranks_later() {
    let until = Instant::now();
    let states = [
        State::Up,
        State::Ejected { until },
        State::Unknown,
        State::Down,
    ];
    assert!(states.is_sorted_by(|a, b| a.rank() < b.rank()));
}

#[test]
fn what_counts_as_a_failure_of_the_server() {
    let failed = |kind, was_heard, on_kept| {
        Outcome::Failed(Failed {
            kind,
            bytes_taken: true,
            was_heard,
            on_kept,
        })
    };
    let answered = |code| Outcome::Answered {
        status: StatusCode::from_u16(code).unwrap(),
        retry_after: None,
    };
    let default = Ejection::new();
    for (outcome, expected) in [
        (failed(ErrorKind::UpstreamConnect, false, false), Some(true)),
        (
            failed(ErrorKind::UpstreamConnectTimeout, false, false),
            Some(true),
        ),
        (failed(ErrorKind::UpstreamReset, false, false), Some(true)),
        (failed(ErrorKind::UpstreamReset, true, false), Some(true)),
        (failed(ErrorKind::UpstreamReset, true, true), Some(true)),
        (failed(ErrorKind::UpstreamReset, false, true), None),
        (failed(ErrorKind::UpstreamProtocol, true, true), Some(true)),
        (failed(ErrorKind::UpstreamTimeout, false, true), Some(true)),
        (failed(ErrorKind::UpstreamBusy, false, false), None),
        (failed(ErrorKind::RequestBodyIncomplete, false, false), None),
        (failed(ErrorKind::RequestBodyTimeout, false, true), None),
        (failed(ErrorKind::Io, false, false), None),
        (answered(200), Some(false)),
        (answered(404), Some(false)),
        (answered(500), Some(false)),
        (answered(501), Some(false)),
        (answered(502), Some(true)),
        (answered(503), Some(true)),
        (answered(504), Some(true)),
        (answered(505), Some(false)),
    ] {
        assert_eq!(default.is_failure(&outcome), expected, "{outcome:?}");
    }
    let own = default.on_status([500]);
    assert_eq!(own.is_failure(&answered(500)), Some(true));
    assert_eq!(own.is_failure(&answered(502)), Some(false));
}

mod judging {
    use super::*;

    fn is_good(check: &HealthCheck, status: u16, body: &[u8]) -> bool {
        check
            .judge(StatusCode::from_u16(status).unwrap(), body)
            .is_ok()
    }

    #[test]
    fn statuses() {
        let check = HealthCheck::get("/healthz?full=1");
        for (status, expected) in [
            (100, false),
            (199, false),
            (200, true),
            (204, true),
            (302, true),
            (399, true),
            (400, false),
            (503, false),
        ] {
            assert_eq!(is_good(&check, status, b""), expected, "{status}");
        }
        let check = check.expect_status([204, 401]);
        assert!(is_good(&check, 401, b""));
        assert!(!is_good(&check, 200, b""));
    }

    #[test]
    fn as_much_is_looked_at_as_the_text_has() {
        let check = HealthCheck::get("/").expect_body("ok").max_body(0);
        assert_eq!(check.wanted_body(), 2);
        assert!(is_good(&check, 200, b"ok"));
        assert!(!is_good(&check, 200, b" ok"));
    }

    #[test]
    fn text_anywhere_in_what_is_looked_at() {
        let check = HealthCheck::get("/").expect_body("ok").max_body(8);
        assert_eq!(check.wanted_body(), 8);
        for (body, expected) in [
            ("ok", true),
            ("it is ok", true),
            ("it is  ok", false),
            ("", false),
            ("o", false),
            ("o k", false),
            ("OK", false),
        ] {
            assert_eq!(is_good(&check, 200, body.as_bytes()), expected, "{body:?}");
        }
        assert!(!is_good(&check, 500, b"ok"), "both are asked for");
        assert!(is_good(&HealthCheck::get("/").expect_body(""), 200, b""));
        assert_eq!(HealthCheck::get("/").wanted_body(), 0);
    }

    #[test]
    fn what_is_said_of_a_probe() {
        let check = HealthCheck::get("/healthz?full=1")
            .host("www.example.org:8000")
            .port(9000);
        assert_eq!(check.path(), "/healthz?full=1");
        assert_eq!(check.headers()["host"], "www.example.org:8000");
        assert_eq!(check.probed_port(), Some(9000));
        assert!(!check.waits());
        assert!(check.wait_for_first_success().waits());
    }
}

/// A setter's doc says what it refuses; the message says what to give instead.
#[test]
fn nonsense_is_refused_where_it_is_written() {
    fn message(f: impl FnOnce() + std::panic::UnwindSafe) -> String {
        let panic = std::panic::catch_unwind(f).unwrap_err();
        match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
        }
    }
    let ejection = Ejection::new;
    let check = || HealthCheck::get("/");
    for (text, expected) in [
        (message(|| drop(ejection().consecutive(0))), "at least 1"),
        (
            message(|| drop(ejection().error_rate(0.0, SECOND, 1))),
            "0 is no rate",
        ),
        (
            message(|| drop(ejection().error_rate(1.5, SECOND, 1))),
            "1.5 is no rate",
        ),
        (
            message(|| drop(ejection().error_rate(f64::NAN, SECOND, 1))),
            "NaN",
        ),
        (
            message(|| drop(ejection().error_rate(0.5, Duration::ZERO, 1))),
            "a window",
        ),
        (
            message(|| drop(ejection().error_rate(0.5, SECOND, 0))),
            "number of requests",
        ),
        (
            message(|| drop(ejection().base_time(Duration::ZERO))),
            "off()",
        ),
        (
            message(|| drop(ejection().max_time(Duration::ZERO))),
            "off()",
        ),
        (message(|| drop(ejection().max_share(0.0))), "off()"),
        (
            message(|| drop(ejection().on_status([99]))),
            "99 is no status",
        ),
        (
            message(|| drop(HealthCheck::get("healthz"))),
            "begins with a slash",
        ),
        (message(|| drop(HealthCheck::get("/a b"))), "is no path"),
        (
            message(|| drop(check().interval(Duration::ZERO))),
            "without a pause",
        ),
        (message(|| drop(check().timeout(Duration::ZERO))), "no time"),
        (message(|| drop(check().rises(0))), "at least 1"),
        (message(|| drop(check().falls(0))), "at least 1"),
        (message(|| drop(check().expect_status([]))), "give one"),
        (
            message(|| drop(check().expect_status([1000]))),
            "1000 is no status",
        ),
        (message(|| drop(check().host("a b"))), "is no host"),
        (message(|| drop(check().host("user@a"))), "is no host"),
        (message(|| drop(check().port(0))), "port 0"),
    ] {
        assert!(text.contains(expected), "{text:?} has no {expected:?}");
    }
}

#[derive(Clone, Debug)]
enum Event {
    Wait(u64),
    Succeeds(usize),
    Fails { server: usize, age: u64 },
    Probe(usize, bool),
}

fn event() -> impl Strategy<Value = Event> {
    let server = 0..8_usize;
    prop_oneof![
        1 => (0..100_000_u64).prop_map(Event::Wait),
        2 => server.clone().prop_map(Event::Succeeds),
        6 => (server.clone(), 0..70_000_u64).prop_map(|(server, age)| Event::Fails { server, age }),
        1 => (server, any::<bool>()).prop_map(|(server, good)| Event::Probe(server, good)),
    ]
}

fn any_time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::from_nanos(1)),
        Just(Duration::MAX),
        Just(Duration::from_secs(u64::MAX)),
        (1..u64::MAX).prop_map(Duration::from_nanos),
    ]
}

/// The latest moment that can be asked for, or close to it.
fn end_of_time() -> Instant {
    let mut end = Instant::now();
    let mut step = Duration::from_secs(1 << 62);
    while step > Duration::ZERO {
        match end.checked_add(step) {
            Some(later) => end = later,
            None => step /= 2,
        }
    }
    end
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn ejection_never_exceeds_its_share(
        servers in 1..8_usize,
        share in 0.01..=1.0_f64,
        consecutive in 1..4_u32,
        with_rate: bool,
        events in prop::collection::vec(event(), 0..200),
    ) {
        let mut config = Ejection::new().consecutive(consecutive).max_share(share);
        if with_rate {
            config = config.error_rate(0.5, seconds(10), 3);
        }
        let check = HealthCheck::get("/");
        let most = ((servers as f64 * share) as usize).max(1).min(servers - 1);
        let table: Vec<_> = (0..servers).map(|_| Health::new(false)).collect();
        let ejections = Ejections::default();
        let mut now = Instant::now() + seconds(1000);
        for event in events {
            match event {
                Event::Wait(millis) => now += Duration::from_millis(millis),
                Event::Succeeds(server) => {
                    table[server % servers].succeeded(&config, now);
                }
                Event::Fails { server, age } => {
                    let sent = now - Duration::from_millis(age);
                    let server = &table[server % servers];
                    let change = ejections.failed(&config, server, &table, sent, now);
                    prop_assert!(change.is_none() || !server.is_usable(now));
                }
                Event::Probe(server, good) => {
                    table[server % servers].probe(&check, good, now);
                }
            }
            let ejected = table.iter().filter(|server| matches!(server.state(now), State::Ejected { .. }));
            prop_assert!(ejected.count() <= most);
        }
    }

    #[test]
    fn no_time_is_too_long(
        base in any_time(), max in any_time(), reset in any_time(), window in any_time(),
        at_the_end: bool,
        events in prop::collection::vec(event(), 0..100),
    ) {
        let config = Ejection::new().consecutive(1).base_time(base).max_time(max).reset_after(reset)
            .error_rate(0.5, window, 1);
        let check = HealthCheck::get("/").rises(u32::MAX).falls(1);
        let health = Health::new(true);
        let mut now = if at_the_end { end_of_time() } else { Instant::now() };
        for event in events {
            match event {
                Event::Wait(millis) => {
                    now = now.checked_add(Duration::from_millis(millis)).unwrap_or(now);
                }
                Event::Succeeds(_) => drop(health.succeeded(&config, now)),
                Event::Fails { .. } => {
                    if health.failed(&config, now, now) {
                        health.eject(&config, now);
                    }
                }
                Event::Probe(_, good) => drop(health.probe(&check, good, now)),
            }
            health.state(now);
        }
    }

    /// Whatever happened: a time without failures, a success, and good probes make it whole.
    #[test]
    fn nobody_is_out_for_ever(events in prop::collection::vec(event(), 0..100)) {
        let mut server = Server::new(Ejection::new().consecutive(2));
        for event in events {
            match event {
                Event::Wait(millis) => drop(server.after(Duration::from_millis(millis))),
                Event::Succeeds(_) => drop(server.succeeds()),
                Event::Fails { .. } => drop(server.fails()),
                Event::Probe(_, good) => drop(server.probe(good)),
            }
        }
        server.probe(true);
        server.probe(true);
        server.after(seconds(300));
        prop_assert_eq!(server.state(), State::Up);
        server.after(seconds(300)).succeeds();
        prop_assert_eq!(server.fails(), None);
        prop_assert_eq!(server.fails().unwrap().time, seconds(30));
    }
}
