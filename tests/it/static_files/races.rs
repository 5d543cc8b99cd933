//! While a tree changes under the clients, and while some of them ask for what never answers.

use std::{
    net::SocketAddr,
    os::unix::fs::symlink,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use rustix::{
    fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with},
    process::{Resource, getrlimit, setrlimit},
};
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet, time::timeout};
use tower_gateway::static_files::Symlinks;

use super::tree::{SECRET, Tree};
use crate::support::{
    process::say,
    raw::{PATIENCE, read_answer},
    server::{TestServer, spawn},
};

/// For how long: `TOWER_GATEWAY_RACE_SECONDS`, up to 30; 5 without it.
fn duration() -> Duration {
    let seconds = std::env::var("TOWER_GATEWAY_RACE_SECONDS");
    let seconds = seconds.ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(5).min(30))
}

/// What a client saw.
#[derive(Debug, Default)]
struct Seen {
    inside: usize,
    outside: usize,
    misses: usize,
}

/// Reads on one connection until it is over.
async fn read(addr: SocketAddr, is_over: &AtomicBool) -> Seen {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut seen = Seen::default();
    let targets = [
        "/swap/secret.txt",
        "/way/through.txt",
        "/swap/sub/../secret.txt",
        "/way/absolute.txt",
    ];
    for target in targets.into_iter().cycle() {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_answer(&mut stream, false).await;
        match (answer.status, answer.text().as_str()) {
            (200, "public") => seen.inside += 1,
            (200, SECRET) => seen.outside += 1,
            (404, _) => seen.misses += 1,
            _ => panic!("{target}: {answer:?}"),
        }
    }
    seen
}

struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_comes_from_outside_while_a_directory_becomes_a_link_and_back() {
    let tree = Tree::of(&[("swap/secret.txt", "public"), ("way/up.txt", "public")]);
    let (inside, link) = (tree.root().join("swap"), tree.root().join("link"));
    symlink(tree.outside(), &link).unwrap();
    symlink("../swap/secret.txt", tree.root().join("way/through.txt")).unwrap();
    symlink(
        inside.join("secret.txt"),
        tree.root().join("way/absolute.txt"),
    )
    .unwrap();

    let policies = [
        Symlinks::Within,
        Symlinks::Within,
        Symlinks::OwnerMatch,
        Symlinks::None,
        // Shows that there is something to see.
        Symlinks::Anywhere,
    ];
    let mut servers: Vec<TestServer> = Vec::new();
    for policy in policies {
        servers.push(spawn(tree.files().symlinks(policy)).await);
    }

    let is_over = &AtomicBool::new(false);
    let swaps = &AtomicUsize::new(0);
    let handle = tokio::runtime::Handle::current();
    let until = Instant::now() + duration();
    let seen: Vec<Seen> = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            // Also when a client fails.
            let _end = EndOnDrop(is_over);
            let clients: Vec<_> = servers
                .iter()
                .map(|server| {
                    let handle = handle.clone();
                    scope.spawn(move || handle.block_on(read(server.addr, is_over)))
                })
                .collect();
            let swapping = scope.spawn(move || {
                while Instant::now() < until && !is_over.load(Ordering::Relaxed) {
                    renameat_with(CWD, &inside, CWD, &link, RenameFlags::EXCHANGE).unwrap();
                    swaps.fetch_add(1, Ordering::Relaxed);
                    std::thread::yield_now();
                }
                is_over.store(true, Ordering::Relaxed);
            });
            swapping.join().unwrap();
            clients
                .into_iter()
                .map(|client| client.join().unwrap())
                .collect()
        })
    });

    say(format_args!(
        "raced: {} swaps, {seen:?}",
        swaps.load(Ordering::Relaxed)
    ));
    for (policy, seen) in policies.into_iter().zip(seen) {
        assert!(seen.inside > 0, "{policy:?}: the directory was never there");
        if policy == Symlinks::Anywhere {
            assert!(seen.outside > 0, "the link was never there");
        } else {
            assert_eq!(seen.outside, 0, "{policy:?}");
            assert!(seen.misses > 0, "{policy:?}: the link was never there");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_hundred_who_ask_for_a_fifo_delay_nobody() {
    const CLIENTS: usize = 600;

    // Two descriptors for each, besides those of other tests.
    let mut limits = getrlimit(Resource::Nofile);
    if limits.current.is_some_and(|current| current < 4096) {
        limits.current = Some(limits.maximum.unwrap_or(4096).min(4096));
        setrlimit(Resource::Nofile, limits).unwrap();
    }
    let tree = Tree::of(&[("a.txt", "public"), ("link/a.txt", "public")]);
    let fifo = tree.root().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    symlink("../fifo", tree.root().join("link/fifo")).unwrap();
    let server = spawn(tree.files()).await;
    let addr = server.addr;

    let ask = |target: &'static str| async move {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    };
    let mut asked = Vec::new();
    for client in 0..CLIENTS {
        asked.push(ask(["/fifo", "/link/fifo"][client % 2]).await);
    }
    // More than tokio's blocking pool has threads have asked, and none has read an answer.
    let others = async {
        for target in ["/a.txt", "/link/a.txt"].into_iter().cycle().take(40) {
            let mut stream = ask(target).await;
            let answer = read_answer(&mut stream, false).await;
            assert_eq!((answer.status, answer.text().as_str()), (200, "public"));
        }
    };
    let begin = Instant::now();
    timeout(PATIENCE, others)
        .await
        .expect("files wait for FIFOs");
    let took = begin.elapsed();

    let mut answers = JoinSet::new();
    for mut stream in asked {
        answers.spawn(async move { read_answer(&mut stream, false).await.status });
    }
    let statuses = timeout(PATIENCE, answers.join_all()).await.unwrap();
    assert_eq!(statuses.len(), CLIENTS);
    assert!(statuses.iter().all(|status| *status == 404));
    assert!(took < Duration::from_secs(5), "40 files took {took:?}");
}
