//! Workers that have worked enough are replaced, and nobody notices.

use std::time::Duration;

use tower_gateway::wsgi::Builder;

use super::load::Load;
use crate::wsgi::apps::{APP, App, ask, until, within};

/// Under load, workers are recycled several times, and nothing fails.
async fn recycles(builder: Builder) {
    let container = builder.workers(2).spawn().await.unwrap();
    let load = Load::start(&container, 8);
    let status = until(&container, |status| status.recycled >= 4).await;
    let answers = load.stop().await;
    assert!(answers.different.len() >= 4, "{:?}", answers.different);
    assert!(answers.count > 4);
    assert_eq!(
        (status.crashes, status.failed_boots, status.killed),
        (0, 0, 0)
    );
    // At most one is replaced at a time.
    assert!(status.workers.len() <= 3, "{status:#?}");
    within(container.handle().shutdown()).await;
}

#[tokio::test]
async fn after_a_number_of_requests() {
    let app = App::new(APP);
    let builder = app.builder().max_requests(20).max_requests_jitter(5);
    recycles(builder).await;
}

#[tokio::test]
async fn after_a_time() {
    let app = App::new(APP);
    let builder = app.builder().max_lifetime(Duration::from_millis(300));
    recycles(builder).await;
}

#[tokio::test]
async fn when_it_has_grown_too_big() {
    let app = App::new(APP);
    let builder = app.builder().workers(1).max_memory(100 << 20);
    let container = builder.spawn().await.unwrap();
    let pid = ask(&container, "/").await.pid();
    let status = until(&container, |status| status.workers[0].memory.is_some()).await;
    assert!(status.workers[0].memory.unwrap() < 100 << 20);

    assert_eq!(ask(&container, "/grow?100").await.body, "grown");
    let load = Load::start(&container, 2);
    until(&container, |status| status.recycled == 1).await;
    load.stop().await;
    assert_ne!(ask(&container, "/").await.pid(), pid);
}
