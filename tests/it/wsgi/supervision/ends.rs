//! How a container ends, and how a worker that somebody else ends does.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use rustix::process::Signal;
use tower::ServiceExt;
use tower_gateway::{ErrorKind, wsgi::State};

use super::load::Load;
use crate::wsgi::apps::{APP, App, ask, gone, is_alive, kill, until, within};

#[tokio::test]
async fn a_shutdown_finishes_what_runs_and_lets_nobody_new_in() {
    let app = App::new(APP);
    let container = app.builder().workers(1).spawn().await.unwrap();
    let held = app.hold("held");
    let request = tokio::spawn({
        let (container, path) = (container.clone(), held.request());
        async move { ask(&container, &path).await }
    });
    let writer = held.held().await;
    let waiting = tokio::spawn({
        let container = container.clone();
        async move { ask(&container, "/").await }
    });
    until(&container, |status| status.waiting == 1).await;

    let handle = container.handle();
    let shutdown = tokio::spawn(async move { handle.shutdown().await });
    until(&container, |status| status.state == State::Draining).await;
    for refused in [waiting.await.unwrap(), ask(&container, "/").await] {
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.error, Some(ErrorKind::Draining));
    }
    assert!(!shutdown.is_finished());
    drop(writer);
    assert_eq!(request.await.unwrap().status, StatusCode::OK);
    within(shutdown).await.unwrap();
    assert_eq!(container.handle().status().killed, 0);
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let app = App::new(APP);
    let builder = app.builder().workers(1);
    let builder = builder.graceful_timeout(Duration::from_millis(200));
    let container = builder.spawn().await.unwrap();
    let request = tokio::spawn({
        let container = container.clone();
        async move { ask(&container, "/loop").await }
    });
    let status = until(&container, |status| status.busy == 1).await;
    within(container.handle().shutdown()).await;
    assert!(!is_alive(status.workers[0].pid));
    assert_eq!(request.await.unwrap().status, StatusCode::BAD_GATEWAY);
    assert_eq!(container.handle().status().killed, 1);
}

#[tokio::test]
async fn when_nobody_has_it_any_more_it_ends_by_itself() {
    let app = App::new(APP);
    let container = app.builder().workers(2).spawn().await.unwrap();
    let (handle, clone) = (container.handle(), container.clone());
    let pids: Vec<_> = handle
        .status()
        .workers
        .iter()
        .map(|worker| worker.pid)
        .collect();
    drop(container);
    drop(handle);
    assert_eq!(ask(&clone, "/").await.status, StatusCode::OK);
    drop(clone);
    for pid in pids {
        gone(pid).await;
    }
}

#[tokio::test]
async fn a_request_whose_upload_goes_on_is_answered_though_nobody_has_it_any_more() {
    let app = App::new(APP);
    let container = app.builder().workers(1).spawn().await.unwrap();
    let pid = container.handle().status().workers[0].pid;
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    let pieces = futures_util::stream::once(async {
        receiver.await.unwrap();
        Ok::<_, tower_gateway::BoxError>(Frame::data(Bytes::from("the whole of it")))
    });
    let body = StreamBody::new(Box::pin(pieces));
    let request = Request::post("/").header("host", "localhost").body(body);
    let mut asking = Box::pin(container.oneshot(request.unwrap()));
    assert!(futures_util::poll!(&mut asking).is_pending());
    // This runtime has one thread: whoever would end it has his turn.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(is_alive(pid));
    sender.send(()).unwrap();
    let response = within(asking).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    gone(pid).await;
}

#[test]
fn when_the_runtime_ends_the_workers_do() {
    let app = App::new(APP);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (container, pids) = runtime.block_on(async {
        let container = app.builder().workers(2).spawn().await.unwrap();
        let child = ask(&container, "/child").await.pid();
        let workers = container.handle().status().workers;
        let pids = workers.iter().map(|worker| worker.pid).chain([child]);
        let pids: Vec<_> = pids.collect();
        (container, pids)
    });
    drop(runtime);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for pid in pids {
            gone(pid).await;
        }
        assert_eq!(container.handle().status().state, State::Stopped);
    });
}

#[tokio::test]
async fn a_sigterm_to_a_worker_loses_nothing() {
    let app = App::new(APP);
    let container = app.builder().workers(2).spawn().await.unwrap();
    let load = Load::start(&container, 4);
    for _ in 0..5 {
        let pid = container.handle().status().workers[0].pid;
        kill(pid, Signal::TERM);
        gone(pid).await;
        until(&container, |status| status.idle + status.busy == 2).await;
    }
    let answers = load.stop().await;
    assert!(answers.different.len() > 4, "{:?}", answers.different);
    let status = container.handle().status();
    assert_eq!((status.crashes, status.killed), (0, 0), "{status:#?}");
}

#[tokio::test]
async fn an_interrupt_is_not_for_workers() {
    let app = App::new(APP);
    let container = app.builder().workers(1).spawn().await.unwrap();
    let pid = ask(&container, "/").await.pid();
    kill(pid, Signal::INT);
    assert_eq!(ask(&container, "/").await.pid(), pid);
}

#[tokio::test]
async fn nothing_is_left_in_the_temporary_directory() {
    let sockets = || {
        let entries = std::fs::read_dir("/proc/net").map(|_| std::env::temp_dir());
        let entries = std::fs::read_dir(entries.unwrap()).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names
            .filter(|name| name.starts_with("wsgi-"))
            .collect::<Vec<_>>()
    };
    let app = App::new(APP);
    let before = sockets();
    let container = app.builder().workers(1).spawn().await.unwrap();
    let during = sockets();
    let own: Vec<_> = during
        .iter()
        .filter(|name| !before.contains(name))
        .collect();
    assert!(!own.is_empty());
    within(container.handle().shutdown()).await;
    // Other tests have theirs. One fewer of those that came since the beginning is this one's.
    let after = sockets();
    assert!(own.iter().any(|name| !after.contains(name)));
}
