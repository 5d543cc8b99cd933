//! Workers that end though nobody has told them to.

use http::StatusCode;
use rustix::process::Signal;
use tower_gateway::{
    ErrorKind,
    wsgi::{State, WorkerState},
};

use crate::{
    support::log,
    wsgi::apps::{APP, App, ask, is_alive, kill, until, within},
};

#[tokio::test]
async fn one_that_is_killed_is_replaced_and_the_others_do_not_notice() {
    let (log, _guard) = log::capture();
    let app = App::new(APP);
    let container = app.builder().workers(2).spawn().await.unwrap();
    let held = app.hold("held");
    let request = tokio::spawn({
        let (container, path) = (container.clone(), held.request());
        async move { ask(&container, &path).await }
    });
    let writer = held.held().await;
    let busy = until(&container, |status| status.busy == 1).await;
    let victim = busy.workers.iter().find(|worker| worker.busy == 0).unwrap();

    kill(victim.pid, Signal::KILL);
    let ready = |status: &tower_gateway::wsgi::Status| {
        let ready = status.workers.iter();
        ready
            .filter(|worker| worker.state == WorkerState::Ready)
            .count()
            == 2
            && status.crashes == 1
    };
    let status = until(&container, ready).await;
    assert!(status.workers.iter().all(|worker| worker.pid != victim.pid));
    assert!(
        log.text().contains("was ended by SIGKILL"),
        "{}",
        log.text()
    );
    assert_eq!(log.count("nobody had told this worker to end"), 1);

    drop(writer);
    assert_eq!(request.await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn a_request_whose_worker_ends_is_502_and_the_next_one_is_answered() {
    let app = App::new(APP);
    let container = app.builder().workers(1).spawn().await.unwrap();
    let answer = ask(&container, "/exit?3").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(answer.error, Some(ErrorKind::UpstreamReset));
    // It waits for the replacement.
    assert_eq!(ask(&container, "/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn while_boots_fail_they_are_tried_again_later_and_later_until_one_does_not() {
    let (log, _guard) = log::capture();
    let app = App::new(APP);
    let builder = app.builder().workers(1);
    let builder = builder.queue_timeout(crate::support::raw::PATIENCE);
    let container = builder.spawn().await.unwrap();
    let pid = ask(&container, "/").await.pid();

    app.write("import nothing_of_this_name\n");
    kill(pid, Signal::KILL);
    let status = until(&container, |status| status.failed_boots >= 3).await;
    assert_eq!(status.state, State::Backoff);
    assert!(
        log.text().contains("nothing_of_this_name"),
        "{}",
        log.text()
    );
    assert!(log.count("worker did not come up") >= 3);

    // Who asks meanwhile waits.
    let request = ask(&container, "/");
    app.write(APP);
    let answer = within(request).await;
    assert!(is_alive(answer.pid()));
    until(&container, |status| status.state == State::Serving).await;
}

#[tokio::test]
async fn what_a_worker_has_started_ends_with_it() {
    let app = App::new(APP);
    let container = app.builder().workers(1).spawn().await.unwrap();
    let child = ask(&container, "/child").await.pid();
    assert!(is_alive(child));
    let worker = container.handle().status().workers[0].pid;
    kill(worker, Signal::KILL);
    crate::wsgi::apps::gone(child).await;
}

#[tokio::test]
async fn nobody_waits_for_a_worker_that_will_not_come_in_time() {
    let app = App::new(APP);
    let builder = app.builder().workers(1);
    let builder = builder.queue_timeout(std::time::Duration::from_millis(50));
    let container = builder.spawn().await.unwrap();
    let pid = ask(&container, "/").await.pid();
    app.write("import nothing_of_this_name\n");
    kill(pid, Signal::KILL);
    until(&container, |status| status.failed_boots >= 5).await;
    // The next boot is in more than a second.
    let answer = ask(&container, "/").await;
    assert_eq!(answer.error, Some(ErrorKind::UpstreamUnavailable));
    app.write(APP);
    within(container.handle().reload()).await.unwrap();
    assert_eq!(ask(&container, "/").await.status, StatusCode::OK);
}
