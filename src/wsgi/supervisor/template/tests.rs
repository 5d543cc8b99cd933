#![allow(clippy::unwrap_used)]

use std::{fs, path::Path, time::Duration};

use tokio::{process::Command, task::yield_now, time::timeout};

use crate::wsgi::WsgiContainer;

/// Says each time that it is forked, and is imported when somebody has let it, if there is a gate.
const APP: &str = "import os\n\
    os.register_at_fork(after_in_child=lambda: open('forks', 'a').write('x'))\n\
    if os.path.exists('gate'): open('gate').read()\n\
    def application(environ, start_response):\n    \
    start_response('200 OK', [])\n    return []\n";

async fn within<F: Future>(future: F) -> F::Output {
    let output = timeout(Duration::from_secs(60), future).await;
    output.expect("this should not have taken so long")
}

fn forks(directory: &Path) -> usize {
    fs::read(directory.join("forks")).map_or(0, |forks| forks.len())
}

#[tokio::test]
async fn who_is_no_more_wanted_is_not_forked_when_the_template_can() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("app.py"), APP).unwrap();
    let builder = WsgiContainer::new("app").directory(directory.path());
    let container = within(builder.workers(2).preload(true).spawn());
    let handle = container.await.unwrap().handle();
    assert_eq!(forks(directory.path()), 2);

    let made = Command::new("mkfifo").arg(at("gate")).status().await;
    assert!(made.unwrap().success());
    let reloading = tokio::spawn({
        let handle = handle.clone();
        async move { handle.reload().await }
    });
    // It is opened when the template of the next generation has come to it; two wait for that then.
    let gate = at("gate");
    let opened = tokio::task::spawn_blocking(move || fs::File::create(gate));
    let gate = within(opened).await.unwrap().unwrap();
    handle.resize(1);
    within(async {
        while handle.status().target != 1 {
            yield_now().await;
        }
    })
    .await;
    drop(gate);
    within(reloading).await.unwrap().unwrap();
    within(handle.shutdown()).await;
    assert_eq!(forks(directory.path()), 3);
}
