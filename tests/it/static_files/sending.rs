//! Bodies: in one piece, in many, cut short; and what they hold.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tower::{Service, ServiceExt};
use tower_gateway::Body;

use super::tree::{Tree, get, get_with, request};
use crate::support::{
    raw::{self, PATIENCE, exchange, read_answer},
    server,
};

/// Bytes of which no two pieces are alike.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64)
        .flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .take(length)
        .collect()
}

async fn open(tree: &Tree, target: &str) -> Body {
    let response = tree
        .files()
        .oneshot(request("GET", target, &[]))
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    response.into_body()
}

#[tokio::test]
async fn a_small_file_is_one_piece_that_is_there_at_once() {
    let tree = Tree::new();
    for length in [1, 8 << 10, 64 << 10, 128 << 10] {
        let content = pattern(length);
        tree.write("a.bin", &content);
        let mut body = open(&tree, "/a.bin").await;
        assert_eq!(body.size_hint().exact(), Some(length as u64));
        // What a server that polls once before it writes the head gets.
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(&mut body).poll_frame(&mut cx) {
            Poll::Ready(Some(Ok(frame))) => assert_eq!(frame.into_data().unwrap(), content),
            other => panic!("{length}: {other:?}"),
        }
        assert!(body.is_end_stream());
    }
}

#[tokio::test]
async fn a_big_file_comes_in_pieces_and_is_whole() {
    let tree = Tree::new();
    for length in [(128 << 10) + 1, 256 << 10, (1 << 20) + 7] {
        let content = pattern(length);
        tree.write("a.bin", &content);
        let got = get(&tree.files(), "/a.bin").await;
        assert_eq!(got.header("content-length").unwrap(), length.to_string());
        assert!(got.body == content, "{length}");

        let (first, last) = (100, length - 50);
        let range = format!("bytes={first}-{last}");
        let got = get_with(&tree.files(), "/a.bin", &[("range", &range)]).await;
        assert_eq!(got.status, 206);
        assert!(got.body == content[first..=last], "{length}");
    }
}

#[tokio::test]
async fn on_a_socket_all_is_framed_as_it_is_said() {
    let tree = Tree::new();
    let content = pattern(3 << 20);
    tree.write("big.bin", &content);
    tree.write("small.txt", "small");
    tree.write("empty.txt", "");
    let server = server::spawn(tree.files()).await;

    let got = raw::get(server.addr, "/big.bin").await;
    assert!(got.complete && got.body == content);
    assert_eq!(got.header("transfer-encoding"), None);
    assert_eq!(
        got.header_all("content-length"),
        [content.len().to_string()]
    );

    for (target, length) in [
        ("/big.bin", "3145728"),
        ("/small.txt", "5"),
        ("/empty.txt", "0"),
    ] {
        let head = format!("HEAD {target} HTTP/1.1\r\nHost: x\r\n\r\n");
        let got = exchange(server.addr, head).await;
        assert_eq!(got.status, 200);
        assert_eq!(got.header_all("content-length"), [length], "{target}");
        assert_eq!(got.header("transfer-encoding"), None);
    }

    let unmodified = "GET /big.bin HTTP/1.1\r\nHost: x\r\nIf-None-Match: *\r\n\r\n";
    let got = exchange(server.addr, unmodified).await;
    assert_eq!((got.status, got.header("content-length")), (304, None));
    assert!(got.header("date").is_some());

    let part = "GET /big.bin HTTP/1.1\r\nHost: x\r\nRange: bytes=-5\r\n\r\n";
    let got = exchange(server.addr, part).await;
    assert_eq!((got.status, got.header("content-length")), (206, Some("5")));
    assert_eq!(got.body, content[content.len() - 5..]);
}

