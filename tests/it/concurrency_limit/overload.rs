//! An application that is best with so many requests at once, nobody knows how many, and three times
//! as many as it can answer. The clock is paused, so each run is the same.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{Request, Response, StatusCode};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_gateway::{
    Body, ConcurrencyLimit, StaticFiles,
    concurrency_limit::adaptive::{Aimd, Gradient2, LimitAlgorithm, Vegas},
};

/// How many requests the application works on at best.
const BEST: usize = 32;
/// How long it works on one then.
const WORK: Duration = Duration::from_millis(40);
/// How long clients wait for an answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// What comes: three times what can be answered.
const BETWEEN: Duration = Duration::from_micros(40_000 / (3 * BEST as u64));
const LASTS: Duration = Duration::from_secs(12);
/// What an adaptive limit needs to find out does not count.
const WARM_UP: Duration = Duration::from_secs(4);

/// With more than is good for it, each of its answers takes longer, and more than in proportion: it
/// swaps, it waits for locks.
fn application()
-> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send {
    let running = Arc::new(AtomicUsize::new(0));
    service_fn(move |_: Request<Body>| {
        let running = Arc::clone(&running);
        async move {
            let now = running.fetch_add(1, Relaxed) + 1;
            let load = (now as f64 / BEST as f64).max(1.0);
            sleep(WORK.mul_f64(load.powf(1.5))).await;
            running.fetch_sub(1, Relaxed);
            Ok(Response::new(Body::from("done")))
        }
    })
}

/// What came of a run, after its warm-up.
struct Report {
    /// Answers in time.
    good: usize,
    /// How long those waited who were let in, the slowest hundredth left out.
    p99: Duration,
    /// The limit at the end.
    limit: usize,
}

async fn run(limit: ConcurrencyLimit) -> Report {
    let app = limit.layer(application());
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    let mut at = start;
    while at < start + LASTS {
        sleep_until(at).await;
        let app = app.clone();
        tasks.spawn(async move {
            let came = Instant::now();
            let response = app.oneshot(Request::new(Body::empty())).await.unwrap();
            let is_in = response.status() == StatusCode::OK;
            (came, came.elapsed(), is_in)
        });
        at += BETWEEN;
    }
    let seen = tasks.join_all().await;
    let mut times: Vec<_> = seen
        .into_iter()
        .filter(|(came, _, is_in)| *is_in && *came >= start + WARM_UP)
        .map(|(_, took, _)| took)
        .collect();
    times.sort_unstable();
    Report {
        good: times.iter().filter(|took| **took <= PATIENCE).count(),
        p99: times[times.len() * 99 / 100],
        limit: limit.handle().snapshot().limit,
    }
}

/// A short queue, for the little that comes in bursts.
fn limit(max: usize) -> ConcurrencyLimit {
    ConcurrencyLimit::new(max)
        .queue(BEST)
        .queue_timeout(PATIENCE / 2)
}

async fn is_nearly_as_good_as_the_best(algorithm: impl LimitAlgorithm) {
    let mut best = 0;
    for fixed in [16, 24, 28, 32, 36, 40, 48, 64] {
        best = best.max(run(limit(fixed)).await.good);
    }
    let found = run(limit(200).adaptive(algorithm)).await;
    let ratio = found.good as f64 / best as f64;
    println!(
        "{ratio:.3} of {best}, limit {}, p99 {:?}",
        found.limit, found.p99
    );
    assert!(ratio >= 0.9, "{ratio:.3} of the best fixed limit's goodput");
    assert!(found.p99 <= PATIENCE / 2, "{:?}", found.p99);
}

#[tokio::test(start_paused = true)]
async fn aimd_is_nearly_as_good_as_the_best_fixed_limit() {
    // It has to be told what is slow.
    is_nearly_as_good_as_the_best(Aimd::new().slow(WORK * 5 / 4)).await;
}

#[tokio::test(start_paused = true)]
async fn vegas_is_nearly_as_good_as_the_best_fixed_limit() {
    is_nearly_as_good_as_the_best(Vegas::new()).await;
}

#[tokio::test(start_paused = true)]
async fn gradient2_is_nearly_as_good_as_the_best_fixed_limit() {
    is_nearly_as_good_as_the_best(Gradient2::new()).await;
}

/// They stand in front of the limit.
#[tokio::test]
async fn static_files_do_not_notice() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("style.css"), "body {}").unwrap();
    let limit = ConcurrencyLimit::new(1).queue(1);
    let files = StaticFiles::new(directory.path());
    let app = files.layer(limit.layer(service_fn(async |_: Request<Body>| {
        std::future::pending::<()>().await;
        Ok::<_, Infallible>(Response::new(Body::empty()))
    })));
    let ask = |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        app.clone().oneshot(request)
    };
    let mut stuck: Vec<_> = (0..2).map(|_| Box::pin(ask("/"))).collect();
    // Whether `/` is a file is found out elsewhere.
    while (limit.in_use(), limit.queued()) != (1, 1) {
        for request in &mut stuck {
            assert!(futures_util::poll!(request).is_pending());
        }
        tokio::task::yield_now().await;
    }
    assert_eq!((limit.in_use(), limit.queued()), (1, 1));
    assert_eq!(ask("/").await.unwrap().status(), 503);
    for _ in 0..100 {
        assert_eq!(ask("/style.css").await.unwrap().status(), 200);
    }
}
