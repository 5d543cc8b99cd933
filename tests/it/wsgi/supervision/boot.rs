//! From `spawn` to the first request, or to an error that says what to mend.

use std::{collections::BTreeSet, error::Error, fs, time::Duration};

use tower_gateway::wsgi::{SpawnError, SpawnErrorKind, State, WorkerState, WsgiContainer};

use crate::wsgi::apps::{APP, App, ask, gone, is_alive, within};

#[tokio::test]
async fn an_application_answers_from_as_many_processes_as_there_are_to_be() {
    let app = App::new(APP);
    let container = app.builder().workers(3).spawn().await.unwrap();
    let status = container.handle().status();
    assert_eq!(status.state, State::Serving);
    assert_eq!((status.generation, status.target), (1, 3));
    assert_eq!((status.idle, status.busy, status.waiting), (3, 0, 0));
    let pids: BTreeSet<_> = status.workers.iter().map(|worker| worker.pid).collect();
    assert_eq!(pids.len(), 3);
    for worker in &status.workers {
        assert_eq!(worker.state, WorkerState::Ready);
        assert_eq!(worker.implementation.as_deref(), Some("CPython"));
        assert!(worker.python.as_deref().unwrap().starts_with("3."));
    }
    let answer = ask(&container, "/").await;
    assert!(pids.contains(&answer.pid()));
    let requests = container.handle().status().workers;
    assert_eq!(
        requests.iter().map(|worker| worker.requests).sum::<u64>(),
        1
    );

    within(container.handle().shutdown()).await;
    for pid in pids {
        assert!(!is_alive(pid));
    }
    let status = container.handle().status();
    assert_eq!(status.state, State::Stopped);
    assert!(status.workers.is_empty());
}

async fn error(app: &App, application: &str) -> SpawnError {
    let container = WsgiContainer::new(application)
        .directory(app.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .workers(2);
    within(container.spawn()).await.unwrap_err()
}

#[tokio::test]
async fn an_application_that_cannot_be_imported_is_an_error_with_its_traceback() {
    let app = App::new("def f():\n    return undefined\n\nf()\n");
    let error = error(&app, "app:application").await;
    assert_eq!(error.kind(), SpawnErrorKind::Application);
    let traceback = error.traceback().unwrap();
    assert!(
        traceback.starts_with("Traceback (most recent call last)"),
        "{traceback}"
    );
    assert!(traceback.contains("app.py\", line 2, in f"), "{traceback}");
    assert!(
        traceback.ends_with("NameError: name 'undefined' is not defined"),
        "{traceback}"
    );
    // The whole of it is what a program prints.
    assert!(format!("{error:?}").contains(traceback));
    assert!(
        error
            .to_string()
            .contains("\"app:application\" could not be loaded")
    );
}

#[tokio::test]
async fn what_is_not_there_is_said_by_name() {
    let app = App::new("number = 1\n");
    for (application, said) in [
        ("nothing:application", "no module `nothing`"),
        ("app:other", "other"),
        ("app:number", "cannot be called"),
        ("app", "application"),
    ] {
        let error = error(&app, application).await;
        assert_eq!(error.kind(), SpawnErrorKind::Application, "{error}");
        assert!(error.to_string().contains(said), "{application}: {error}");
    }
}

#[tokio::test]
async fn what_cannot_be_meant_is_an_error_before_anything_is_started() {
    let app = App::new(APP);
    let error = error(&app, "app/wsgi.py:application").await;
    assert_eq!(error.kind(), SpawnErrorKind::ImportPath);
    assert!(
        error.to_string().contains("a module is meant, not a file"),
        "{error}"
    );
}

#[tokio::test]
async fn an_interpreter_that_is_not_there_is_named() {
    let app = App::new(APP);
    let builder = app.builder().python("/no/such/python");
    let error = within(builder.spawn()).await.unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Interpreter);
    assert!(error.to_string().contains("/no/such/python"), "{error}");
    assert!(error.source().is_some());
}

