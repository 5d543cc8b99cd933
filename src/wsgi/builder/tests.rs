use super::*;

fn builder() -> Builder {
    Builder::new("app".to_owned())
}

#[test]
#[should_panic(expected = "give at least 1")]
fn no_workers() {
    let _ = builder().workers(0);
}

#[test]
#[should_panic(expected = "begin at 1 or more")]
fn maybe_no_workers() {
    let _ = builder().scale(0..=3);
}

#[test]
#[should_panic(expected = "give the smaller number first")]
#[allow(clippy::reversed_empty_ranges)]
fn more_at_least_than_at_most() {
    let _ = builder().scale(3..=2);
}

#[test]
#[should_panic(expected = "give at least 1")]
fn no_threads() {
    let _ = builder().threads(0);
}

#[test]
#[should_panic(expected = "give a startup timeout of seconds")]
fn no_time_to_start() {
    let _ = builder().startup_timeout(Duration::ZERO);
}

#[test]
#[should_panic(expected = "or leave it out")]
fn no_requests() {
    let _ = builder().max_requests(0);
}

#[test]
#[should_panic(expected = "or leave it out")]
fn no_lifetime() {
    let _ = builder().max_lifetime(Duration::ZERO);
}

#[test]
#[should_panic(expected = "or leave it out")]
fn no_memory() {
    let _ = builder().max_memory(0);
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
