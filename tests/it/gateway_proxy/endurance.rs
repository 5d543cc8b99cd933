//! Much, in little memory.
//!
//! A quarter of a gigabyte each way; `TOWER_GATEWAY_TEST_BYTES` says how much it should be.

use std::{
    env,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tower_gateway::gateway_proxy::Buffering;
use tower_gateway::{GatewayProxy, body::spool::Spool, serve::serve};

use crate::support::{
    alone::{is_alone, memory},
    process::say,
    raw::{PATIENCE, read_answer},
    upstream::{Conn, Upstream},
};

/// By how much the memory of the client, the gateway, and the upstream together may grow.
const GROWTH: u64 = 16 << 20;

const PIECE: usize = 64 << 10;

fn amount() -> u64 {
    let told = env::var("TOWER_GATEWAY_TEST_BYTES");
    told.map_or(256 << 20, |bytes| bytes.parse().unwrap())
}

/// The most memory that was seen.
struct Watermark {
    start: u64,
    highest: u64,
}

impl Watermark {
    fn new() -> Self {
        let start = memory();
        Self {
            start,
            highest: start,
        }
    }

    fn look(&mut self) {
        self.highest = self.highest.max(memory());
    }

    fn check(&self, what: &str, bytes: u64, since: Instant) {
        let grown = self.highest - self.start;
        say(format_args!(
            "{what}: {} MiB in {:.1} s, memory grew by {} KiB",
            bytes >> 20,
            since.elapsed().as_secs_f64(),
            grown >> 10
        ));
        assert!(grown < GROWTH, "{what}: memory grew by {} KiB", grown >> 10);
    }
}

/// Sends a length when it is asked to, and counts what it is sent.
async fn store() -> Upstream {
    Upstream::spawn(|mut conn: Conn| async move {
        while let Some(head) = conn.head().await {
            let lower = head.to_ascii_lowercase();
            let length = |name: &str| {
                let (_, rest) = lower.split_once(name)?;
                rest.split("\r\n").next()?.trim().parse::<u64>().ok()
            };
            if let Some(mut left) = length("\r\nx-wanted:") {
                conn.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n"))
                    .await;
                let piece = vec![b'x'; PIECE];
                while left > 0 && !conn.is_closed() {
                    let some = left.min(PIECE as u64);
                    conn.write(&piece[..some as usize]).await;
                    left -= some;
                }
                continue;
            }
            let all = length("\r\ncontent-length:").unwrap_or(0);
            if conn.skip(all).await.is_none() {
                return;
            }
            conn.answer(&all.to_string()).await;
        }
    })
    .await
}

async fn client(proxy: GatewayProxy) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { serve(listener, proxy).await.unwrap() });
    TcpStream::connect(address).await.unwrap()
}

async fn download(client: &mut TcpStream, bytes: u64, watermark: &mut Watermark) {
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Wanted: {bytes}\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    let mut left = bytes;
    let mut piece = vec![0; PIECE];
    let mut looked = left;
    while left > 0 {
        let most = left.min(PIECE as u64) as usize;
        left -= client.read_exact(&mut piece[..most]).await.unwrap() as u64;
        if looked - left > 4 << 20 {
            looked = left;
            watermark.look();
        }
    }
    watermark.look();
}

async fn upload(client: &mut TcpStream, bytes: u64, watermark: &mut Watermark) {
    let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![b'x'; PIECE];
    let mut left = bytes;
    while left > 0 {
        let some = left.min(PIECE as u64);
        client.write_all(&piece[..some as usize]).await.unwrap();
        left -= some;
        if (left >> 16).is_multiple_of(64) {
            watermark.look();
        }
    }
    let answer = read_answer(client, false).await;
    assert_eq!(answer.text(), bytes.to_string());
    watermark.look();
}

#[tokio::test(flavor = "multi_thread")]
async fn much_goes_through_in_flat_memory() {
    if !is_alone("gateway_proxy::endurance::much_goes_through_in_flat_memory") {
        return;
    }
    let bytes = amount();
    let upstream = store().await;
    let spool = Spool::new()
        .limit(u64::MAX)
        .directory(env!("CARGO_TARGET_TMPDIR"));
    let proxy = GatewayProxy::to(&upstream.url()).unwrap().spool(spool);
    for (what, proxy) in [
        ("spooling", proxy.clone()),
        ("streaming", proxy.stream_requests()),
    ] {
        let mut client = client(proxy).await;
        // What is allocated once does not count.
        let mut warm = Watermark::new();
        download(&mut client, 8 << 20, &mut warm).await;
        upload(&mut client, 8 << 20, &mut warm).await;

        let (mut watermark, start) = (Watermark::new(), Instant::now());
        download(&mut client, bytes, &mut watermark).await;
        watermark.check(&format!("{what}, down"), bytes, start);
        let (mut watermark, start) = (Watermark::new(), Instant::now());
        upload(&mut client, bytes, &mut watermark).await;
        watermark.check(&format!("{what}, up"), bytes, start);
    }
}

/// Who does not read holds the upstream back, and costs no more than the buffers on the way.
#[tokio::test]
async fn a_client_that_reads_nothing_holds_the_upstream_back() {
    const MOST: u64 = 32 << 20;
    let (sender, mut sent) = tokio::sync::watch::channel(0_u64);
    let sender = std::sync::Arc::new(sender);
    let upstream = Upstream::spawn(move |mut conn: Conn| {
        let sender = std::sync::Arc::clone(&sender);
        async move {
            conn.request().await;
            conn.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                .await;
            let mut chunk = format!("{PIECE:x}\r\n").into_bytes();
            chunk.resize(chunk.len() + PIECE, b'x');
            chunk.extend(b"\r\n");
            loop {
                conn.write(&chunk).await;
                sender.send_modify(|sent| *sent += PIECE as u64);
                if conn.is_closed() {
                    break;
                }
            }
        }
    })
    .await;
    let proxy = GatewayProxy::to(&upstream.url()).unwrap();
    let mut client = client(proxy.buffering(Buffering::off())).await;
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    // Until it is quiet: nothing more is taken from the upstream.
    while let Ok(changed) = timeout(Duration::from_millis(200), sent.changed()).await {
        changed.unwrap();
        let taken = *sent.borrow_and_update();
        assert!(taken < MOST, "{} MiB were taken from it", taken >> 20);
    }
    drop(client);
    timeout(PATIENCE, upstream.deserted()).await.unwrap();
}