#[tokio::test]
async fn an_interpreter_that_is_none_is_told_by_what_it_wrote() {
    let app = App::new(APP);
    let script = app.path().join("python");
    fs::write(&script, "#!/bin/sh\necho this is no Python >&2\nexit 7\n").unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let builder = app.builder().python(&script);
    let error = within(builder.spawn()).await.unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Exited);
    assert_eq!(error.output(), ["this is no Python"]);
    let text = error.to_string();
    assert!(
        text.contains("exited with status 7 while it was booting"),
        "{text}"
    );
    assert!(
        text.ends_with("the last it wrote was:\nthis is no Python"),
        "{text}"
    );
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_named() {
    let builder = WsgiContainer::new("app").directory("/no/such/directory");
    let error = within(builder.spawn()).await.unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Io);
    assert!(error.to_string().contains("/no/such/directory"), "{error}");
}

#[tokio::test]
async fn one_that_ends_while_it_boots_is_told_by_how_and_by_what_it_wrote() {
    let app =
        App::new("import os, sys\nprint('one')\nprint('two', file=sys.stderr)\nos._exit(9)\n");
    let exited = error(&app, "app").await;
    assert_eq!(exited.kind(), SpawnErrorKind::Exited);
    assert!(
        exited.to_string().contains("exited with status 9"),
        "{exited}"
    );
    let output: BTreeSet<_> = exited.output().iter().map(|line| &**line).collect();
    assert_eq!(output, BTreeSet::from(["one", "two"]));

    let app = App::new("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n");
    let killed = error(&app, "app").await;
    assert!(
        killed.to_string().contains("was ended by SIGKILL"),
        "{killed}"
    );
}

#[tokio::test]
async fn one_that_does_not_come_up_in_time_is_killed_with_all_it_started() {
    let app = App::new(
        "import os, subprocess, threading\n\
         child = subprocess.Popen(['tail', '-f', '/dev/null'])\n\
         print(os.getpid(), child.pid)\n\
         threading.Event().wait()\n",
    );
    let builder = app.builder().workers(1);
    let builder = builder.startup_timeout(Duration::from_secs(2));
    let error = within(builder.spawn()).await.unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Timeout);
    assert!(
        error.to_string().contains("was not ready within 2s"),
        "{error}"
    );
    let [pids] = error.output() else {
        panic!("{error}");
    };
    for pid in pids.split(' ') {
        gone(pid.parse().unwrap()).await;
    }
}

#[tokio::test]
async fn one_of_which_a_thread_does_not_come_is_not_ready() {
    let app = App::new(&format!(
        "{APP}\n\
         start = threading.Thread.start\n\
         def start_one(thread):\n    \
         if thread.name == 'slot-0':\n        \
         print('one of two')\n        start(thread)\n\
         threading.Thread.start = start_one\n"
    ));
    let builder = app.builder().workers(1).threads(2);
    let builder = builder.startup_timeout(Duration::from_secs(2));
    let error = within(builder.spawn()).await.unwrap_err();
    assert_eq!(error.kind(), SpawnErrorKind::Timeout);
    assert_eq!(error.output(), ["one of two"]);
}

#[tokio::test]
async fn a_boot_that_is_not_waited_for_any_more_is_stopped() {
    let app = App::new(
        "import os, threading\n\
         open('pid', 'w').write(str(os.getpid()))\n\
         os.rename('pid', 'pid.ready')\n\
         threading.Event().wait()\n",
    );
    let spawn = tokio::spawn(app.builder().workers(1).spawn());
    let path = app.path().join("pid.ready");
    let mut looks = tokio::time::interval(Duration::from_millis(2));
    while !path.exists() {
        looks.tick().await;
    }
    let pid = fs::read_to_string(path).unwrap().parse().unwrap();
    assert!(is_alive(pid));
    spawn.abort();
    gone(pid).await;
}
