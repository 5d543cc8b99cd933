//! Many tasks that come, wait, leave, and are cut off, on several threads.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt, service_fn};
use tower_gateway::{Body, ConcurrencyLimit};

const LIMIT: usize = 100;
const QUEUE: usize = 500;
const TASKS: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_whatever_is_dropped_when() {
    let limit = ConcurrencyLimit::new(LIMIT)
        .queue(QUEUE)
        .queue_timeout(Duration::from_secs(60));
    let inside = Arc::new(AtomicUsize::new(0));
    let app = limit.layer({
        let inside = Arc::clone(&inside);
        service_fn(move |request: Request<usize>| {
            let inside = Arc::clone(&inside);
            async move {
                let count = Counted::new(&inside);
                for _ in 0..request.into_body() % 7 {
                    tokio::task::yield_now().await;
                }
                drop(count);
                Ok::<_, Infallible>(Response::new(Body::from("hello")))
            }
        })
    });

    let mut tasks = JoinSet::new();
    for n in 0..TASKS {
        let app = app.clone();
        let limit = limit.clone();
        tasks.spawn(async move {
            assert!(limit.in_use() <= LIMIT && limit.queued() <= QUEUE);
            let response = app.oneshot(Request::new(n));
            if n % 3 == 0 {
                // Dropped after some polls: while queued, while running, or not at all.
                let patience = async {
                    for _ in 0..n % 11 {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::select! {
                    response = response => drop(response),
                    () = patience => {}
                }
                return None;
            }
            let response = response.await.unwrap();
            let status = response.status();
            if n % 5 != 0 {
                response.into_body().collect().await.unwrap();
            }
            Some(status)
        });
    }
    let (mut served, mut refused) = (0, 0);
    while let Some(outcome) = tasks.join_next().await {
        match outcome.unwrap() {
            Some(StatusCode::OK) => served += 1,
            Some(StatusCode::SERVICE_UNAVAILABLE) => refused += 1,
            None => {}
            Some(other) => panic!("{other}"),
        }
    }
    assert_eq!(served + refused, TASKS - TASKS.div_ceil(3));
    assert!(served >= LIMIT, "only {served} were served");
    assert_eq!((limit.in_use(), limit.queued()), (0, 0));
    assert_eq!(inside.load(Ordering::SeqCst), 0);
}

/// Who is inside, counted until it is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(inside: &'a AtomicUsize) -> Self {
        assert!(inside.fetch_add(1, Ordering::SeqCst) < LIMIT);
        Self(inside)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
