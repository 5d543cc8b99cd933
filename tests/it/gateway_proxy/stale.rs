//! Connections that the upstream closes without a word, at any moment.

use std::{sync::Arc, time::Duration};

use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tower_gateway::{GatewayProxy, body::spool::Spool, serve::serve};

use crate::support::{
    raw::PATIENCE,
    upstream::{Conn, Upstream},
    wire::{Address, Client},
};

/// Numbers that look random, and are the same each time (xorshift64*).
struct Dice(u64);

impl Dice {
    fn new(seed: usize) -> Self {
        Self((seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }
}

/// It answers the first request of each connection, and after each answer rolls a dice: it closes
/// at once, or a little later whatever comes in the meantime, or goes on. It never says so.
async fn moody() -> Upstream {
    Upstream::spawn(|mut conn: Conn| async move {
        let mut dice = Dice::new(conn.number);
        while let Some(request) = conn.request().await {
            let body = request.split_once("\r\n\r\n").unwrap().1.len();
            conn.answer(&body.to_string()).await;
            match dice.roll(4) {
                0 => return,
                1 => {
                    // Perhaps in the middle of a request, perhaps when it was read.
                    let soon = Duration::from_micros(dice.roll(2_000));
                    timeout(soon, async { while conn.fill().await.is_some() {} })
                        .await
                        .ok();
                    return;
                }
                2 => {
                    // The next request is read, and not answered.
                    conn.request().await;
                    return;
                }
                _ => {}
            }
        }
    })
    .await
}

/// `clients` at once, each with a connection of its own; all get what they should.
async fn load(
    proxy: GatewayProxy,
    clients: usize,
    requests: usize,
    request: Vec<u8>,
    expected: &'static str,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap());
    let server = tokio::spawn(async { serve(listener, proxy).await.unwrap() });
    let request = Arc::new(request);
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (address, request) = (address.clone(), Arc::clone(&request));
        tasks.spawn(async move {
            let mut failed = Vec::new();
            let mut client = Client::connect(&address, PATIENCE).await;
            for number in 0..requests {
                client.send(&*request).await.unwrap();
                match client.expect(false).await {
                    Ok(answer) if answer.status == 200 && answer.text() == expected => {}
                    other => {
                        failed.push(format!("request {number}: {other:?}"));
                        client = Client::connect(&address, PATIENCE).await;
                    }
                }
            }
            failed
        });
    }
    let failed: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    server.abort();
    let (count, all) = (failed.len(), clients * requests);
    assert!(failed.is_empty(), "{count} of {all} failed: {}", failed[0]);
}

fn put(length: usize) -> Vec<u8> {
    let mut request =
        format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    request.resize(request.len() + length, b'x');
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn none_of_10_000_gets_fails() {
    let upstream = moody().await;
    let proxy = GatewayProxy::to(&upstream.url()).unwrap();
    let get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    load(proxy, 10, 1_000, get, "0").await;
    // It was as moody as it should be.
    let counts = upstream.counts();
    assert!(counts.requests > 11_000, "{counts:?}");
    assert!((2_000..9_000).contains(&counts.accepted), "{counts:?}");
    upstream.deserted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn none_of_4_000_spooled_puts_fails() {
    // In memory, and in a file.
    for (length, expected) in [(2_000, "2000"), (200_000, "200000")] {
        let upstream = moody().await;
        let spool = Spool::new().memory(10_000);
        let proxy = GatewayProxy::to(&upstream.url()).unwrap().spool(spool);
        load(proxy, 4, 500, put(length), expected).await;
        assert!(upstream.counts().requests > 2_100);
        upstream.deserted().await;
    }
}
