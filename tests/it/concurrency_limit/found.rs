//! Where the parts of a limit meet: reserves and algorithms, keys and queues of no length, mounts.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{HeaderName, Request, Response};
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn};
use tower_gateway::{
    Body, ConcurrencyLimit, PathDispatch,
    concurrency_limit::{
        LimitClass, LimitKey, RejectReason, Rejection,
        adaptive::{Aimd, Gradient2, LimitAlgorithm, Sample, Vegas},
    },
};

use super::hello;

/// Keeps its limit, and what it is told.
#[derive(Clone, Debug)]
struct Keeps {
    limit: usize,
    told: Arc<Mutex<Vec<Sample>>>,
    most: Arc<Mutex<Option<usize>>>,
}

impl Keeps {
    fn at(limit: usize) -> Self {
        Self {
            limit,
            told: Arc::default(),
            most: Arc::default(),
        }
    }
}

impl LimitAlgorithm for Keeps {
    fn limit(&self) -> usize {
        self.limit
    }

    fn observe(&mut self, sample: &Sample) -> usize {
        self.told.lock().unwrap().push(*sample);
        self.limit
    }

    fn at_most(&mut self, max: usize) {
        *self.most.lock().unwrap() = Some(max);
    }
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

fn of(tenant: &str) -> Request<Body> {
    let mut request = get("/");
    let tenant = tenant.parse().unwrap();
    request.headers_mut().insert("tenant", tenant);
    request
}

fn reason<B>(response: &Response<B>) -> Option<RejectReason> {
    let rejection = response.extensions().get::<Rejection>();
    rejection.map(|rejection| rejection.reason)
}

/// What nobody but a class may have is as good as used, or a limit with a large reserve would look idle
/// for ever, and never grow.
#[tokio::test]
async fn what_is_kept_counts_as_used_where_a_limit_is_found() {
    let keeps = Keeps::at(8);
    let limit = ConcurrencyLimit::new(64)
        .class(LimitClass::new("checkout", |parts| parts.uri.path() == "/checkout").reserve(5))
        .adaptive(keeps.clone());
    let app = limit.layer(hello());
    let other = app.clone().oneshot(get("/")).await.unwrap();
    let _checkout = app.clone().oneshot(get("/checkout")).await.unwrap();
    drop(other);
    let told = keeps.told.lock().unwrap();
    let in_flight: Vec<_> = told.iter().map(|sample| sample.in_flight).collect();
    // One and five that are kept; then one more, of those five.
    assert_eq!(in_flight, [6, 6]);
}

#[tokio::test]
async fn an_algorithm_is_told_the_most_that_there_will_be() {
    let keeps = Keeps::at(8);
    let _limit = ConcurrencyLimit::new(64).adaptive(keeps.clone());
    assert_eq!(*keeps.most.lock().unwrap(), Some(64));

    let begins = |limit: ConcurrencyLimit| limit.handle().snapshot().limit;
    assert_eq!(begins(ConcurrencyLimit::new(8).adaptive(Aimd::new())), 8);
    assert_eq!(begins(ConcurrencyLimit::new(8).adaptive(Vegas::new())), 8);
    assert_eq!(
        begins(ConcurrencyLimit::new(8).adaptive(Gradient2::new())),
        8
    );
    assert_eq!(begins(ConcurrencyLimit::new(2).adaptive(Vegas::new())), 2);
    let wide = Vegas::new().range(1..=16).initial(4);
    assert_eq!(begins(ConcurrencyLimit::new(8).adaptive(wide)), 4);
}

/// 429 is for who has too much in here himself.
#[tokio::test]
async fn where_none_may_wait_it_is_told_apart_whose_limit_it_is() {
    for limit in [
        ConcurrencyLimit::new(2).queue(0),
        ConcurrencyLimit::new(2).queue(4).key_queue(0),
    ] {
        let key = LimitKey::header(HeaderName::from_static("tenant"));
        let app = limit.per_key(1, key).layer(hello());
        let ask = |tenant| app.clone().oneshot(of(tenant));
        let _one = ask("one").await.unwrap();
        let again = ask("one").await.unwrap();
        assert_eq!(again.status(), 429);
        assert_eq!(reason(&again), Some(RejectReason::KeyQueueFull));
        let _two = ask("two").await.unwrap();
        let three = ask("three").await.unwrap();
        assert_eq!(three.status(), 503);
        assert_eq!(reason(&three), Some(RejectReason::QueueFull));
    }
}

#[tokio::test]
async fn a_mount_is_one_whatever_spelling_a_client_has_for_it() {
    let limit = ConcurrencyLimit::new(8)
        .queue(0)
        .per_key(1, LimitKey::mount());
    let app = PathDispatch::new()
        .mount("/@team", limit.layer(hello()))
        .unwrap()
        .layer(service_fn(async |_: Request<Body>| {
            Ok::<_, Infallible>(Response::new(Body::empty()))
        }));
    let _one = app.clone().oneshot(get("/@team/x")).await.unwrap();
    let other = app.clone().oneshot(get("/%40team/y")).await.unwrap();
    assert_eq!(other.status(), 429);
}

/// Who waits for his own requests to end is no overload.
#[tokio::test(start_paused = true)]
async fn one_who_waits_for_himself_makes_nobody_impatient() {
    let key = LimitKey::header(HeaderName::from_static("tenant"));
    let limit = ConcurrencyLimit::new(2)
        .per_key(1, key)
        .newest_first_after(Duration::from_millis(100), Duration::from_millis(5));
    let app = limit.layer(hello());
    let ask = |tenant| app.clone().oneshot(of(tenant));
    let one = ask("one").await.unwrap();
    let again = tokio::spawn(ask("one"));
    sleep(Duration::from_secs(1)).await;
    let two = ask("two").await.unwrap();
    let three = tokio::spawn(ask("three"));
    sleep(Duration::from_millis(50)).await;
    assert!(!three.is_finished());
    drop(two);
    assert_eq!(three.await.unwrap().unwrap().status(), 200);
    drop(one);
    assert_eq!(again.await.unwrap().unwrap().status(), 200);
}
