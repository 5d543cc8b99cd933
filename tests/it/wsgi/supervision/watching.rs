//! For development: files that change, lines that are printed, variables that are set.

use http::StatusCode;
use tower_gateway::wsgi::State;

use crate::{
    support::log,
    wsgi::apps::{APP, App, ask, run_again, until, within},
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
async fn what_is_to_be_watched_and_is_not_there_is_told_once_and_may_come() {
    let (log, _guard) = log::capture();
    let app = App::new(APP);
    let builder = app.builder().workers(1);
    let late = app.path().join("late.toml");
    let builder = builder.reload_on_change([app.path().join("app.py"), late.clone()]);
    let container = builder.spawn().await.unwrap();
    let words = "what is to be watched for changes is not there yet";
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(2));
    within(async {
        while log.count(words) == 0 {
            looks.tick().await;
        }
    })
    .await;
    std::fs::write(&late, "").unwrap();
    until(&container, |status| status.generation == 2).await;
    let text = log.text();
    let told: Vec<_> = text.lines().filter(|line| line.contains(words)).collect();
    assert_eq!(told.len(), 1, "{text}");
    assert!(told[0].contains(" WARN ") && told[0].contains("late.toml"));
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
        run_again(test, &[(HERE, "here")]);
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
