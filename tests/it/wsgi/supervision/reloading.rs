//! A new generation of workers in the place of the old one.

use http::StatusCode;
use rustix::process::Signal;
use tokio::signal::unix::SignalKind;
use tower_gateway::wsgi::{SpawnErrorKind, State};

use super::load::Load;
use crate::{
    support::log,
    wsgi::apps::{APP, App, ask, kill, until, within},
};

fn version(number: u32) -> String {
    format!(
        "def application(environ, start_response):\n    \
         start_response('200 OK', [])\n    return [b'{number}']\n"
    )
}

#[tokio::test]
async fn nothing_is_lost_while_one_takes_the_place_of_the_other() {
    let app = App::new(&version(0));
    let container = app.builder().workers(3).spawn().await.unwrap();
    let load = Load::start(&container, 6);
    for number in 1..4 {
        app.write(&version(number));
        within(container.handle().reload()).await.unwrap();
        // Whoever asks from now on is answered by the new one.
        assert_eq!(ask(&container, "/").await.body, number.to_string());
    }
    let answers = load.stop().await;
    assert!(answers.different.len() >= 3, "{:?}", answers.different);
    let status = until(&container, |status| status.workers.len() == 3).await;
    assert_eq!((status.generation, status.state), (4, State::Serving));
    assert_eq!((status.crashes, status.killed), (0, 0));
}

#[tokio::test]
async fn if_the_new_one_is_broken_the_old_one_goes_on() {
    let (log, _guard) = log::capture();
    let app = App::new(&version(1));
    let container = app.builder().workers(2).spawn().await.unwrap();
    let load = Load::start(&container, 4);

    app.write("def application(:\n");
    let error = within(container.handle().reload()).await.unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Application);
    assert!(
        error.traceback().unwrap().contains("SyntaxError"),
        "{error}"
    );
    assert_eq!(log.count("this generation of workers did not come up"), 1);

    let answers = load.stop().await;
    assert_eq!(answers.different.into_iter().collect::<Vec<_>>(), ["1"]);
    let status = until(&container, |status| status.workers.len() == 2).await;
    assert_eq!((status.generation, status.state), (1, State::Serving));

    app.write(&version(2));
    within(container.handle().reload()).await.unwrap();
    assert_eq!(ask(&container, "/").await.body, "2");
}

#[tokio::test]
async fn reloads_at_the_same_time_are_one_after_the_other() {
    let app = App::new(&version(1));
    let container = app.builder().workers(1).spawn().await.unwrap();
    let handle = container.handle();
    let all = async { tokio::join!(handle.reload(), handle.reload(), handle.reload()) };
    let (first, second, third) = within(all).await;
    assert!(first.is_ok() && second.is_ok() && third.is_ok());
    let status = until(&container, |status| status.state == State::Serving).await;
    assert!((2..=3).contains(&status.generation), "{status:?}");
}

#[tokio::test]
async fn a_request_of_the_old_one_is_finished() {
    let app = App::new(APP);
    let container = app.builder().workers(1).spawn().await.unwrap();
    let held = app.hold("held");
    let request = tokio::spawn({
        let (container, path) = (container.clone(), held.request());
        async move { ask(&container, &path).await }
    });
    let writer = held.held().await;
    within(container.handle().reload()).await.unwrap();
    assert_eq!(ask(&container, "/").await.status, StatusCode::OK);
    assert_eq!(container.handle().status().workers.len(), 2);
    drop(writer);
    assert_eq!(request.await.unwrap().status, StatusCode::OK);
    until(&container, |status| status.workers.len() == 1).await;
}

#[tokio::test]
async fn a_signal_asks_for_it() {
    let app = App::new(&version(1));
    let builder = app.builder().workers(1);
    // One that nobody else in this process uses, and that does no harm.
    let container = builder.reload_on_signal(SignalKind::window_change());
    let container = container.spawn().await.unwrap();
    app.write(&version(2));
    kill(std::process::id(), Signal::WINCH);
    until(&container, |status| status.generation == 2).await;
    assert_eq!(ask(&container, "/").await.body, "2");
}

#[tokio::test]
async fn a_container_that_is_shut_down_does_not_reload() {
    let app = App::new(APP);
    let container = app.builder().workers(1).spawn().await.unwrap();
    within(container.handle().shutdown()).await;
    let error = within(container.handle().reload()).await.unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::ShutDown);
    let answer = ask(&container, "/").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    // As often as one likes.
    within(container.handle().shutdown()).await;
}
