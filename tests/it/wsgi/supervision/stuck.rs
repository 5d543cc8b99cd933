//! Requests that never end.

use std::time::Duration;

use http::StatusCode;
use tower_gateway::ErrorKind;

use crate::{
    support::log,
    wsgi::apps::{APP, App, ask, gone, until, within},
};

const TIMEOUT: Duration = Duration::from_millis(300);

/// A worker that gets stuck in this way is replaced, while another one answers, and says where it
/// was (if its interpreter lets it).
async fn replaces(app: &App, path: &str, said: Option<&str>) {
    let (log, _guard) = log::capture();
    let builder = app.builder().workers(2).timeout(TIMEOUT);
    let container = builder.spawn().await.unwrap();
    let before = container.handle().status().workers;
    let others = async {
        let mut answered = 0;
        while container.handle().status().stuck == 0 {
            assert_eq!(ask(&container, "/").await.status, StatusCode::OK);
            answered += 1;
        }
        answered
    };
    let stuck = ask(&container, path);
    let (answer, answered) = within(async { tokio::join!(stuck, others) }).await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(answer.error, Some(ErrorKind::UpstreamTimeout));
    assert!(answered > 0);

    let status = until(&container, |status| {
        status.idle == 2 && status.workers.len() == 2
    })
    .await;
    assert_eq!(status.stuck, 1);
    let after: Vec<_> = status.workers.iter().map(|worker| worker.pid).collect();
    let gone_ones: Vec<_> = before
        .iter()
        .filter(|worker| !after.contains(&worker.pid))
        .collect();
    assert_eq!(gone_ones.len(), 1);
    gone(gone_ones[0].pid).await;
    assert_eq!(
        log.count("a request went beyond its time"),
        1,
        "{}",
        log.text()
    );
    if let Some(said) = said {
        assert!(log.text().contains(said), "{}", log.text());
    }
}

#[tokio::test]
async fn a_loop_without_end() {
    replaces(&App::new(APP), "/loop", Some("in application")).await;
}

#[tokio::test]
async fn a_lock_that_nobody_releases() {
    replaces(
        &App::new(APP),
        "/deadlock",
        Some("app.py\", line 19 in application"),
    )
    .await;
}

#[tokio::test]
async fn a_library_that_keeps_the_interpreter_to_itself() {
    // `PyDLL` does not let go of the interpreter's lock while it is in C.
    let app = App::new(&APP.replace(
        "    elif path == '/exit':",
        "    elif path == '/c':\n        import ctypes\n        \
         ctypes.PyDLL(None).sleep(3600)\n    elif path == '/exit':",
    ));
    replaces(&app, "/c", Some("in application")).await;
}

/// Gives a piece of its answer now and then, until there is a file of this name.
const PIECES: &str = r#"
def application(environ, start_response, inner=application):
    if environ['PATH_INFO'] != '/pieces':
        return inner(environ, start_response)
    def pieces():
        while not os.path.exists(environ['QUERY_STRING']):
            yield b'.'
            time.sleep(0.01)
        yield b' done'
    start_response('200 OK', [])
    return pieces()
"#;

#[tokio::test]
async fn its_other_threads_finish_what_they_are_at() {
    let app = App::new(&format!("{APP}{PIECES}"));
    let builder = app.builder().workers(1).threads(2).timeout(TIMEOUT);
    let container = builder.spawn().await.unwrap();
    let pid = ask(&container, "/").await.pid();
    let end = app.path().join("end");
    let pieces = format!("/pieces?{}", end.display());
    let pieces = ask(&container, &pieces);
    let others = async {
        let stuck = ask(&container, "/deadlock").await;
        assert_eq!(stuck.status, StatusCode::GATEWAY_TIMEOUT);
        // Another worker is there, and this one not killed, though its thread is stuck.
        assert_ne!(ask(&container, "/").await.pid(), pid);
        // For longer than it would be given without that.
        until(&container, |status| {
            let is_there = status.workers.iter().any(|worker| worker.pid == pid);
            assert!(is_there, "it was killed");
            let mut others = status.workers.iter().filter(|worker| worker.pid != pid);
            others.any(|worker| worker.age > Duration::from_millis(2500))
        })
        .await;
        std::fs::write(&end, "").unwrap();
    };
    let (pieces, ()) = within(async { tokio::join!(pieces, others) }).await;
    assert!(pieces.body.ends_with(". done"), "{pieces:?}");
    // Now nothing keeps it.
    gone(pid).await;
    assert_eq!(container.handle().status().killed, 1);
}

#[tokio::test]
async fn one_whose_other_threads_have_nothing_to_do_is_not_waited_for() {
    let app = App::new(APP);
    let builder = app.builder().workers(1).threads(2).timeout(TIMEOUT);
    let builder = builder.graceful_timeout(Duration::from_secs(10));
    let container = builder.spawn().await.unwrap();
    let pid = ask(&container, "/").await.pid();
    let stuck = ask(&container, "/deadlock");
    let sibling = async {
        until(&container, |status| status.stuck == 1).await;
        // The worker that is on its way out is not asked any more.
        let other = ask(&container, "/").await.pid();
        assert_ne!(other, pid);
    };
    let (stuck, ()) = within(async { tokio::join!(stuck, sibling) }).await;
    assert_eq!(stuck.status, StatusCode::GATEWAY_TIMEOUT);
    gone(pid).await;
    assert_eq!(container.handle().status().killed, 1);
}

#[tokio::test]
async fn stacks_are_dumped_when_one_asks_for_it() {
    let (log, _guard) = log::capture();
    let app = App::new(APP);
    let container = app.builder().workers(1).spawn().await.unwrap();
    let held = app.hold("held");
    let request = tokio::spawn({
        let (container, path) = (container.clone(), held.request());
        async move { ask(&container, &path).await }
    });
    let writer = held.held().await;
    container.handle().dump_stacks();
    let mut looks = tokio::time::interval(Duration::from_millis(2));
    within(async {
        while !log.text().contains("in held") {
            looks.tick().await;
        }
    })
    .await;
    assert_eq!(
        log.count("tower_gateway::wsgi::worker"),
        log.count("stream=")
    );
    drop(writer);
    assert_eq!(request.await.unwrap().status, StatusCode::OK);
}
