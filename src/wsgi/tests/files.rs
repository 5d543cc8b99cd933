//! Answers that are in files.

use std::io::{Seek, SeekFrom, Write};

use http::Method;
use http_body::Body as _;

use super::support::*;
use crate::{
    ErrorKind,
    wsgi::frame::{FREE, Kind::One, OVER},
};

#[tokio::test]
async fn a_file_that_is_passed_is_sent_from_where_it_is() {
    let bench = Bench::new();
    let mut peer = bench.worker(1);
    let mut file = tempfile::tempfile().unwrap();
    let content: Vec<u8> = (0..400_000).map(|at| (at / 3) as u8).collect();
    file.write_all(&content).unwrap();
    file.seek(SeekFrom::Start(7)).unwrap();
    for (head, offset, length, sent) in [
        ("200 OK", 0, 400_000, 400_000),
        ("200 OK", 399_990, 10, 10),
        ("200 OK", 100, 0, 0),
        ("200 OK\nContent-Length\n1000", 100, 1000, 1000),
        ("200 OK\nContent-Length\n1000", 100, 2000, 1000),
    ] {
        let asking = bench.spawn(get("/"));
        peer.request().await;
        peer.pass(head, &file, offset, length).await;
        let response = soon(asking).await.unwrap();
        // The worker is free before a byte is sent.
        assert_eq!(bench.dispatch.load().idle, 1);
        assert_eq!(response.body().size_hint().exact(), Some(sent));
        let (start, end) = (offset as usize, (offset + sent) as usize);
        assert!(bytes(response).await == content[start..end]);
    }
    // The head may be longer than what is read at once.
    for length in [32_700, 32_750, 100_000] {
        let long = format!("200 OK\nX\n{}", "x".repeat(length));
        let asking = bench.spawn(get("/"));
        peer.request().await;
        peer.pass(&long, &file, 0, 100).await;
        let response = soon(asking).await.unwrap();
        assert_eq!(response.headers()["x"].len(), length);
        assert!(bytes(response).await == content[..100]);
    }
    let mut head = get("/");
    *head.method_mut() = Method::HEAD;
    let asking = bench.spawn(head);
    peer.request().await;
    peer.pass("200 OK", &file, 0, 100).await;
    assert_eq!(bytes(soon(asking).await.unwrap()).await, "");

    let asking = bench.spawn(get("/"));
    peer.request().await;
    peer.pass("200 OK\nContent-Length\n1000", &file, 100, 999)
        .await;
    let response = soon(asking).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), error(&response).kind()),
        (500, ErrorKind::Application)
    );
}

#[tokio::test]
async fn what_is_no_file_with_the_body_in_it_is_a_bad_gateway() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[0; 100]).unwrap();
    let folder = std::fs::File::open(".").unwrap();
    let device = std::fs::File::open("/dev/zero").unwrap();
    for (file, offset, length) in [
        (&file, 0, 101),
        (&file, 101, 0),
        (&file, u64::MAX, 1),
        (&folder, 0, 0),
        (&device, 0, 10),
    ] {
        let bench = Bench::new();
        let mut peer = bench.worker(1);
        let asking = bench.spawn(get("/"));
        peer.request().await;
        peer.pass("200 OK", file, offset, length).await;
        let response = soon(asking).await.unwrap();
        assert_eq!(error(&response).kind(), ErrorKind::UpstreamProtocol);
        peer.closed().await;
    }
}

#[tokio::test]
async fn a_descriptor_that_nobody_asked_for_ends_the_connection() {
    let bench = Bench::new();
    let mut peer = bench.worker(1);
    let file = tempfile::tempfile().unwrap();
    let asking = bench.spawn(get("/"));
    peer.request().await;
    // It comes with the first byte of an answer that has its body in it.
    let said = frame_of(One, OVER | FREE, 0, b"200 OK", b"hello");
    peer.send_with(&said[..1], &file).await;
    peer.write(&said[1..]).await;
    assert_eq!(bytes(soon(asking).await.unwrap()).await, "hello");
    peer.closed().await;
    assert!(peer.worker.gone(true).is_some());
}
