//! As many workers as there is work.

use std::time::Duration;

use http::StatusCode;
use tower_gateway::wsgi::WorkerState;

use crate::wsgi::apps::{APP, App, ask, until, within};

#[tokio::test]
async fn one_more_is_started_when_requests_wait() {
    let app = App::new(APP);
    let container = app.builder().scale(1..=2).spawn().await.unwrap();
    assert_eq!(container.handle().status().target, 1);
    let held = app.hold("held");
    let request = tokio::spawn({
        let (container, path) = (container.clone(), held.request());
        async move { ask(&container, &path).await }
    });
    let writer = held.held().await;
    // All are busy: it waits until there is another one.
    assert_eq!(ask(&container, "/").await.status, StatusCode::OK);
    let status = container.handle().status();
    assert_eq!((status.target, status.workers.len()), (2, 2));
    drop(writer);
    assert_eq!(request.await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn one_fewer_is_kept_when_there_was_little_to_do_for_a_minute() {
    let app = App::new(APP);
    let builder = app.builder().workers(2);
    // The clock of this test would kill it before it has ended.
    let container = builder.graceful_timeout(Duration::MAX).spawn().await;
    let container = container.unwrap();
    container.handle().scale(1..=2);
    until(&container, |status| status.idle == 2).await;
    tokio::time::pause();
    let mut seconds = 0;
    while container.handle().status().target == 2 {
        tokio::time::advance(Duration::from_secs(1)).await;
        seconds += 1;
        assert!(seconds < 70);
    }
    tokio::time::resume();
    assert!(seconds >= 60, "{seconds}");
    let status = until(&container, |status| status.workers.len() == 1).await;
    assert_eq!((status.crashes, status.killed), (0, 0));
    assert_eq!(ask(&container, "/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_number_can_be_changed_at_any_time() {
    let app = App::new(APP);
    let container = app.builder().workers(1).spawn().await.unwrap();
    container.handle().resize(3);
    let ready = |status: &tower_gateway::wsgi::Status, count| {
        let ready = |worker: &&_| worker_is_ready(worker);
        status.workers.iter().filter(ready).count() == count && status.workers.len() == count
    };
    until(&container, |status| ready(status, 3)).await;
    container.handle().resize(1);
    until(&container, |status| ready(status, 1)).await;
    // None at all is not meant.
    container.handle().resize(0);
    container.handle().scale(2..=4);
    let status = until(&container, |status| ready(status, 2)).await;
    assert_eq!(status.target, 2);
    within(container.handle().shutdown()).await;
}

fn worker_is_ready(worker: &tower_gateway::wsgi::WorkerStatus) -> bool {
    worker.state == WorkerState::Ready
}
