//! As many workers as there is work.

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
async fn the_number_can_be_changed_at_any_time() {
    let app = App::new(APP);
    let container = app.builder().workers(1).spawn().await.unwrap();
    container.handle().resize(3);
    let ready = |status: &tower_gateway::wsgi::Status, count| {
        let ready = |worker: &&_| worker_is_ready(worker);
        status.workers.iter().filter(ready).count() == count && status.workers.len() == count
    };
    until(&container, |status| ready(status, 3)).await;
    // Whoever is started from now on is told that it is not alone.
    let is_multiprocess = async || ask(&container, "/environ?wsgi.multiprocess").await.body;
    container.handle().reload().await.unwrap();
    assert_eq!(is_multiprocess().await, "True");
    container.handle().resize(1);
    container.handle().reload().await.unwrap();
    assert_eq!(is_multiprocess().await, "False");
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
