use std::{io, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{Ended, Limits, Report, Tunnel};
use crate::{
    body::{Drain, Drainer},
    gateway_proxy::upgrade::Tunnels,
};

const HOUR: Duration = Duration::from_secs(3600);
const LIMITS: Limits = Limits {
    idle: HOUR,
    lifetime: None,
};
/// `hello` as a WebSocket client and server write it.
const FROM_CLIENT: &[u8] = b"\x81\x85\0\0\0\0hello";
const FROM_SERVER: &[u8] = b"\x81\x05hello";
const CLOSE: &[u8] = b"\x88\x02\x03\xe9";

struct Open {
    client: DuplexStream,
    upstream: DuplexStream,
    task: JoinHandle<Report>,
}

impl Open {
    fn websocket(limits: Limits, proxy: Drain) -> Self {
        Self::with(true, "", limits, proxy, None)
    }

    fn other(limits: Limits, proxy: Drain) -> Self {
        Self::with(false, "", limits, proxy, None)
    }

    fn with(
        is_websocket: bool,
        early: &'static str,
        limits: Limits,
        proxy: Drain,
        server: Option<Drain>,
    ) -> Self {
        let (client, near) = duplex(64);
        let (upstream, far) = duplex(64);
        let tunnel = Tunnel::new(
            near,
            far,
            Bytes::from_static(early.as_bytes()),
            is_websocket,
        );
        let task = tokio::spawn(tunnel.run(limits, proxy, server));
        Self {
            client,
            upstream,
            task,
        }
    }

    async fn ended(self) -> Report {
        timeout(2 * HOUR, self.task)
            .await
            .expect("it goes on")
            .unwrap()
    }
}

async fn expect(stream: &mut DuplexStream, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    stream.read_exact(&mut read).await.unwrap();
    assert_eq!(read, bytes);
}

/// Reads the masked Close frame that an upstream is sent.
async fn expect_masked_close(stream: &mut DuplexStream) {
    let mut frame = [0; 8];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[..2], [0x88, 0x82]);
    assert_eq!([frame[6] ^ frame[2], frame[7] ^ frame[3]], [0x03, 0xe9]);
}

