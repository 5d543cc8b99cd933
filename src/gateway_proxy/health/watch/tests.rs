//! A server that is probed, with a clock that stands still unless all wait.

#![allow(clippy::unwrap_used)] // In a test it is an assertion.

use std::{
    cell::{Cell, RefCell},
    future,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use http::StatusCode;
use tokio::{select, time};

use super::*;
use crate::gateway_proxy::health::State;

/// What the probe is answered, and when it was sent.
#[derive(Default)]
struct Probed {
    script: RefCell<Vec<Answer>>,
    at: RefCell<Vec<Instant>>,
    changes: RefCell<Vec<(Change, String)>>,
    under_way: Cell<u32>,
}

#[derive(Clone)]
enum Answer {
    Status(u16),
    Error,
    Never,
}

struct UnderWay(Rc<Probed>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get() - 1);
    }
}

impl Probed {
    fn new(script: impl IntoIterator<Item = Answer>) -> Rc<Self> {
        let mut script: Vec<_> = script.into_iter().collect();
        script.reverse();
        Rc::new(Self {
            script: RefCell::new(script),
            ..Self::default()
        })
    }

    /// Watches until the script is over; then the server is well for ever.
    async fn watch(self: Rc<Self>, config: HealthCheck, health: std::sync::Weak<Health>) {
        let (probed, told) = (Rc::clone(&self), Rc::clone(&self));
        watch(
            config,
            || health.upgrade(),
            || {
                let probed = Rc::clone(&probed);
                async move {
                    probed.at.borrow_mut().push(Instant::now());
                    probed.under_way.set(probed.under_way.get() + 1);
                    let _under_way = UnderWay(Rc::clone(&probed));
                    let answer = probed.script.borrow_mut().pop();
                    match answer.unwrap_or(Answer::Status(200)) {
                        Answer::Status(code) => {
                            Ok((StatusCode::from_u16(code)?, Bytes::from_static(b"ok")))
                        }
                        Answer::Error => Err("refused".into()),
                        Answer::Never => future::pending().await,
                    }
                }
            },
            |change, why| {
                let why = why.map(ToString::to_string).unwrap_or_default();
                told.changes.borrow_mut().push((change, why));
            },
        )
        .await;
    }

