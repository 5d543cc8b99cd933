//! The application is imported once, and workers are forked.

use http::StatusCode;
use rustix::process::Signal;
use tower_gateway::wsgi::{SpawnErrorKind, State, Status};

use super::load::Load;
use crate::{
    support::log,
    wsgi::apps::{APP, App, ask, gone, is_alive, kill, until, within},
};

/// Tells in which process it was imported.
const IMPORTED: &str = "\nimported = os.getpid()\n\
    def application(environ, start_response, inner=application):\n    \
    if environ['PATH_INFO'] == '/imported':\n        \
    start_response('200 OK', [])\n        return [str(imported).encode()]\n    \
    return inner(environ, start_response)\n";

fn app() -> App {
    App::new(&format!("{APP}{IMPORTED}"))
}

fn ready(status: &Status, count: usize) -> bool {
    status.idle + status.busy == count && status.workers.len() == count
}

#[tokio::test]
async fn workers_are_forked_from_one_that_has_imported_it() {
    let app = app();
    let container = app
        .builder()
        .workers(3)
        .preload(true)
        .spawn()
        .await
        .unwrap();
    let workers = container.handle().status().workers;
    assert_eq!(workers.len(), 3);
    let template = ask(&container, "/imported").await.pid();
    assert!(is_alive(template));
    assert!(workers.iter().all(|worker| worker.pid != template));

    within(container.handle().shutdown()).await;
    assert!(!is_alive(template));
    for worker in workers {
        assert!(!is_alive(worker.pid));
    }
}

#[tokio::test]
async fn what_cannot_be_imported_is_an_error_as_ever() {
    let app = App::new("undefined\n");
    let builder = app.builder().workers(2).preload(true);
    let error = within(builder.spawn()).await.unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Application);
    assert!(error.traceback().unwrap().contains("NameError"), "{error}");

    let app = App::new("import os\nprint('last words')\nos._exit(4)\n");
    let builder = app.builder().workers(2).preload(true);
    let error = within(builder.spawn()).await.unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Exited);
    assert!(
        error.to_string().contains("exited with status 4"),
        "{error}"
    );
    assert_eq!(error.output(), ["last words"]);
}

#[tokio::test]
async fn one_that_does_not_come_to_an_end_of_importing_is_given_up() {
    let app = App::new("import threading\nthreading.Event().wait()\n");
    let builder = app.builder().workers(2).preload(true);
    let builder = builder.startup_timeout(std::time::Duration::from_secs(2));
    let error = within(builder.spawn()).await.unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Timeout);
}

#[tokio::test]
async fn one_that_is_killed_is_forked_anew() {
    let (log, _guard) = log::capture();
    let app = app();
    let container = app
        .builder()
        .workers(2)
        .preload(true)
        .spawn()
        .await
        .unwrap();
    let template = ask(&container, "/imported").await.pid();
    let pid = container.handle().status().workers[0].pid;
    kill(pid, Signal::KILL);
    until(&container, |status| status.crashes == 1 && ready(status, 2)).await;
    assert!(
        log.text().contains("was ended by SIGKILL"),
        "{}",
        log.text()
    );
    assert_eq!(ask(&container, "/imported").await.pid(), template);
}

#[tokio::test]
async fn they_are_recycled_and_reloaded_and_nothing_is_lost() {
    let app = app();
    let builder = app.builder().workers(2).preload(true);
    let container = builder.max_requests(30).spawn().await.unwrap();
    let template = ask(&container, "/imported").await.pid();
    let load = Load::start(&container, 6);
    until(&container, |status| status.recycled >= 4).await;
    within(container.handle().reload()).await.unwrap();
    let second = ask(&container, "/imported").await.pid();
    assert_ne!(second, template);
    let answers = load.stop().await;
    assert!(answers.different.len() >= 6, "{:?}", answers.different);
    // The first template has nothing to do any more.
    gone(template).await;
    let status = container.handle().status();
    assert_eq!(
        (status.crashes, status.killed, status.failed_boots),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn a_broken_reload_leaves_the_old_ones() {
    let app = app();
    let container = app
        .builder()
        .workers(2)
        .preload(true)
        .spawn()
        .await
        .unwrap();
    let template = ask(&container, "/imported").await.pid();
    app.write("undefined\n");
    let error = within(container.handle().reload()).await.unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Application);
    assert_eq!(ask(&container, "/imported").await.pid(), template);
    let status = until(&container, |status| ready(status, 2)).await;
    assert_eq!((status.state, status.generation), (State::Serving, 1));
}

#[tokio::test]
async fn the_template_of_a_broken_generation_ends() {
    let app = app();
    let builder = app.builder().workers(2).preload(true);
    let container = builder.spawn().await.unwrap();
    let template = ask(&container, "/imported").await.pid();
    // It can be imported, and dies when it is forked.
    app.write(&format!(
        "{APP}\nopen('imported', 'w').write(str(os.getpid()))\n\
         os.register_at_fork(after_in_child=lambda: os._exit(9))\n"
    ));
    let error = within(container.handle().reload()).await.unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Exited);
    let broken = std::fs::read_to_string(app.path().join("imported")).unwrap();
    gone(broken.parse().unwrap()).await;
    // That of those who stay does not.
    assert!(is_alive(template));
    assert_eq!(ask(&container, "/imported").await.pid(), template);
}

