#![allow(clippy::unwrap_used)]

use std::{panic::catch_unwind, time::Duration};

use super::*;
use crate::wsgi::SpawnErrorKind;

fn builder() -> Builder {
    Builder::new("app".to_owned())
}

#[test]
fn a_limit_is_blurred_by_a_tenth_unless_one_says_by_how_much() {
    let minute = Duration::from_secs(60);
    let of = |builder: &Builder| {
        let processes = &builder.processes;
        (processes.requests_bound(), processes.lifetime_bound())
    };
    assert_eq!(of(&builder()), (None, None));
    let builder = builder().max_requests(1000).max_lifetime(minute);
    let (requests, lifetime) = of(&builder);
    assert_eq!(requests.map(|bound| bound.jitter), Some(100));
    assert_eq!(lifetime.map(|bound| bound.jitter), Some(minute / 10));
    let builder = builder.max_requests_jitter(1).max_lifetime_jitter(minute);
    let (requests, lifetime) = of(&builder);
    assert_eq!(requests.map(|bound| bound.jitter), Some(1));
    assert_eq!(lifetime.map(|bound| bound.jitter), Some(minute));
}

#[test]
fn to_develop_is_one_worker_that_is_reloaded() {
    let processes = builder().development().processes;
    assert_eq!(processes.workers, 1..=1);
    assert_eq!(processes.watched, Some(Vec::new()));
    assert_eq!(processes.graceful_timeout, Duration::from_secs(1));
}

#[test]
fn no_more_than_sixteen_are_sent_ahead() {
    let prefetch = |requests| builder().prefetch(requests).requests.prefetch;
    assert_eq!(builder().requests.prefetch, 0);
    assert_eq!([3, 16, 17, usize::MAX].map(prefetch), [3, 16, 16, 16]);
}

#[test]
fn what_could_never_work_is_told_to_whoever_wrote_it() {
    type Says = fn(Builder) -> Builder;
    let table: [(Says, &str); 9] = [
        (|builder| builder.workers(0), "zero workers answers nothing"),
        (|builder| builder.scale(0..=2), "begin at 1 or more"),
        (
            #[allow(clippy::reversed_empty_ranges)]
            |builder| builder.scale(3..=2),
            "at least 3 and at most 2 workers",
        ),
        (|builder| builder.threads(0), "zero threads answers nothing"),
        (
            |builder| builder.startup_timeout(Duration::ZERO),
            "ready in no time",
        ),
        (|builder| builder.timeout(Duration::ZERO), "Duration::MAX"),
        (|builder| builder.max_requests(0), "after zero requests"),
        (
            |builder| builder.max_lifetime(Duration::ZERO),
            "lives for no time",
        ),
        (|builder| builder.max_memory(0), "fits into zero bytes"),
    ];
    for (says, expected) in table {
        let panic = catch_unwind(|| says(Builder::new("app".to_owned())));
        let panic = panic.expect_err(expected);
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let text = text.unwrap();
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test]
async fn an_option_that_cannot_be_meant_is_an_error_that_names_it() {
    type Says = fn(Builder) -> Builder;
    let table: [(&str, Says, &str); 17] = [
        ("env", |builder| builder.env("a\0", "1"), r"a\0"),
        ("env", |builder| builder.env("", "1"), "has a name"),
        ("env", |builder| builder.env("a=b", "1"), "no `=`"),
        ("env", |builder| builder.env("a=secret", ""), "(\"a\")"),
        ("env", |builder| builder.env("a", "secret\0"), "the value"),
        ("directory", |builder| builder.directory("a\0b"), r"a\0b"),
        ("directory", |builder| builder.directory(""), "not empty"),
        ("pythonpath", |builder| builder.pythonpath("a\0"), r"a\0"),
        ("pythonpath", |builder| builder.pythonpath(""), "not empty"),
        ("python", |builder| builder.python("a\0"), r"a\0"),
        ("python", |builder| builder.python(""), "not empty"),
        (
            "reload_on_change",
            |builder| builder.reload_on_change(["a\0"]),
            r"a\0",
        ),
        ("server_name", |builder| builder.server_name(""), "a host"),
        (
            "server_name",
            |builder| builder.server_name("a\0b"),
            r"a\0b",
        ),
        (
            "server_name",
            |builder| builder.server_name("a\nb"),
            r"a\nb",
        ),
        (
            "server_name",
            |builder| builder.server_name("a.test:80"),
            "without a port",
        ),
        (
            "server_name",
            |builder| builder.server_name("::1"),
            "in brackets",
        ),
    ];
    for (option, says, expected) in table {
        let error = says(builder()).spawn().await.unwrap_err();
        assert_eq!(error.kind(), SpawnErrorKind::Option, "{option}: {error}");
        let text = error.to_string();
        assert!(text.contains(&format!("`{option}`")), "{text}");
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn a_signal_that_nobody_may_handle_is_an_error_that_names_the_option() {
    let kill = SignalKind::from_raw(rustix::process::Signal::KILL.as_raw());
    let builder = builder().reload_on_signal(kill);
    let error = builder.spawn().await.unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Option, "{error}");
    assert!(error.to_string().contains("`reload_on_signal`"), "{error}");
}

#[test]
fn a_name_of_a_server_is_that_of_a_host() {
    for name in ["a.test", "localhost", "_", "127.0.0.1", "[::1]"] {
        assert!(builder().server_name(name).check().is_ok(), "{name}");
    }
}

#[test]
fn a_tenth_more_is_a_tenth_more_unless_it_is_said() {
    let builder = Builder::new("app".to_owned());
    assert!(builder.processes.requests_bound().is_none());
    assert!(builder.processes.lifetime_bound().is_none());
    let seconds = Duration::from_secs;
    let builder = builder.max_requests(1000).max_lifetime(seconds(3600));
    assert_eq!(builder.processes.requests_bound().unwrap().jitter, 100);
    assert_eq!(
        builder.processes.lifetime_bound().unwrap().jitter,
        seconds(360)
    );
    let builder = builder
        .max_requests_jitter(7)
        .max_lifetime_jitter(seconds(8));
    assert_eq!(builder.processes.requests_bound().unwrap().jitter, 7);
    assert_eq!(
        builder.processes.lifetime_bound().unwrap().jitter,
        seconds(8)
    );
}

#[test]
fn what_an_application_is_made_of_is_nobodys_business() {
    let name = |application: &str| Builder::new(application.to_owned()).processes.public_name();
    assert_eq!(name("app:create(\"secret\")"), "app:create(...)");
    assert_eq!(name("app:application"), "app:application");
}
