//! The gateway is killed, and takes everything with it.

use std::{env, future, process::Command, time::Duration};

use rustix::process::Signal;
use tokio::time::timeout;

use crate::{
    support::process::Process,
    wsgi::apps::{APP, App, ask, gone, is_alive, kill, until},
};

const ROLE: &str = "TOWER_GATEWAY_TEST_ORPHANS";

/// Runs a container in a process of its own, kills that, and looks for what is left. `stuck` is asked of it before.
async fn leaves_nobody(test: &str, preload: bool, stuck: &[&'static str]) {
    if env::var_os(ROLE).is_some() {
        return be_killed(preload, stuck).await;
    }
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([test, "--exact", "--nocapture"])
        .env(ROLE, "1");
    let mut gateway = Process::start(command);
    let line = gateway.wait_for("pids: ");
    let pids = line.split_once("pids: ").unwrap().1.split(' ');
    let pids: Vec<u32> = pids.map(|pid| pid.parse().unwrap()).collect();
    assert!(pids.len() >= 3);
    for pid in &pids {
        assert!(is_alive(*pid));
    }
    kill(gateway.id(), Signal::KILL);
    let all = async {
        for pid in pids {
            gone(pid).await;
        }
    };
    timeout(Duration::from_secs(1), all)
        .await
        .expect("nobody is left after a second");
}

async fn be_killed(preload: bool, stuck: &[&'static str]) {
    let app = App::new(&APP.replace(
        "    elif path == '/exit':",
        "    elif path == '/c':\n        import ctypes\n        \
         ctypes.PyDLL(None).sleep(3600)\n    elif path == '/exit':",
    ));
    let builder = app.builder().workers(2).preload(preload);
    let container = builder.spawn().await.unwrap();
    let child = ask(&container, "/child").await.pid();
    for &path in stuck {
        let container = container.clone();
        tokio::spawn(async move { ask(&container, path).await });
    }
    let status = until(&container, |status| status.busy == stuck.len()).await;
    let workers = status.workers.iter().map(|worker| worker.pid);
    let pids: Vec<_> = workers.chain([child]).map(|pid| pid.to_string()).collect();
    println!("\npids: {}", pids.join(" "));
    future::pending().await
}

#[tokio::test]
async fn idle_workers() {
    leaves_nobody("wsgi::supervision::orphans::idle_workers", false, &[]).await;
}

#[tokio::test]
async fn workers_that_are_stuck() {
    let test = "wsgi::supervision::orphans::workers_that_are_stuck";
    leaves_nobody(test, false, &["/c", "/loop"]).await;
}

#[tokio::test]
async fn workers_that_were_forked() {
    let test = "wsgi::supervision::orphans::workers_that_were_forked";
    leaves_nobody(test, true, &["/c"]).await;
}