    fn pauses(&self) -> Vec<Duration> {
        let at = self.at.borrow();
        at.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

fn check() -> HealthCheck {
    HealthCheck::get("/healthz")
}

#[tokio::test(start_paused = true)]
async fn the_first_probe_is_sent_at_once_and_the_others_about_an_interval_apart() {
    let (probed, health) = (Probed::new([]), Arc::new(Health::new(true)));
    let began = Instant::now();
    let watching = Rc::clone(&probed).watch(check(), Arc::downgrade(&health));
    assert!(
        time::timeout(Duration::from_secs(1000), watching)
            .await
            .is_err()
    );

    assert_eq!(probed.at.borrow()[0], began);
    assert_eq!(*probed.changes.borrow(), [(Change::Up, String::new())]);
    let pauses = probed.pauses();
    assert!((180..=225).contains(&pauses.len()), "{}", pauses.len());
    // A tick of tokio's clock is a millisecond.
    let (least, most) = (Duration::from_millis(4500), Duration::from_millis(5502));
    assert!(
        pauses.iter().all(|pause| (least..most).contains(pause)),
        "{pauses:?}"
    );
    assert!(pauses.iter().any(|pause| *pause != pauses[0]), "no jitter");
}

#[tokio::test(start_paused = true)]
async fn bad_answers_errors_and_silence_take_it_down() {
    let script = [
        Answer::Status(500),
        Answer::Error,
        Answer::Never, // down
        Answer::Status(200),
        Answer::Status(200), // up
        Answer::Never,
        Answer::Never,
        Answer::Error, // down
        Answer::Status(200),
        Answer::Status(404),
        Answer::Status(200),
        Answer::Status(200), // up
        Answer::Error,
        Answer::Error,
        Answer::Status(503), // down
    ];
    let (probed, health) = (Probed::new(script), Arc::new(Health::new(false)));
    let watching = Rc::clone(&probed).watch(check(), Arc::downgrade(&health));
    assert!(
        time::timeout(Duration::from_secs(200), watching)
            .await
            .is_err()
    );
    let expected = [
        (Change::Down, "no answer in time"),
        (Change::Up, ""),
        (Change::Down, "no answer"),
        (Change::Up, ""),
        (Change::Down, "the answer was 503"),
        (Change::Up, ""),
    ];
    let expected = expected.map(|(change, why)| (change, why.to_owned()));
    assert_eq!(*probed.changes.borrow(), expected);
    assert_eq!(probed.under_way.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_is_given_up_and_followed_at_once() {
    let config = check()
        .interval(Duration::from_secs(1))
        .timeout(Duration::from_secs(3));
    let (probed, health) = (
        Probed::new(vec![Answer::Never; 3]),
        Arc::new(Health::new(false)),
    );
    let watching = Rc::clone(&probed).watch(config, Arc::downgrade(&health));
    assert!(
        time::timeout(Duration::from_millis(9010), watching)
            .await
            .is_err()
    );
    assert_eq!(health.state(Instant::now()), State::Down);
    let pauses = probed.pauses();
    let near = |pause: &Duration| pause.abs_diff(Duration::from_secs(3)) < Duration::from_millis(5);
    assert!(pauses[..3].iter().all(near), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_the_server_is_gone() {
    // While it pauses.
    let (probed, health) = (Probed::new([]), Arc::new(Health::new(false)));
    let watching = Rc::clone(&probed).watch(check(), Arc::downgrade(&health));
    let goes = async {
        time::sleep(Duration::from_secs(1)).await;
        assert_eq!(Arc::strong_count(&health), 1, "it is held meanwhile");
        drop(health);
        future::pending::<()>().await;
    };
    select! {
        () = watching => {}
        () = goes => {}
        () = time::sleep(Duration::from_secs(6)) => panic!("it goes on"),
    }
    assert_eq!(probed.at.borrow().len(), 1);

    // While it probes.
    let (probed, health) = (Probed::new([Answer::Never]), Arc::new(Health::new(false)));
    let watching = Rc::clone(&probed).watch(check(), Arc::downgrade(&health));
    let goes = async {
        time::sleep(Duration::from_secs(1)).await;
        assert_eq!(Arc::strong_count(&health), 1, "it is held meanwhile");
        drop(health);
        future::pending::<()>().await;
    };
    select! {
        () = watching => {}
        () = goes => {}
        () = time::sleep(Duration::from_secs(6)) => panic!("it goes on"),
    }
    assert_eq!(probed.at.borrow().len(), 1);

    // Before it began.
    let probed = Probed::new([]);
    Rc::clone(&probed)
        .watch(check(), std::sync::Weak::new())
        .await;
    assert!(probed.at.borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_may_be_dropped_at_any_time() {
    for after in [0, 1000, 4999, 5001, 7000] {
        let script = [Answer::Never, Answer::Status(200)];
        let (probed, health) = (Probed::new(script), Arc::new(Health::new(false)));
        let watching = Rc::clone(&probed).watch(check(), Arc::downgrade(&health));
        let dropped = time::timeout(Duration::from_millis(after), watching).await;
        assert!(dropped.is_err());
        assert_eq!(probed.under_way.get(), 0);
        assert_eq!(Arc::strong_count(&health), 1);
    }
}

#[test]
fn it_can_be_spawned_where_its_probe_can() {
    fn spawnable<F: Future + Send + 'static>(_: F) {}
    spawnable(watch(
        check(),
        || None,
        || future::ready(Err("refused".into())),
        |_, _| {},
    ));
}

#[test]
fn no_interval_is_too_long() {
    for interval in [
        Duration::MAX,
        Duration::from_nanos(1),
        Duration::from_secs(5),
    ] {
        for chance in [0.0, 0.5, 1.0 - f64::EPSILON] {
            let pause = jittered(interval, chance);
            assert!(pause >= interval - interval / 10);
            assert!(pause <= interval.saturating_add(interval / 10));
        }
    }
}
