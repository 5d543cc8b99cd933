//! Many clients that begin a large file, and do not go on.

use std::{env, fs, process::Command, time::Duration};

use rustix::{
    param::page_size,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use tower_gateway::StaticFiles;

use super::tree::{Tree, get};
use crate::support::{process::say, raw, server};

/// How many there are is for the environment to say: 10,000 take 5 GiB.
const MANY: &str = "TOWER_GATEWAY_DOWNLOADS";

/// What is measured is of the whole process, so it is one of its own.
const ALONE: &str = "TOWER_GATEWAY_ALONE";

/// As many as were asked for, if the system lets this process have the descriptors: two for the
/// connection, and one for the file.
fn how_many() -> usize {
    let asked = env::var(MANY).map_or(2000, |many| many.parse().unwrap());
    let needed = asked as u64 * 3 + 200;
    let limit = getrlimit(Resource::Nofile);
    let raise = |maximum: Option<u64>| {
        let current = maximum.map(|maximum| maximum.min(needed)).or(Some(needed));
        setrlimit(Resource::Nofile, Rlimit { current, maximum })
    };
    // Who may, raises the upper limit, too.
    let raised = raise(limit.maximum.map(|maximum| maximum.max(needed)));
    raised.or_else(|_| raise(limit.maximum)).unwrap();
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(needed);
    asked.min((descriptors.saturating_sub(200) / 3) as usize)
}

/// Bytes of memory that this process has.
fn memory() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let resident = statm.split(' ').nth(1).unwrap();
    resident.parse::<usize>().unwrap() * page_size()
}

/// How many descriptors of this process lead to a file.
fn open(file: &std::path::Path) -> usize {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    descriptors
        .filter(|link| {
            let link = link.as_ref().unwrap().path();
            fs::read_link(link).is_ok_and(|target| target == file)
        })
        .count()
}

/// `descriptors` of the file are to be open while so `many` read it.
async fn half_read(files: StaticFiles, tree: &Tree, many: usize, descriptors: usize) {
    const PIECE: usize = 128 << 10;

    let large = tree.root().join("large.bin");
    let server = server::spawn(files).await;
    raw::get(server.addr, "/small.txt").await;
    let (before, before_open) = (memory(), open(&large));

    let mut clients = Vec::with_capacity(many);
    for _ in 0..many {
        let mut client = TcpStream::connect(server.addr).await.unwrap();
        let request = b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n";
        client.write_all(request).await.unwrap();
        let mut some = [0; 100];
        client.read_exact(&mut some).await.unwrap();
        clients.push(client);
    }
    assert_eq!(open(&large), descriptors);

    // hyper queues pieces until it has its `max_buf_size` of 408 KiB, which is the fourth. A
    // connection and its buffers count as well.
    let each = memory().saturating_sub(before) / many;
    say(format_args!(
        "{many} half-read downloads: {} KiB of memory for each",
        each >> 10
    ));
    assert!(each < 4 * PIECE + (128 << 10), "{each} bytes for each");

    let start = Instant::now();
    for _ in 0..100 {
        let answer = raw::get(server.addr, "/small.txt").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "small"));
    }
    let took = start.elapsed() / 100;
    say(format_args!("another file takes {took:?}"));
    assert!(took < Duration::from_millis(250), "{took:?}");

    drop(clients);
    let closed = async {
        while open(&large) > before_open {
            tokio::task::yield_now().await;
        }
    };
    let closed = tokio::time::timeout(raw::PATIENCE, closed).await;
    closed.expect("the files are closed");
}

#[test]
fn downloads_that_stall_take_a_few_pieces_each_and_hold_up_nobody() {
    if env::var_os(ALONE).is_none() {
        let name = "static_files::downloads::\
                    downloads_that_stall_take_a_few_pieces_each_and_hold_up_nobody";
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--exact", name, "--nocapture"])
            .env(ALONE, "");
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        say(format_args!("{}", text.trim()));
        return;
    }
    let many = how_many();
    let tree = Tree::of(&[("small.txt", "small")]);
    tree.write("large.bin", vec![7; 32 << 20]);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        half_read(tree.files(), &tree, many, many).await;
        // With a cache they share one.
        let files = tree.files().cache(1 << 20);
        get(&files, "/large.bin").await;
        half_read(files, &tree, many, 1).await;
    });
}
