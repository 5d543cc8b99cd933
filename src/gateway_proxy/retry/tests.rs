//! The rules as a table, and the budget against a model of it.

#![allow(clippy::unwrap_used)] // In a test it is an assertion.

use std::{thread, time::Duration};

use http::StatusCode;
use proptest::prelude::*;
use tokio::time::Instant;

use super::{decide::backoff, *};
use crate::{
    ErrorKind,
    gateway_proxy::outcome::{Failed, Outcome},
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A row begins as a GET without a body, whose first try was refused by one of several servers.
fn attempt(outcome: Outcome) -> Attempt {
    Attempt {
        tries: 1,
        was_renewed: false,
        is_idempotent: true,
        is_replayable: true,
        outcome,
        others_left: true,
        remaining: Duration::MAX,
    }
}

/// On a fresh connection, with all of the request sent, and nothing heard.
fn failed(kind: ErrorKind) -> Failed {
    Failed {
        kind,
        bytes_taken: true,
        was_heard: false,
        on_kept: false,
    }
}

fn refused() -> Attempt {
    attempt(Outcome::Failed(Failed {
        bytes_taken: false,
        ..failed(ErrorKind::UpstreamConnect)
    }))
}

fn connect_timeout() -> Attempt {
    attempt(Outcome::Failed(Failed {
        bytes_taken: false,
        ..failed(ErrorKind::UpstreamConnectTimeout)
    }))
}

fn reset() -> Attempt {
    attempt(Outcome::Failed(failed(ErrorKind::UpstreamReset)))
}

fn reset_unsent() -> Attempt {
    attempt(Outcome::Failed(Failed {
        bytes_taken: false,
        ..failed(ErrorKind::UpstreamReset)
    }))
}

fn reset_in_the_head() -> Attempt {
    attempt(Outcome::Failed(Failed {
        was_heard: true,
        ..failed(ErrorKind::UpstreamReset)
    }))
}

fn stale() -> Attempt {
    attempt(Outcome::Failed(Failed {
        on_kept: true,
        ..failed(ErrorKind::UpstreamReset)
    }))
}

fn stale_unsent() -> Attempt {
    attempt(Outcome::Failed(Failed {
        on_kept: true,
        bytes_taken: false,
        ..failed(ErrorKind::UpstreamReset)
    }))
}

fn kept_reset_in_the_head() -> Attempt {
    attempt(Outcome::Failed(Failed {
        on_kept: true,
        was_heard: true,
        ..failed(ErrorKind::UpstreamReset)
    }))
}

fn timeout() -> Attempt {
    attempt(Outcome::Failed(failed(ErrorKind::UpstreamTimeout)))
}

fn timeout_unsent() -> Attempt {
    attempt(Outcome::Failed(Failed {
        bytes_taken: false,
        ..failed(ErrorKind::UpstreamTimeout)
    }))
}

fn other(kind: ErrorKind) -> Attempt {
    attempt(Outcome::Failed(Failed {
        bytes_taken: false,
        ..failed(kind)
    }))
}

fn answered(code: u16) -> Attempt {
    attempt(Outcome::Answered {
        status: StatusCode::from_u16(code).unwrap(),
        retry_after: None,
    })
}

fn answered_after(code: u16, wait: Duration) -> Attempt {
    attempt(Outcome::Answered {
        status: StatusCode::from_u16(code).unwrap(),
        retry_after: Some(wait),
    })
}

impl Attempt {
    fn post(self) -> Self {
        Self {
            is_idempotent: false,
            ..self
        }
    }

    /// With a streamed body, of which something was taken.
    fn streamed(self) -> Self {
        Self {
            is_replayable: false,
            ..self
        }
    }

    fn tries(self, tries: u32) -> Self {
        Self { tries, ..self }
    }

    fn renewed(self) -> Self {
        Self {
            was_renewed: true,
            ..self
        }
    }

    /// With no other server to go to.
    fn alone(self) -> Self {
        Self {
            others_left: false,
            ..self
        }
    }

    fn remaining(self, remaining: Duration) -> Self {
        Self { remaining, ..self }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    Answer,
    Renew,
    /// At another server, at once.
    Elsewhere,
    /// At another server, after so long.
    ElsewhereAfter(Duration),
    /// At the same server, after no more than this.
    Same(Duration),
    /// At the same server, after exactly this.
    SameAfter(Duration),
}

use Expected::*;

fn matches(expected: Expected, verdict: Verdict) -> bool {
    match (expected, verdict) {
        (Answer, Verdict::Answer) | (Renew, Verdict::Renew) => true,
        (Elsewhere, Verdict::Retry { after, elsewhere }) => elsewhere && after.is_zero(),
        (ElsewhereAfter(wait), Verdict::Retry { after, elsewhere }) => elsewhere && after == wait,
        (Same(most), Verdict::Retry { after, elsewhere }) => !elsewhere && after <= most,
        (SameAfter(wait), Verdict::Retry { after, elsewhere }) => !elsewhere && after == wait,
        _ => false,
    }
}

#[test]
fn the_rules() {
    let default = Retries::new;
    let by_status = || Retries::new().on_status([429, 502, 503, 504]);
    let on_timeout = || Retries::new().on_timeout();
    let any_method = || by_status().on_timeout().non_idempotent();
    let none = Retries::none;
    let no_pause = || by_status().backoff(Duration::ZERO, Duration::ZERO);

    // (rule, config, attempt, verdict with a full budget, verdict with an empty one)
    let table: Vec<(&str, Retries, Attempt, Expected, Expected)> = vec![
        // Connect failures always, of any method, outside of the budget, within the tries.
        ("refused", default(), refused(), Elsewhere, Elsewhere),
        (
            "refused, POST",
            default(),
            refused().post(),
            Elsewhere,
            Elsewhere,
        ),
        (
            "refused, 2nd try",
            default(),
            refused().tries(2),
            Elsewhere,
            Elsewhere,
        ),
        (
            "refused, 3rd try",
            default(),
            refused().tries(3),
            Answer,
            Answer,
        ),
        (
            "refused, 4th of 5",
            default().tries(5),
            refused().tries(4),
            Elsewhere,
            Elsewhere,
        ),
        (
            "refused, beyond",
            default(),
            refused().tries(u32::MAX),
            Answer,
            Answer,
        ),
        (
            "refused, only server",
            default(),
            refused().alone(),
            Same(25 * MS),
            Same(25 * MS),
        ),
        (
            "refused, only server, 2nd",
            default(),
            refused().alone().tries(2),
            Same(50 * MS),
            Same(50 * MS),
        ),
        ("refused, not asked for", none(), refused(), Answer, Answer),
        (
            "refused, stream begun",
            default(),
            refused().streamed(),
            Answer,
            Answer,
        ),
        (
            "refused, no time left",
            default(),
            refused().remaining(Duration::ZERO),
            Answer,
            Answer,
        ),
        (
            "refused, little time left",
            default(),
            refused().remaining(MS),
            Elsewhere,
            Elsewhere,
        ),
        // The same with a connection that is not made in time, but only elsewhere.
        (
            "connect timeout",
            default(),
            connect_timeout(),
            Elsewhere,
            Elsewhere,
        ),
        (
            "connect timeout, POST",
            default(),
            connect_timeout().post(),
            Elsewhere,
            Elsewhere,
        ),
        (
            "connect timeout, only server",
            default(),
            connect_timeout().alone(),
            Answer,
            Answer,
        ),
        (
            "connect timeout, only server, asked",
            on_timeout(),
            connect_timeout().alone(),
            Answer,
            Answer,
        ),
        (
            "connect timeout, 3rd try",
            default(),
            connect_timeout().tries(3),
            Answer,
            Answer,
        ),
        (
            "connect timeout, stream begun",
            default(),
            connect_timeout().streamed(),
            Answer,
            Answer,
        ),
        // A kept connection that was closed: once, whatever the tries and the budget say.
        ("stale", default(), stale(), Renew, Renew),
        ("stale, none asked for", none(), stale(), Renew, Renew),
        ("stale, last try", default(), stale().tries(3), Renew, Renew),
        (
            "stale, only server",
            default(),
            stale().alone(),
            Renew,
            Renew,
        ),
        ("stale, POST", default(), stale().post(), Answer, Answer),
        (
            "stale, POST, asked for",
            any_method(),
            stale().post(),
            Renew,
            Renew,
        ),
        (
            "stale, POST, nothing sent",
            default(),
            stale_unsent().post(),
            Renew,
            Renew,
        ),
        (
            "stale, stream begun",
            default(),
            stale().streamed(),
            Answer,
            Answer,
        ),
        (
            "stale, stream begun, PUT",
            any_method(),
            stale_unsent().streamed(),
            Answer,
            Answer,
        ),
        (
            "stale, no time left",
            default(),
            stale().remaining(Duration::ZERO),
            Answer,
            Answer,
        ),
        (
            "stale for the second time",
            default(),
            stale().renewed(),
            Elsewhere,
            Answer,
        ),
        (
            "stale for the second time, none asked for",
            none(),
            stale().renewed(),
            Answer,
            Answer,
        ),
        (
            "stale for the second time, POST",
            default(),
            stale().post().renewed(),
            Answer,
            Answer,
        ),
        (
            "kept, but something was heard",
            default(),
            kept_reset_in_the_head(),
            Elsewhere,
            Answer,
        ),
        (
            "kept, heard, none asked for",
            none(),
            kept_reset_in_the_head(),
            Answer,
            Answer,
        ),
        (
            "kept, heard, POST",
            default(),
            kept_reset_in_the_head().post(),
            Answer,
            Answer,
        ),
        // A fresh connection that breaks before the head of the answer was whole.
        ("reset", default(), reset(), Elsewhere, Answer),
        (
            "reset, only server",
            default(),
            reset().alone(),
            Same(25 * MS),
            Answer,
        ),
        (
            "reset, 3rd try",
            default(),
            reset().tries(3),
            Answer,
            Answer,
        ),
        ("reset, POST", default(), reset().post(), Answer, Answer),
        (
            "reset, POST, asked for",
            any_method(),
            reset().post(),
            Elsewhere,
            Answer,
        ),
        (
            "reset, POST, nothing sent",
            default(),
            reset_unsent().post(),
            Elsewhere,
            Answer,
        ),
        (
            "reset, stream begun",
            any_method(),
            reset().streamed(),
            Answer,
            Answer,
        ),
        (
            "reset in the head",
            default(),
            reset_in_the_head(),
            Elsewhere,
            Answer,
        ),
        (
            "reset in the head, POST",
            default(),
            reset_in_the_head().post(),
            Answer,
            Answer,
        ),
        ("reset, none asked for", none(), reset(), Answer, Answer),
        // No answer in time.
        ("timeout", default(), timeout(), Answer, Answer),
        (
            "timeout, nothing sent",
            default(),
            timeout_unsent(),
            Answer,
            Answer,
        ),
        ("timeout, asked", on_timeout(), timeout(), Elsewhere, Answer),
        (
            "timeout, asked, only server",
            on_timeout(),
            timeout().alone(),
            Same(25 * MS),
            Answer,
        ),
        (
            "timeout, asked, POST",
            on_timeout(),
            timeout().post(),
            Answer,
            Answer,
        ),
        (
            "timeout, asked, POST, nothing sent",
            on_timeout(),
            timeout_unsent().post(),
            Elsewhere,
            Answer,
        ),
        (
            "timeout, asked, POST too",
            any_method(),
            timeout().post(),
            Elsewhere,
            Answer,
        ),
        (
            "timeout, asked, stream begun",
            any_method(),
            timeout().streamed(),
            Answer,
            Answer,
        ),
        (
            "timeout, asked, 3rd try",
            on_timeout(),
            timeout().tries(3),
            Answer,
            Answer,
        ),
        // An answer.
        ("200", by_status(), answered(200), Answer, Answer),
        ("503, not asked", default(), answered(503), Answer, Answer),
        ("503", by_status(), answered(503), Elsewhere, Answer),
        (
            "500, not among them",
            by_status(),
            answered(500),
            Answer,
            Answer,
        ),
        (
            "503, only server",
            by_status(),
            answered(503).alone(),
            Same(25 * MS),
            Answer,
        ),
        (
            "503, 3rd try",
            by_status(),
            answered(503).tries(3),
            Answer,
            Answer,
        ),
        (
            "503, POST",
            by_status(),
            answered(503).post(),
            Answer,
            Answer,
        ),
        (
            "503, POST, asked for",
            any_method(),
            answered(503).post(),
            Elsewhere,
            Answer,
        ),
        (
            "503, stream begun",
            any_method(),
            answered(503).streamed(),
            Answer,
            Answer,
        ),
        // What the server asks for in Retry-After.
        (
            "in 0 s",
            by_status(),
            answered_after(503, Duration::ZERO),
            Elsewhere,
            Answer,
        ),
        (
            "in 1 s",
            by_status(),
            answered_after(503, SECOND),
            ElsewhereAfter(SECOND),
            Answer,
        ),
        (
            "in 1 s, only server",
            by_status(),
            answered_after(429, SECOND).alone(),
            SameAfter(SECOND),
            Answer,
        ),
        (
            "in more than 1 s",
            by_status(),
            answered_after(503, SECOND + MS),
            Answer,
            Answer,
        ),
        (
            "never",
            by_status(),
            answered_after(503, Duration::MAX),
            Answer,
            Answer,
        ),
        (
            "in 5 s of 10",
            by_status().max_retry_after(10 * SECOND),
            answered_after(503, 5 * SECOND),
            ElsewhereAfter(5 * SECOND),
            Answer,
        ),
        (
            "in 0 s, only server",
            by_status(),
            answered_after(503, Duration::ZERO).alone(),
            Same(25 * MS),
            Answer,
        ),
        (
            "in 1 s, 1 s left",
            by_status(),
            answered_after(503, SECOND).remaining(SECOND),
            Answer,
            Answer,
        ),
        (
            "in 1 s, more left",
            by_status(),
            answered_after(503, SECOND).remaining(SECOND + MS),
            ElsewhereAfter(SECOND),
            Answer,
        ),
        (
            "200 with Retry-After",
            by_status(),
            answered_after(200, SECOND),
            Answer,
            Answer,
        ),
        // Without pauses.
        (
            "no pause",
            no_pause(),
            answered(503).alone(),
            SameAfter(Duration::ZERO),
            Answer,
        ),
        // What would not be better the next time, or is nobody's fault up there.
        (
            "not HTTP",
            any_method(),
            other(ErrorKind::UpstreamProtocol),
            Answer,
            Answer,
        ),
        (
            "busy",
            any_method(),
            other(ErrorKind::UpstreamBusy),
            Answer,
            Answer,
        ),
        (
            "upload broke off",
            any_method(),
            other(ErrorKind::RequestBodyIncomplete),
            Answer,
            Answer,
        ),
        (
            "upload too slow",
            any_method(),
            other(ErrorKind::RequestBodyTimeout),
            Answer,
            Answer,
        ),
        (
            "upload too large",
            any_method(),
            other(ErrorKind::RequestBodyTooLarge),
            Answer,
            Answer,
        ),
        (
            "spool unreadable",
            any_method(),
            other(ErrorKind::Io),
            Answer,
            Answer,
        ),
    ];
    let now = Instant::now();
    for (rule, config, attempt, full, empty) in table {
        // Pauses are by chance.
        for _ in 0..50 {
            let budget = Budget::new(&config, now);
            let verdict = decide(&config, &budget, &attempt, now);
            assert!(matches(full, verdict), "{rule}: {verdict:?}, not {full:?}");
        }
        let budget = Budget::new(&config.clone().budget(0.0, 0), now);
        let verdict = decide(&config, &budget, &attempt, now);
        assert!(
            matches(empty, verdict),
            "{rule}, no budget: {verdict:?}, not {empty:?}"
        );
    }
}

/// An answer, or a renewed connection, must not use up what a retry needs.
#[test]
fn only_what_is_granted_is_taken_from_the_budget() {
    let (config, now) = (Retries::new().on_status([503]), Instant::now());
    let budget = Budget::new(&config, now);
    for _ in 0..100 {
        for attempt in [
            answered(200),
            answered(503).tries(3),
            answered(503).post(),
            answered(503).streamed(),
            answered_after(503, 2 * SECOND),
            answered_after(503, SECOND).remaining(MS),
            refused(),
            stale(),
        ] {
            decide(&config, &budget, &attempt, now);
        }
    }
    let granted = (0..100).filter(|_| budget.withdraw(now)).count();
    assert_eq!(granted, 30);
}

/// "Retry-After: 0" from an overloaded server is no leave to come back in the same moment.
#[test]
fn a_retry_after_of_nothing_does_not_take_the_pause_away() {
    let (config, now) = (Retries::new().on_status([503]), Instant::now());
    let attempt = answered_after(503, Duration::ZERO).alone();
    let paused = (0..30).any(|_| {
        let budget = Budget::new(&config, now);
        let verdict = decide(&config, &budget, &attempt, now);
        !matches(SameAfter(Duration::ZERO), verdict)
    });
    assert!(paused);
}

#[test]
fn pauses_double_up_to_the_longest_and_are_spread_over_all_of_it() {
    let config = Retries::new();
    for (tries, longest) in [
        (1, 25),
        (2, 50),
        (3, 100),
        (4, 200),
        (5, 250),
        (6, 250),
        (u32::MAX, 250),
    ] {
        let longest = longest * MS;
        assert_eq!(backoff(&config, tries, 0.0), Duration::ZERO);
        assert_eq!(backoff(&config, tries, 0.5), longest / 2);
        assert!(backoff(&config, tries, 0.999) > longest * 99 / 100);
        assert!(backoff(&config, tries, 0.999) < longest);
    }
    let endless = Retries::new().backoff(Duration::MAX, Duration::MAX);
    for chance in [0.0, 0.5, 1.0 - f64::EPSILON] {
        backoff(&endless, 7, chance);
    }
}

mod budget {
    use super::*;

    fn granted(budget: &Budget, now: Instant) -> usize {
        (0..10_000).take_while(|_| budget.withdraw(now)).count()
    }

    #[test]
    fn a_fifth_of_the_requests_and_three_a_second() {
        let now = Instant::now();
        let budget = Budget::new(&Retries::new(), now);
        for _ in 0..1000 {
            budget.deposit(now);
        }
        assert_eq!(granted(&budget, now), 200 + 30);
        assert!(!budget.withdraw(now + 9 * SECOND));
        // Requests and retries of that second are forgotten together.
        assert_eq!(granted(&budget, now + 10 * SECOND), 30);
    }

    #[test]
    fn credit_does_not_grow_for_ever() {
        let mut now = Instant::now();
        let budget = Budget::new(&Retries::new(), now);
        for _ in 0..1000 {
            for _ in 0..10 {
                budget.deposit(now);
            }
            now += SECOND;
        }
        // Nine full seconds, and the one that has just begun.
        assert_eq!(granted(&budget, now), 18 + 30);
    }

    #[test]
    fn a_long_silence_leaves_the_minimum() {
        let now = Instant::now();
        let budget = Budget::new(&Retries::new(), now);
        for _ in 0..1000 {
            budget.deposit(now);
        }
        for silence in [10, 11, 19, 20, 86_400, 10 * 365 * 86_400] {
            let budget = Budget::new(&Retries::new(), now);
            budget.deposit(now);
            assert_eq!(granted(&budget, now + silence * SECOND), 30, "{silence}");
        }
        assert_eq!(granted(&budget, now + 86_400 * SECOND), 30);
    }

    #[test]
    fn nothing_is_granted_of_nothing() {
        let now = Instant::now();
        let budget = Budget::new(&Retries::new().budget(0.0, 0), now);
        budget.deposit(now);
        assert!(!budget.withdraw(now));

        let budget = Budget::new(&Retries::new().budget(1.0, 0), now);
        assert!(!budget.withdraw(now));
        budget.deposit(now);
        assert!(budget.withdraw(now));
        assert!(!budget.withdraw(now));
    }

    #[test]
    fn clocks_that_go_back_or_end_are_borne() {
        let began = Instant::now() + 1000 * SECOND;
        let budget = Budget::new(&Retries::new(), began);
        let far = began.checked_add(Duration::from_secs(1 << 40)).unwrap();
        for now in [began - 1000 * SECOND, far, began, far + SECOND] {
            budget.deposit(now);
            budget.withdraw(now);
        }
    }

    /// As many as there is credit for, whoever asks.
    #[test]
    fn threads_do_not_spend_the_same_credit() {
        let now = Instant::now();
        let budget = Budget::new(&Retries::new().budget(0.5, 1), now);
        let granted: usize = thread::scope(|scope| {
            let depositing: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..1000).for_each(|_| budget.deposit(now))))
                .collect();
            depositing
                .into_iter()
                .for_each(|thread| thread.join().unwrap());
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| granted(&budget, now)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(granted, 2000 + 10);
    }

    /// The first requests of a second find the slot of an earlier round: none may be lost.
    #[test]
    fn no_request_is_lost_when_a_slot_begins_anew() {
        let began = Instant::now();
        let budget = Budget::new(&Retries::new().budget(1.0, 0), began);
        for round in 0..200 {
            let now = began + 10 * round * SECOND;
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| (0..5).for_each(|_| budget.deposit(now)));
                }
            });
            assert_eq!(granted(&budget, now), 20, "{round}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// In each ten seconds: no more than the share of their requests and their minimum. And
        /// no less: what is refused would have been too much.
        #[test]
        fn never_more_than_its_share_of_any_window(
            ratio in 0.0..2.0_f64,
            min in 0..5_u32,
            steps in prop::collection::vec((0..3000_u64, 0..30_usize, 0..30_usize), 0..100),
        ) {
            let began = Instant::now();
            let config = Retries::new().budget(ratio, min);
            let budget = Budget::new(&config, began);
            let (mut millis, mut requests, mut retries) = (0, Vec::new(), Vec::new());
            for (pause, first, again) in steps {
                millis += pause;
                let (second, now) = (millis / 1000, began + Duration::from_millis(millis));
                for _ in 0..first {
                    budget.deposit(now);
                    requests.push(second);
                }
                for _ in 0..again {
                    let recent = |of: &&u64| **of + 10 > second;
                    let credit = ratio * requests.iter().filter(recent).count() as f64
                        + f64::from(min) * 10.0;
                    let spent = retries.iter().filter(recent).count();
                    let granted = budget.withdraw(now);
                    prop_assert_eq!(granted, (spent + 1) as f64 <= credit);
                    if granted {
                        retries.push(second);
                    }
                }
            }
        }
    }
}

