//! Somebody clears up the temporary directory.

use std::{fs, path::PathBuf, time::Duration};

use tower_gateway::wsgi::Status;

use crate::{
    support::log,
    wsgi::apps::{APP, App, ask, kill, run_again, until, within},
};

/// Where the workers of the only container meet.
fn place() -> PathBuf {
    let entries = std::env::temp_dir().read_dir().unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| path.join("socket").exists();
    paths.find(is_it).unwrap()
}

#[tokio::test]
async fn workers_boot_though_the_directory_of_their_socket_was_removed() {
    const HERE: &str = "TOWER_GATEWAY_TEST_CLEARED";
    // Only a process that was started with it has a temporary directory of its own.
    if std::env::var_os(HERE).is_none() {
        let directory = tempfile::tempdir().unwrap();
        let test = "wsgi::supervision::cleared::\
                    workers_boot_though_the_directory_of_their_socket_was_removed";
        let path = directory.path().to_str().unwrap();
        run_again(test, &[(HERE, "here"), ("TMPDIR", path)]);
        assert_eq!(directory.path().read_dir().unwrap().count(), 0);
        return;
    }
    let app = App::new(APP);
    for preload in [false, true] {
        let (log, _guard) = log::capture();
        let builder = app.builder().workers(2).preload(preload);
        let container = builder.spawn().await.unwrap();
        let place = place();
        fs::remove_dir_all(&place).unwrap();
        let mut looks = tokio::time::interval(Duration::from_millis(2));
        within(async {
            while log.count("was made anew") == 0 {
                looks.tick().await;
            }
        })
        .await;
        let pid = ask(&container, "/").await.pid();
        kill(pid, rustix::process::Signal::KILL);
        let is_whole = |status: &Status| status.crashes == 1 && status.idle == 2;
        until(&container, is_whole).await;
        within(container.handle().reload()).await.unwrap();
        let status = container.handle().status();
        assert_eq!((status.generation, status.failed_boots), (2, 0));
        within(container.handle().shutdown()).await;
        assert!(!place.exists());
    }
}
