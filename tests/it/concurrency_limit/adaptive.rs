//! A limit that is found: what the algorithm hears, and that it is obeyed.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use tower::{Layer, ServiceExt, service_fn};
use tower_gateway::{
    Body, BoxError, ConcurrencyLimit,
    concurrency_limit::adaptive::{LimitAlgorithm, Outcome, Sample},
};

use super::{asks, hello, streaming, streams, waits};
use crate::support::scripted;

/// Says what it is told to say, and remembers what it hears.
#[derive(Clone, Debug)]
struct Script {
    says: Arc<Mutex<usize>>,
    heard: Arc<Mutex<Vec<Sample>>>,
}

impl Script {
    fn new(says: usize) -> Self {
        Self {
            says: Arc::new(Mutex::new(says)),
            heard: Arc::default(),
        }
    }

    fn heard(&self) -> Vec<Sample> {
        self.heard.lock().unwrap().clone()
    }
}

impl LimitAlgorithm for Script {
    fn limit(&self) -> usize {
        *self.says.lock().unwrap()
    }

    fn observe(&mut self, sample: &Sample) -> usize {
        self.heard.lock().unwrap().push(*sample);
        self.limit()
    }
}

/// Answers after so many milliseconds with so much as the status.
fn answers()
-> impl tower::Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send>
+ Clone
+ Send {
    service_fn(async |request: Request<Body>| {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let status: u16 = request.uri().path()[1..].parse()?;
        let mut response = Response::new(Body::from("hello"));
        *response.status_mut() = StatusCode::from_u16(status)?;
        Ok::<_, BoxError>(response)
    })
}

#[tokio::test(start_paused = true)]
async fn it_hears_of_each_answer_and_what_it_was() {
    let script = Script::new(7);
    let limit = ConcurrencyLimit::new(9).adaptive(script.clone());
    assert_eq!(limit.handle().snapshot().limit, 7);
    let app = limit.layer(answers());
    for (path, outcome) in [
        ("/200", Outcome::Success),
        ("/404", Outcome::Success),
        ("/500", Outcome::Success),
        ("/429", Outcome::Overload),
        ("/503", Outcome::Overload),
        ("/504", Outcome::Overload),
        ("/error", Outcome::Overload),
    ] {
        drop(app.clone().oneshot(asks(path)).await);
        let sample = script.heard().pop().unwrap();
        assert_eq!(sample.outcome, outcome, "{path}");
        assert_eq!(sample.latency, Duration::from_millis(10), "{path}");
        assert_eq!(sample.in_flight, 1);
    }
    let times: Vec<_> = script
        .heard()
        .iter()
        .map(|sample| sample.at.as_millis())
        .collect();
    assert_eq!(times, [10, 20, 30, 40, 50, 60, 70]);
}

/// A slow client is not the application's fault.
#[tokio::test(start_paused = true)]
async fn the_time_to_the_head_counts_and_the_body_does_not() {
    let script = Script::new(7);
    let limit = ConcurrencyLimit::new(9).adaptive(script.clone());
    let app = limit.layer(streams());
    let (_feed, body) = scripted::channel();
    let response = app.oneshot(streaming(body)).await.unwrap();
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!((script.heard().len(), limit.in_use()), (1, 1));
    assert_eq!(script.heard()[0].latency, Duration::ZERO);
    drop(response);
    assert_eq!((script.heard().len(), limit.in_use()), (1, 0));
}

/// Nor is a client that goes away. Nor is the time in the queue its time.
#[tokio::test(start_paused = true)]
async fn who_goes_away_is_not_told_of_and_waiting_is_not_work() {
    let script = Script::new(1);
    let limit = ConcurrencyLimit::new(9).adaptive(script.clone());
    let app = limit.layer(answers());
    let mut leaves = Box::pin(app.clone().oneshot(asks("/200")));
    assert!(leaves.as_mut().now_or_never().is_none());
    let mut waiting = Box::pin(app.clone().oneshot(asks("/200")));
    assert!(waiting.as_mut().now_or_never().is_none());
    tokio::time::advance(Duration::from_secs(1)).await;
    drop(leaves);
    waiting.await.unwrap();
    assert_eq!(script.heard().len(), 1);
    assert_eq!(script.heard()[0].latency, Duration::from_millis(10));
}

#[tokio::test]
async fn it_is_obeyed_within_bounds() {
    let script = Script::new(1);
    let limit = ConcurrencyLimit::new(3).adaptive(script.clone());
    let app = limit.layer(hello());
    let running = app.clone().oneshot(asks("/")).await.unwrap();
    let first = waits(app.clone().oneshot(asks("/")));
    let second = waits(app.clone().oneshot(asks("/")));
    // The next answer brings another limit, and those who wait come in.
    *script.says.lock().unwrap() = 100;
    drop(running);
    let first = super::comes(first);
    assert_eq!(
        limit.handle().snapshot().limit,
        3,
        "never more than it was given"
    );
    let second = super::comes(second);
    drop((first, second));

    *script.says.lock().unwrap() = 0;
    app.clone().oneshot(asks("/")).await.unwrap();
    assert_eq!(limit.handle().snapshot().limit, 1, "never none");
    // A resize by hand holds until the next answer.
    limit.handle().resize(2);
    assert_eq!(limit.handle().snapshot().limit, 2);
    app.oneshot(asks("/")).await.unwrap();
    assert_eq!(limit.handle().snapshot().limit, 1);
}

#[tokio::test]
async fn what_is_turned_away_or_let_past_is_not_told() {
    let script = Script::new(1);
    let limit = ConcurrencyLimit::new(1)
        .queue(0)
        .bypass(|parts| parts.uri.path() == "/past")
        .adaptive(script.clone());
    let app = limit.layer(service_fn(async |_: Request<Body>| {
        Ok::<_, Infallible>(Response::new(Body::from("hello")))
    }));
    let _running = app.clone().oneshot(asks("/")).await.unwrap();
    app.clone().oneshot(asks("/")).await.unwrap();
    app.oneshot(asks("/past")).await.unwrap();
    assert_eq!(script.heard().len(), 1);
}
