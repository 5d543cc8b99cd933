//! `examples/mysite` behind Gunicorn.

use std::time::Duration;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower_gateway::GatewayProxy;

use super::Gateway;
use crate::support::{
    python::{Gunicorn, Site},
    raw::{self, PATIENCE, exchange},
    session::{Session, sha256},
};

/// The kinds of worker that answer one request at a time, and several.
const WORKERS: &[&[&str]] = &[
    &["--worker-class", "sync", "--workers", "2"],
    &["--worker-class", "gthread", "--threads", "4"],
];

async fn start(site: &Site, options: &[&str]) -> (Gunicorn, Gateway) {
    let gunicorn = site.gunicorn(options);
    let proxy = GatewayProxy::to(&gunicorn.url()).unwrap();
    let gateway = Gateway::start(&site.static_root(), proxy).await;
    (gunicorn, gateway)
}

fn json(answer: &raw::Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("not JSON: {answer:?}"))
}

/// `n` MiB of what `/download/n/` sends.
fn mebibytes(n: usize) -> Vec<u8> {
    (0..n << 20).map(|i| (i % 251) as u8).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_django_s_and_files_never_reach_it() {
    for options in WORKERS {
        let site = Site::new();
        let (mut gunicorn, gateway) = start(&site, options).await;

        let page = raw::get(gateway.addr, "/").await;
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.text().contains(r#"href="/static/style.css""#));
        assert_eq!(page.header("x-frame-options"), Some("DENY"));

        let style = raw::get(gateway.addr, "/static/style.css").await;
        assert_eq!(
            style.header("content-type"),
            Some("text/css; charset=utf-8")
        );
        assert!(style.text().contains("rgb(244, 247, 241)"));
        let admin = raw::get(gateway.addr, "/static/admin/css/base.css").await;
        assert_eq!(admin.status, 200);
        assert!(admin.body.len() > 10_000);

        // A file that is not there is the application's to answer.
        assert_eq!(
            raw::get(gateway.addr, "/static/nothing.css").await.status,
            404
        );
        gunicorn.process.wait_for("GET /static/nothing.css");
        let log = gunicorn.process.log();
        assert!(log.contains("GET / "), "{log}");
        assert!(
            !log.contains("style.css") && !log.contains("base.css"),
            "{log}"
        );

        let missing = raw::get(gateway.addr, "/questions/1").await;
        assert_eq!(
            (missing.status, missing.header("location")),
            (301, Some("/questions/1/"))
        );
        let head = format!(
            "HEAD / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            gateway.addr
        );
        let head = exchange(gateway.addr, head).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_megabytes_go_up_and_fifty_come_down() {
    for options in WORKERS {
        let site = Site::new();
        let (_gunicorn, gateway) = start(&site, options).await;
        let mut session = Session::new(gateway.addr);

        let content = mebibytes(20);
        let hash = sha256(&content);
        session.get("/upload/").await;
        let answer = session.post_file("/upload/", "twenty.bin", &content).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(json(&answer)["size"], content.len());
        assert_eq!(json(&answer)["sha256"], hash);

        // Django reads no chunked body; the spooled one has a length.
        let mut chunked = format!(
            "PUT /upload/raw/ HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Transfer-Encoding: chunked\r\n\r\n",
            gateway.addr
        )
        .into_bytes();
        for chunk in content.chunks(1_000_000) {
            chunked.extend(format!("{:x}\r\n", chunk.len()).bytes());
            chunked.extend_from_slice(chunk);
            chunked.extend(b"\r\n");
        }
        chunked.extend(b"0\r\n\r\n");
        let answer = exchange(gateway.addr, chunked).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(json(&answer)["size"], content.len());
        assert_eq!(json(&answer)["sha256"], hash);

        let expected = sha256(&mebibytes(50));
        for target in ["/download/50/", "/download/50/?length=1"] {
            let download = raw::get(gateway.addr, target).await;
            assert_eq!(
                download.header("content-length").is_some(),
                target.contains("length")
            );
            assert!(download.complete);
            assert_eq!(sha256(&download.body), expected, "{target}");
        }
    }
}

/// What Gunicorn's documentation asks of the server in front of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_slow_clients_occupy_no_worker() {
    // Both ends of a thousand connections are in this process.
    allow_descriptors(2_400);
    let site = Site::new();
    let gunicorn = site.gunicorn(&["--worker-class", "sync", "--workers", "1"]);
    let proxy = GatewayProxy::to(&gunicorn.url()).unwrap();
    let gateway = Gateway::start(&site.static_root(), proxy).await;
    // The worker has started when it has answered.
    assert_eq!(raw::get(gateway.addr, "/whoami/").await.status, 200);

    let head = "POST /upload/raw/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n";
    let mut slow = Vec::new();
    for _ in 0..1000 {
        let mut client = TcpStream::connect(gateway.addr).await.unwrap();
        client.write_all(head.as_bytes()).await.unwrap();
        slow.push(client);
    }
    let start = std::time::Instant::now();
    for _ in 0..10 {
        for client in &mut slow {
            client.write_all(b"x").await.unwrap();
        }
        assert_eq!(raw::get(gateway.addr, "/whoami/").await.status, 200);
    }
    // One worker that waits for one of them would never have answered.
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert!(!gunicorn.process.log().contains("/upload/raw/"));
    drop(slow);

    // Those who do send it all are answered.
    let request = format!("{head}{}", "x".repeat(1000));
    let answer = exchange(gateway.addr, request).await;
    assert_eq!(json(&answer)["size"], 1000);
}

fn allow_descriptors(needed: u64) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limits = getrlimit(Resource::Nofile);
    if limits.current.is_some_and(|files| files < needed) {
        assert!(
            limits.maximum.is_none_or(|files| files >= needed),
            "{limits:?} is too few files"
        );
        limits.current = Some(needed);
        setrlimit(Resource::Nofile, limits).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_in_mid_download_takes_everything_along() {
    let site = Site::new();
    let (gunicorn, gateway) = start(&site, WORKERS[0]).await;
    let mut client = TcpStream::connect(gateway.addr).await.unwrap();
    let request = "GET /download/200/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let mut some = vec![0; 1 << 20];
    client.read_exact(&mut some).await.unwrap();
    assert_eq!(gateway.limit.in_use(), 1);
    assert!(upstream_connections(&gunicorn) >= 1);
    drop(client);

    let freed = async {
        while gateway.limit.in_use() > 0 || upstream_connections(&gunicorn) > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), freed)
        .await
        .expect("everything is let go");
}

/// How many connections to Gunicorn's socket are open, as the kernel lists them.
fn upstream_connections(gunicorn: &Gunicorn) -> usize {
    let path = gunicorn.socket.display().to_string();
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    // State 03: connected. The listening socket itself is 01.
    sockets
        .lines()
        .filter(|line| line.ends_with(&path) && line.split_whitespace().nth(5) == Some("03"))
        .count()
}
