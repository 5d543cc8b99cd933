//! For development: files that change, lines that are printed, variables that are set.

use http::StatusCode;
use tower_gateway::wsgi::State;

use crate::{
    support::log,
    wsgi::apps::{APP, App, ask, until, within},
};

#[tokio::test]
async fn a_file_that_changes_makes_a_new_generation() {
    let app = App::new(APP);
    let container = app.builder().development().spawn().await.unwrap();
    assert_eq!(container.handle().status().target, 1);
    app.write("raise ValueError('not yet')\n");
    until(&container, |status| status.failed_boots == 1).await;
    assert_eq!(ask(&container, "/").await.status, StatusCode::OK);

    app.write(
        "def application(environ, start_response):\n    \
         start_response('200 OK', [])\n    return [b'new']\n",
    );
    until(&container, |status| {
        status.generation > 1 && status.state == State::Serving
    })
    .await;
    assert_eq!(ask(&container, "/").await.body, "new");
}

#[tokio::test]
async fn what_is_printed_is_in_the_log_line_by_line() {
    let (log, _guard) = log::capture();
    let app = App::new(APP);
    let container = app.builder().workers(1).spawn().await.unwrap();
    ask(&container, "/say?gr%C3%BC%C3%9Fe").await;
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(2));
    within(async {
        while !log.text().contains("what was to be said") {
            looks.tick().await;
        }
    })
    .await;
    let text = log.text();
    let line = text
        .lines()
        .find(|line| line.contains("what was to be said"))
        .unwrap();
    assert!(line.contains(" INFO "), "{line}");
    assert!(line.contains("tower_gateway::wsgi::worker"), "{line}");
    assert!(line.contains("stream=\"stdout\""), "{line}");
    let pid = container.handle().status().workers[0].pid;
    assert!(line.contains(&format!("pid={pid}")), "{line}");
}

#[tokio::test]
async fn variables_are_those_that_are_given() {
    const HERE: &str = "TOWER_GATEWAY_TEST_VARIABLES";
    // Only a process that was started with it has it.
    if std::env::var_os(HERE).is_none() {
        let test = "wsgi::supervision::watching::variables_are_those_that_are_given";
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        let again = again.args([test, "--exact"]).env(HERE, "here").output();
        let output = again.unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && printed.contains("1 passed"),
            "{printed}"
        );
        return;
    }
    let app = App::new(APP);
    let builder = app.builder().workers(1).env("TOWER_GATEWAY_TEST", "größe");
    let of = async |container, name: &str| ask(container, &format!("/env?{name}")).await.body;
    let container = builder.clone().spawn().await.unwrap();
    assert_eq!(of(&container, "TOWER_GATEWAY_TEST").await, "größe");
    assert_eq!(of(&container, HERE).await, "here");

    let container = builder.env_clear().spawn().await.unwrap();
    assert_eq!(of(&container, "TOWER_GATEWAY_TEST").await, "größe");
    assert_eq!(of(&container, HERE).await, "(none)");
    assert_ne!(of(&container, "PATH").await, "(none)");
}

#[tokio::test]
async fn modules_are_found_where_they_are_said_to_be() {
    let app = App::new("from helper import application\n");
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("helper.py"), APP).unwrap();
    let builder = app.builder().workers(1).pythonpath(elsewhere.path());
    let container = builder.spawn().await.unwrap();
    assert_eq!(ask(&container, "/").await.status, StatusCode::OK);
}