#[tokio::test]
async fn several_requests_share_a_connection_whatever_they_are_answered() {
    let tree = Tree::of(&[("a.txt", "a")]);
    let server = server::spawn(tree.files()).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    for (method, fields, status) in [
        ("GET", "", 200),
        ("HEAD", "", 200),
        ("HEAD", "If-Match: \"x\"\r\n", 412),
        ("GET", "If-None-Match: *\r\n", 304),
        ("GET", "Range: bytes=9-\r\n", 416),
        ("OPTIONS", "", 204),
        ("DELETE", "", 405),
        ("GET", "", 200),
    ] {
        let request = format!("{method} /a.txt HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let got = read_answer(&mut stream, method == "HEAD").await;
        assert_eq!(got.status, status, "{method} {fields}");
    }
}

#[tokio::test]
async fn a_file_that_becomes_shorter_ends_the_body_with_an_error() {
    let tree = Tree::new();
    let path = tree.write("a.bin", pattern(1 << 20));
    let mut body = open(&tree, "/a.bin").await;
    body.frame().await.unwrap().unwrap();
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(0)
        .unwrap();
    let mut received = 128 << 10;
    let error = loop {
        match body.frame().await.expect("it must not look complete") {
            Ok(frame) => received += frame.into_data().unwrap().len(),
            Err(error) => break error,
        }
    };
    assert!(received < 1 << 20);
    assert_eq!(
        error.to_string(),
        "the file became shorter while it was sent"
    );
}

#[tokio::test]
async fn a_file_that_becomes_shorter_breaks_the_connection_off() {
    let tree = Tree::new();
    let path = tree.write("a.bin", "");
    // More than any socket's buffers take.
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(64 << 20)
        .unwrap();
    let server = server::spawn(tree.files()).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream
        .write_all(b"GET /a.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    stream.readable().await.unwrap();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    let got = read_answer(&mut stream, false).await;
    assert_eq!(got.header("content-length"), Some("67108864"));
    assert!(!got.complete);
}

#[tokio::test]
async fn a_file_that_grows_is_cut_at_the_length_that_was_said() {
    let tree = Tree::new();
    let content = pattern(1 << 20);
    let path = tree.write("a.bin", &content);
    let mut body = open(&tree, "/a.bin").await;
    let mut received = body
        .frame()
        .await
        .unwrap()
        .unwrap()
        .into_data()
        .unwrap()
        .to_vec();
    let mut file = File::options().append(true).open(path).unwrap();
    file.write_all(&content).unwrap();
    received.extend(body.collect().await.unwrap().to_bytes());
    assert!(received == content);
}

#[tokio::test]
async fn a_file_that_is_replaced_is_sent_as_it_was() {
    let tree = Tree::new();
    let content = pattern(1 << 20);
    tree.write("a.bin", &content);
    let body = open(&tree, "/a.bin").await;
    let next = tree.write("next", "new");
    fs::rename(next, tree.root().join("a.bin")).unwrap();
    assert!(body.collect().await.unwrap().to_bytes() == content);
    assert_eq!(get(&tree.files(), "/a.bin").await.text(), "new");
}

/// How many descriptors of this process lead to `path`.
#[cfg(target_os = "linux")]
fn descriptors(path: &Path) -> usize {
    fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| target == path)
        .count()
}

#[cfg(target_os = "linux")]
async fn all_closed(path: &Path) {
    let closed = async {
        while descriptors(path) > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, closed).await.expect("a descriptor leaks");
}

/// With one thread in the blocking pool, what runs there last is done after all that came before.
#[cfg(target_os = "linux")]
#[test]
fn dropped_at_any_point_nothing_stays_open() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build();
    runtime.unwrap().block_on(drop_at_any_point());
}

#[cfg(target_os = "linux")]
async fn drop_at_any_point() {
    let all_closed = async |path: &Path| {
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        assert_eq!(descriptors(path), 0);
    };
    let tree = Tree::new();
    let path = tree
        .write("a.bin", pattern(1 << 20))
        .canonicalize()
        .unwrap();
    let mut files = tree.files();
    let mut cx = Context::from_waker(Waker::noop());

    for _ in 0..50 {
        // Before it is polled, and after.
        drop(files.call(request("GET", "/a.bin", &[])));
        let mut future = Box::pin(files.call(request("GET", "/a.bin", &[])));
        let _ = future.as_mut().poll(&mut cx);
        drop(future);
    }
    all_closed(&path).await;

    // With no frame taken, one, and two; and while a read is under way.
    for frames in 0..3 {
        let mut body = open(&tree, "/a.bin").await;
        assert_eq!(descriptors(&path), 1);
        for _ in 0..frames {
            body.frame().await.unwrap().unwrap();
        }
        drop(body);
        all_closed(&path).await;
    }

    // Whole, and whole without reading.
    get(&tree.files(), "/a.bin").await;
    all_closed(&path).await;
    for (method, field) in [
        ("HEAD", ("x", "y")),
        ("GET", ("if-none-match", "*")),
        ("GET", ("if-match", "\"x\"")),
        ("GET", ("range", "bytes=99999999-")),
    ] {
        let response = files
            .call(request(method, "/a.bin", &[field]))
            .await
            .unwrap();
        all_closed(&path).await;
        drop(response);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_open() {
    let tree = Tree::new();
    let path = tree.write("a.bin", "").canonicalize().unwrap();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(64 << 20)
        .unwrap();
    let server = server::spawn(tree.files()).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream
            .write_all(b"GET /a.bin HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        stream.readable().await.unwrap();
        clients.push(stream);
    }
    assert_eq!(descriptors(&path), 20);
    drop(clients);
    all_closed(&path).await;
}