/// Any outcome, any configuration: the rules that are not up for discussion.
mod always {
    use super::*;

    fn kind() -> impl Strategy<Value = ErrorKind> {
        prop::sample::select(vec![
            ErrorKind::UpstreamConnect,
            ErrorKind::UpstreamConnectTimeout,
            ErrorKind::UpstreamReset,
            ErrorKind::UpstreamProtocol,
            ErrorKind::UpstreamTimeout,
            ErrorKind::UpstreamBusy,
            ErrorKind::RequestBodyIncomplete,
            ErrorKind::Io,
        ])
    }

    fn time() -> impl Strategy<Value = Duration> {
        prop_oneof![
            Just(Duration::ZERO),
            Just(Duration::MAX),
            (0..10_000_u64).prop_map(Duration::from_millis),
            any::<u64>().prop_map(Duration::from_secs),
        ]
    }

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            (kind(), any::<[bool; 3]>()).prop_map(|(kind, [bytes_taken, was_heard, on_kept])| {
                Outcome::Failed(Failed {
                    kind,
                    bytes_taken,
                    was_heard,
                    on_kept,
                })
            }),
            (
                prop::sample::select(vec![200, 429, 503]),
                prop::option::of(time())
            )
                .prop_map(|(code, retry_after)| Outcome::Answered {
                    status: StatusCode::from_u16(code).unwrap(),
                    retry_after,
                }),
        ]
    }

    fn any_attempt() -> impl Strategy<Value = Attempt> {
        (outcome(), 1..6_u32, any::<[bool; 4]>(), time()).prop_map(
            |(
                outcome,
                tries,
                [was_renewed, is_idempotent, is_replayable, others_left],
                remaining,
            )| {
                Attempt {
                    tries,
                    was_renewed,
                    is_idempotent,
                    is_replayable,
                    outcome,
                    others_left,
                    remaining,
                }
            },
        )
    }

    fn any_config() -> impl Strategy<Value = Retries> {
        (1..5_u32, any::<[bool; 3]>(), time(), time(), time()).prop_map(
            |(tries, [by_status, on_timeout, non_idempotent], first, longest, wait)| {
                let mut config = Retries::new()
                    .tries(tries)
                    .backoff(first, longest)
                    .max_retry_after(wait);
                if by_status {
                    config = config.on_status([429, 503]);
                }
                if on_timeout {
                    config = config.on_timeout();
                }
                if non_idempotent {
                    config = config.non_idempotent();
                }
                config
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn what_must_not_be_repeated_is_not(config in any_config(), attempt in any_attempt()) {
            let now = Instant::now();
            let budget = Budget::new(&config, now);
            let verdict = decide(&config, &budget, &attempt, now);
            let was_sent = match attempt.outcome {
                Outcome::Answered { .. } => true,
                Outcome::Failed(Failed { kind, bytes_taken, .. }) => {
                    bytes_taken && !matches!(kind, ErrorKind::UpstreamConnect | ErrorKind::UpstreamConnectTimeout)
                }
            };
            if !attempt.is_replayable || was_sent && !attempt.is_idempotent && !config.non_idempotent {
                prop_assert_eq!(verdict, Verdict::Answer);
            }
            match verdict {
                Verdict::Answer => {}
                Verdict::Renew => prop_assert!(!attempt.was_renewed),
                Verdict::Retry { after, elsewhere } => {
                    prop_assert!(attempt.tries < config.tries);
                    prop_assert!(after < attempt.remaining);
                    prop_assert_eq!(elsewhere, attempt.others_left);
                }
            }
        }

        /// However the tries turn out, a request comes to its end.
        #[test]
        fn every_request_ends(
            config in any_config(),
            attempts in prop::collection::vec(any_attempt(), 8),
        ) {
            let now = Instant::now();
            let budget = Budget::new(&config, now);
            let (mut tries, mut was_renewed, mut sent) = (1, false, 0);
            for attempt in attempts {
                sent += 1;
                let attempt = Attempt { tries, was_renewed, ..attempt };
                match decide(&config, &budget, &attempt, now) {
                    Verdict::Answer => break,
                    Verdict::Renew => was_renewed = true,
                    Verdict::Retry { .. } => tries += 1,
                }
            }
            prop_assert!(sent <= config.tries + 1);
        }
    }
}

#[test]
fn nonsense_is_refused_where_it_is_written() {
    fn message(f: impl FnOnce() + std::panic::UnwindSafe) -> String {
        *std::panic::catch_unwind(f)
            .unwrap_err()
            .downcast::<String>()
            .unwrap_or_else(|panic| Box::new((*panic.downcast::<&str>().unwrap()).to_owned()))
    }
    for (text, expected) in [
        (message(|| drop(Retries::new().tries(0))), "Retries::none()"),
        (
            message(|| drop(Retries::new().on_status([503, 5030]))),
            "5030 is no status",
        ),
        (
            message(|| drop(Retries::new().budget(-0.1, 3))),
            "-0.1 is no share",
        ),
        (
            message(|| drop(Retries::new().budget(f64::NAN, 3))),
            "NaN is no share",
        ),
        (
            message(|| drop(Retries::new().budget(f64::INFINITY, 3))),
            "inf is no share",
        ),
        (
            message(|| drop(Retries::new().per_try_timeout(Duration::ZERO))),
            "no time",
        ),
    ] {
        assert!(text.contains(expected), "{text:?} has no {expected:?}");
    }
}

#[test]
fn what_is_said_of_a_try() {
    assert_eq!(Retries::new().try_timeout(), None);
    assert_eq!(
        Retries::new().per_try_timeout(SECOND).try_timeout(),
        Some(SECOND)
    );
    let config = Retries::new().on_status(500..=502);
    assert_eq!(format!("{:?}", config.statuses), "{500, 501, 502}");
}