async fn expect_end(stream: &mut DuplexStream) {
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn bytes_are_counted_both_ways_and_halves_close_on_their_own() {
    let drainer = Drainer::new();
    let mut open = Open::with(false, "early", LIMITS, drainer.subscribe(), None);
    expect(&mut open.client, b"early").await;
    open.client.write_all(b"one").await.unwrap();
    expect(&mut open.upstream, b"one").await;
    open.client.shutdown().await.unwrap();
    expect_end(&mut open.upstream).await;
    // More than both pipes hold.
    let writer = tokio::spawn(async move {
        open.upstream.write_all(&[7; 100_000]).await.unwrap();
        open.upstream
    });
    expect(&mut open.client, &[7; 100_000]).await;
    drop(writer.await.unwrap());
    expect_end(&mut open.client).await;
    let report = open.task.await.unwrap();
    assert!(matches!(report.ended, Ended::Closed), "{report:?}");
    assert_eq!((report.up, report.down), (3, 100_005));
    assert_eq!(drainer.subscribed(), 0);
}

#[tokio::test]
async fn a_side_that_breaks_off_ends_it() {
    struct Broken;
    impl tokio::io::AsyncRead for Broken {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }
    }
    let (client, near) = duplex(64);
    let upstream = tokio::io::join(Broken, tokio::io::sink());
    let tunnel = Tunnel::new(near, upstream, Bytes::new(), false);
    let report = tunnel.run(LIMITS, Drainer::new().subscribe(), None).await;
    assert!(matches!(report.ended, Ended::Broken(_)), "{report:?}");
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_websocket_is_told_on_both_sides_where_a_frame_ends() {
    let tunnels = Tunnels::default();
    let mut open = Open::websocket(LIMITS, tunnels.open());
    open.client.write_all(FROM_CLIENT).await.unwrap();
    expect(&mut open.upstream, FROM_CLIENT).await;
    // The upstream is in the middle of a frame.
    open.upstream.write_all(&FROM_SERVER[..4]).await.unwrap();
    expect(&mut open.client, &FROM_SERVER[..4]).await;

    let start = Instant::now();
    assert_eq!(tunnels.count(), 1);
    let drained = async {
        let cut = tunnels.drain(Duration::from_secs(10)).await;
        assert_eq!((cut, tunnels.count()), (0, 0));
    };
    let goodbye = async {
        expect_masked_close(&mut open.upstream).await;
        // The frame comes to its end, and no other is begun.
        let rest = [&FROM_SERVER[4..], FROM_SERVER].concat();
        open.upstream.write_all(&rest).await.unwrap();
        expect(&mut open.client, &FROM_SERVER[4..]).await;
        expect(&mut open.client, CLOSE).await;
        // What each still says is not passed on; their Close is the last.
        open.upstream.write_all(FROM_SERVER).await.unwrap();
        open.upstream.write_all(CLOSE).await.unwrap();
        expect_end(&mut open.client).await;
        open.client.write_all(FROM_CLIENT).await.unwrap();
        open.client
            .write_all(b"\x88\x82\0\0\0\0\x03\xe9")
            .await
            .unwrap();
        expect_end(&mut open.upstream).await;
    };
    tokio::join!(drained, goodbye);
    assert_eq!(start.elapsed(), Duration::ZERO);
    let report = open.ended().await;
    assert!(matches!(report.ended, Ended::Drained), "{report:?}");
    assert_eq!((report.up, report.down), (11, 7));
}

#[tokio::test(start_paused = true)]
async fn a_close_that_has_gone_by_is_not_followed_by_another() {
    let drainer = Drainer::new();
    let mut open = Open::websocket(LIMITS, drainer.subscribe());
    // In the middle of its Close frame.
    open.upstream.write_all(&CLOSE[..3]).await.unwrap();
    expect(&mut open.client, &CLOSE[..3]).await;
    drainer.begin(HOUR);
    expect_masked_close(&mut open.upstream).await;
    open.upstream.write_all(&CLOSE[3..]).await.unwrap();
    expect(&mut open.client, &CLOSE[3..]).await;
    expect_end(&mut open.client).await;
    drop(open.client);
    let report = open.task.await.unwrap();
    assert!(matches!(report.ended, Ended::Drained), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_go_is_cut_off() {
    for is_websocket in [true, false] {
        let tunnels = Tunnels::default();
        let mut open = Open::with(is_websocket, "", LIMITS, tunnels.open(), None);
        let start = Instant::now();
        let drained = tunnels.drain(Duration::from_secs(10));
        if is_websocket {
            assert!(drained.await <= 1);
            expect(&mut open.client, CLOSE).await;
        } else {
            let goes_on = async {
                // Another protocol goes on to the last.
                tokio::time::sleep(Duration::from_secs(9)).await;
                open.client.write_all(b"hello").await.unwrap();
                expect(&mut open.upstream, b"hello").await;
            };
            tokio::join!(drained, goes_on);
        }
        expect_end(&mut open.client).await;
        assert_eq!(start.elapsed().as_secs(), 10);
        assert_eq!(tunnels.count(), 0);
        let report = open.ended().await;
        assert!(matches!(report.ended, Ended::Cut), "{report:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_may_say_it_too_and_the_shorter_time_counts() {
    let (proxy, server) = (Drainer::new(), Drainer::new());
    let open = Open::with(
        false,
        "",
        LIMITS,
        proxy.subscribe(),
        Some(server.subscribe()),
    );
    let start = Instant::now();
    proxy.begin(Duration::from_secs(30));
    tokio::task::yield_now().await;
    server.begin(Duration::from_secs(10));
    tokio::task::yield_now().await;
    proxy.begin(Duration::from_secs(20));
    let report = open.ended().await;
    assert!(matches!(report.ended, Ended::Cut), "{report:?}");
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_others_go_is_told_and_who_comes_later_is_not() {
    let tunnels = Tunnels::default();
    let first = Open::other(LIMITS, tunnels.open());
    let drained = async {
        tunnels.drain(Duration::from_secs(10)).await;
    };
    let second = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let second = Open::other(LIMITS, tunnels.open());
        let report = second.ended().await;
        assert!(matches!(report.ended, Ended::Cut), "{report:?}");
        assert_eq!(report.lasted.as_secs(), 5);
    };
    tokio::join!(drained, second);
    assert!(matches!(first.ended().await.ended, Ended::Cut));
    let third = Open::other(LIMITS, tunnels.open());
    let report = third.ended().await;
    assert!(matches!(report.ended, Ended::Idle), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_lives_for_longer_than_it_may() {
    let limits = Limits {
        lifetime: Some(Duration::from_secs(60)),
        ..LIMITS
    };
    let drainer = Drainer::new();
    let other = Open::other(limits, drainer.subscribe());
    let mut socket = Open::websocket(limits, drainer.subscribe());
    let report = other.ended().await;
    assert!(matches!(report.ended, Ended::Aged), "{report:?}");
    assert_eq!(report.lasted.as_secs(), 60);
    // A WebSocket is told, and has a moment.
    expect(&mut socket.client, CLOSE).await;
    let report = socket.ended().await;
    assert!(matches!(report.ended, Ended::Aged), "{report:?}");
    assert_eq!(report.lasted.as_secs(), 65);
}

#[tokio::test(start_paused = true)]
async fn quiet_counts_from_the_last_byte_either_way() {
    let drainer = Drainer::new();
    let mut open = Open::other(LIMITS, drainer.subscribe());
    for is_up in [true, false] {
        tokio::time::sleep(HOUR - Duration::from_secs(1)).await;
        if is_up {
            open.client.write_all(b"x").await.unwrap();
            expect(&mut open.upstream, b"x").await;
        } else {
            open.upstream.write_all(b"x").await.unwrap();
            expect(&mut open.client, b"x").await;
        }
    }
    let report = open.ended().await;
    assert!(matches!(report.ended, Ended::Idle), "{report:?}");
    assert_eq!(report.lasted, 3 * HOUR - Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_limit_beyond_all_time_is_none() {
    let limits = Limits {
        idle: Duration::MAX,
        lifetime: Some(Duration::MAX),
    };
    let drainer = Drainer::new();
    let open = Open::other(limits, drainer.subscribe());
    tokio::time::sleep(1000 * HOUR).await;
    assert!(!open.task.is_finished());
    drainer.begin(Duration::MAX);
    tokio::task::yield_now().await;
    drop(open.client);
    drop(open.upstream);
    assert!(matches!(open.task.await.unwrap().ended, Ended::Drained));
}