#[tokio::test]
async fn workers_outlive_their_template_and_are_seen_to_end() {
    let app = app();
    let container = app
        .builder()
        .workers(2)
        .preload(true)
        .spawn()
        .await
        .unwrap();
    let template = ask(&container, "/imported").await.pid();
    kill(template, Signal::KILL);
    gone(template).await;
    let pids: Vec<_> = container
        .handle()
        .status()
        .workers
        .iter()
        .map(|worker| worker.pid)
        .collect();
    for _ in 0..10 {
        assert!(pids.contains(&ask(&container, "/").await.pid()));
    }
    // The next one has another template.
    kill(pids[0], Signal::KILL);
    until(&container, |status| status.crashes == 1 && ready(status, 2)).await;
    kill(pids[1], Signal::KILL);
    until(&container, |status| status.crashes == 2 && ready(status, 2)).await;
    assert_ne!(ask(&container, "/imported").await.pid(), template);
    let last: Vec<_> = container
        .handle()
        .status()
        .workers
        .iter()
        .map(|worker| worker.pid)
        .collect();
    within(container.handle().shutdown()).await;
    assert!(!is_alive(last[0]) && !is_alive(last[1]));
}

#[tokio::test]
async fn one_that_is_stuck_is_killed_by_its_template() {
    let app = app();
    let builder = app.builder().workers(1).preload(true);
    let builder = builder.timeout(std::time::Duration::from_millis(300));
    let container = builder.spawn().await.unwrap();
    let pid = ask(&container, "/").await.pid();
    let answer = ask(&container, "/loop").await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    gone(pid).await;
    assert_ne!(ask(&container, "/").await.pid(), pid);
}

#[tokio::test]
async fn one_that_is_stuck_is_killed_though_its_template_is_stopped() {
    let app = app();
    let builder = app.builder().workers(1).preload(true);
    let builder = builder.timeout(std::time::Duration::from_millis(300));
    let container = builder.spawn().await.unwrap();
    let template = ask(&container, "/imported").await.pid();
    let pid = ask(&container, "/").await.pid();
    kill(template, Signal::STOP);
    let answer = ask(&container, "/loop").await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    gone(pid).await;
    gone(template).await;
    until(&container, |status| ready(status, 1)).await;
    assert_ne!(ask(&container, "/imported").await.pid(), template);
}

#[tokio::test]
async fn a_template_that_does_not_fork_is_replaced() {
    let app = app();
    let builder = app.builder().workers(1).preload(true);
    let builder = builder.startup_timeout(std::time::Duration::from_secs(2));
    let container = builder.spawn().await.unwrap();
    let template = ask(&container, "/imported").await.pid();
    kill(template, Signal::STOP);
    container.handle().resize(2);
    let status = until(&container, |status| ready(status, 2)).await;
    assert_eq!((status.failed_boots, status.crashes), (1, 0));
    assert!(!is_alive(template));
}

#[tokio::test]
async fn one_that_ends_in_the_midst_of_forking_is_noticed_at_once() {
    let app = App::new(&format!(
        "{APP}\nos.register_at_fork(before=lambda: os._exit(5))\n"
    ));
    let builder = app.builder().workers(2).preload(true);
    let error = within(builder.spawn()).await.unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Exited);
    assert!(
        error.to_string().contains("exited with status 5"),
        "{error}"
    );
}
