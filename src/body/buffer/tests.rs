#![allow(clippy::unwrap_used)]

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    path::Path,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use http::HeaderMap;
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{store::PIECE, *};
use crate::Body;

async fn read_ahead<B: Answer>(inner: B, buffering: &Buffering, may_never_ask: bool) -> Body {
    let mut inner = Some(inner);
    std::future::poll_fn(|cx| {
        let inner = inner.take().unwrap();
        let read = super::read_ahead(inner, buffering, may_never_ask, cx);
        Poll::Ready(match read {
            ReadAhead::Whole(bytes) => Body::from(bytes),
            ReadAhead::Rest(rest) => Body::new(rest),
        })
    })
    .await
}

/// What an upstream does next.
enum Act {
    Frame(Frame<Bytes>),
    Fail,
    Panic,
}

/// A body that is fed from a test, and over when the feed is dropped.
struct Script {
    acts: mpsc::UnboundedReceiver<Act>,
    length: Option<u64>,
}

struct Feed(mpsc::UnboundedSender<Act>);

fn script() -> (Feed, Script) {
    let (sender, acts) = mpsc::unbounded_channel();
    (Feed(sender), Script { acts, length: None })
}

impl Feed {
    fn data(&self, data: impl Into<Bytes>) {
        self.act(Act::Frame(Frame::data(data.into())));
    }

    fn act(&self, act: Act) {
        let _ = self.0.send(act);
    }

    fn is_wanted(&self) -> bool {
        !self.0.is_closed()
    }
}

impl http_body::Body for Script {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match ready!(self.acts.poll_recv(cx)) {
            None => Poll::Ready(None),
            Some(Act::Frame(frame)) => {
                let given = frame.data_ref().map_or(0, |data| data.len() as u64);
                if let Some(length) = &mut self.length {
                    *length -= given;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Act::Fail) => Poll::Ready(Some(Err(ErrorKind::UpstreamReset.into()))),
            Some(Act::Panic) => panic!("as the test wants it"),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.length == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// So many bytes, at once, in frames of this length; each byte tells where it is.
struct Plenty {
    at: u64,
    length: u64,
    frame: usize,
    given: Arc<AtomicU64>,
    _alive: Arc<()>,
}

struct Watch {
    given: Arc<AtomicU64>,
    alive: Arc<()>,
}

impl Watch {
    fn given(&self) -> u64 {
        self.given.load(Ordering::SeqCst)
    }

    fn is_wanted(&self) -> bool {
        Arc::strong_count(&self.alive) > 1
    }
}

fn plenty(length: u64, frame: usize) -> (Watch, Plenty) {
    let watch = Watch {
        given: Arc::default(),
        alive: Arc::default(),
    };
    let body = Plenty {
        at: 0,
        length,
        frame,
        given: Arc::clone(&watch.given),
        _alive: Arc::clone(&watch.alive),
    };
    (watch, body)
}

/// A prime, so that no piece begins where another one does.
const PERIOD: usize = 65_521;

/// Bytes of which each piece tells where it is: two periods of them.
static PATTERN: LazyLock<Bytes> = LazyLock::new(|| {
    let mut random = fastrand::Rng::with_seed(1);
    let period: Vec<u8> = (0..PERIOD).map(|_| random.u8(..)).collect();
    period.repeat(2).into()
});

/// What there is from `at` on; at most a period.
fn pattern(at: u64, length: usize) -> Bytes {
    let start = (at % PERIOD as u64) as usize;
    PATTERN.slice(start..start + length)
}

fn is_pattern(bytes: &[u8], from: u64) -> bool {
    let starts = (from..).step_by(PERIOD);
    bytes
        .chunks(PERIOD)
        .zip(starts)
        .all(|(chunk, at)| chunk == pattern(at, chunk.len()))
}

impl http_body::Body for Plenty {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Polled {
        let end = self.length.min(self.at + self.frame as u64);
        let data = pattern(self.at, (end - self.at) as usize);
        self.at = end;
        self.given.store(end, Ordering::SeqCst);
        Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length - self.at)
    }
}

fn small() -> Buffering {
    Buffering::new().memory(8 << 10)
}

fn buffered<B: Answer>(inner: B, buffering: &Buffering) -> Buffered<B> {
    Buffered::new(Source::new(inner, buffering))
}

/// Asks for one frame of data, as a server does that then has enough.
async fn one<B: Answer>(body: &mut Buffered<B>) -> Bytes {
    body.frame().await.unwrap().unwrap().into_data().unwrap()
}

/// Long enough for whatever happens by itself.
async fn settle() {
    sleep(Duration::from_secs(1)).await;
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// How many files in this directory are open, names or no names.
fn open_files(directory: &Path) -> usize {
    let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") else {
        return 0;
    };
    descriptors
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| target.starts_with(directory))
        .count()
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_there_is_read_to_its_end_before_anybody_asks() {
    let (feed, body) = script();
    feed.data("hello");
    let Feed(sender) = feed;
    let watched = sender.downgrade();
    drop(sender);
    let body = read_ahead(body, &Buffering::new(), false).await;
    assert_eq!(format!("{body:?}"), "Body(\"bytes\")");
    assert_eq!(body.size_hint().exact(), Some(5));
    assert!(watched.upgrade().is_none());
    assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_of_known_length_is_let_go_with_its_last_byte() {
    let (feed, body) = script();
    feed.data("hello");
    let body = Script {
        length: Some(5),
        ..body
    };
    let body = read_ahead(body, &Buffering::new(), false).await;
    assert!(!feed.is_wanted());
    assert!(!body.is_end_stream());
    assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
}

#[tokio::test(start_paused = true)]
async fn several_frames_need_no_task_and_an_empty_body_no_frame() {
    let (watch, body) = plenty(5 << 10, 1 << 10);
    let body = read_ahead(body, &Buffering::new(), false).await;
    assert!(!watch.is_wanted());
    assert_eq!(body.size_hint().exact(), Some(5 << 10));
    let bytes = body.collect().await.unwrap().to_bytes();
    assert!(bytes.len() == 5 << 10 && is_pattern(&bytes, 0));
    assert_eq!(tasks(), 0);

    let (_, body) = plenty(0, 1);
    let body = read_ahead(body, &Buffering::new(), false).await;
    assert!(body.is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn the_upstream_is_let_go_while_the_client_takes_nothing() {
    let (feed, body) = script();
    let mut body = buffered(body, &small());
    feed.data("one");
    assert_eq!(one(&mut body).await, "one");
    settle().await;
    // Its answer comes later, and nobody asks for it.
    feed.data("two");
    settle().await;
    feed.data(vec![b'3'; 100 << 10]);
    settle().await;
    feed.data("four");
    let Feed(sender) = feed;
    let watched = sender.downgrade();
    drop(sender);
    settle().await;
    assert!(watched.upgrade().is_none());
    assert_eq!(tasks(), 0);

    assert!(!body.is_end_stream());
    let bytes = body.collect().await.unwrap().to_bytes();
    assert!(bytes.starts_with(b"two333") && bytes.ends_with(b"333four"));
    assert_eq!(bytes.len(), (100 << 10) + 7);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_asks_is_read_ahead_of_too() {
    let (watch, body) = plenty(1 << 20, 4 << 10);
    let body = read_ahead(body, &small(), true).await;
    assert!(watch.is_wanted());
    settle().await;
    assert!(!watch.is_wanted());
    let bytes = body.collect().await.unwrap().to_bytes();
    assert!(bytes.len() == 1 << 20 && is_pattern(&bytes, 0));
}

#[tokio::test(start_paused = true)]
async fn without_a_file_memory_is_the_limit_and_then_the_upstream_waits() {
    let (watch, body) = plenty(1 << 20, 1 << 10);
    let mut body = buffered(body, &small().file(0));
    let mut taken = one(&mut body).await.len() as u64;
    settle().await;
    for _ in 0..50 {
        let ahead = watch.given() - taken;
        // 64 bytes count for each piece; one is over the limit, and one is on top.
        assert!((7 << 10..=10 << 10).contains(&ahead), "{ahead}");
        taken += one(&mut body).await.len() as u64;
        settle().await;
    }
    let rest = body.collect().await.unwrap().to_bytes();
    assert_eq!(taken + rest.len() as u64, 1 << 20);
    assert!(is_pattern(&rest, taken));
    settle().await;
    assert_eq!((tasks(), watch.is_wanted()), (0, false));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_small_pieces_do_not_keep_a_thousand_buffers() {
    let (watch, body) = plenty(1 << 20, 1);
    let mut body = buffered(body, &small().file(0));
    one(&mut body).await;
    settle().await;
    assert!(watch.given() < (8 << 10) / 64 + 8, "{}", watch.given());
}

#[tokio::test(start_paused = true)]
async fn beyond_memory_there_is_a_file_which_is_gone_with_the_body() {
    let directory = tempfile::tempdir().unwrap();
    let buffering = small().directory(directory.path());
    for is_read in [true, false] {
        let (watch, body) = plenty(3 << 20, 10_000);
        let mut body = buffered(body, &buffering);
        let first = one(&mut body).await.len() as u64;
        assert_eq!(open_files(directory.path()), 0);
        settle().await;
        assert!(!watch.is_wanted());
        assert_eq!(tasks(), 0);
        if cfg!(target_os = "linux") {
            assert_eq!(open_files(directory.path()), 1);
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        assert_eq!(body.size_hint().exact(), Some((3 << 20) - first));
        if is_read {
            let rest = body.collect().await.unwrap().to_bytes();
            assert_eq!(first + rest.len() as u64, 3 << 20);
            assert!(is_pattern(&rest, first));
        } else {
            drop(body);
        }
        assert_eq!(open_files(directory.path()), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_file_lets_the_upstream_wait() {
    let (watch, body) = plenty(2 << 20, 4 << 10);
    let mut body = buffered(body, &small().file(256 << 10));
    let mut taken = one(&mut body).await.len() as u64;
    settle().await;
    let ahead = watch.given() - taken;
    // Memory, the file, and a piece that waits for room.
    let most = (8 << 10) + (256 << 10) + (PIECE as u64) + (8 << 10);
    assert!((256 << 10..=most).contains(&ahead), "{ahead}");
    // It is filled again when all of it was taken.
    while taken < 1 << 20 {
        let piece = one(&mut body).await;
        assert!(is_pattern(&piece, taken));
        taken += piece.len() as u64;
    }
    settle().await;
    let ahead = watch.given() - taken;
    assert!((200 << 10..=most).contains(&ahead), "{ahead}");
    let rest = body.collect().await.unwrap().to_bytes();
    assert_eq!(taken + rest.len() as u64, 2 << 20);
    assert!(is_pattern(&rest, taken));
}

#[tokio::test(start_paused = true)]
async fn without_a_disk_the_upstream_waits_and_nothing_is_lost() {
    let (watch, body) = plenty(1 << 20, 4 << 10);
    let mut body = buffered(body, &small().directory("/nowhere/at/all"));
    let first = one(&mut body).await.len() as u64;
    settle().await;
    assert!(watch.given() - first < (8 << 10) + PIECE as u64 + (8 << 10));
    let rest = body.collect().await.unwrap().to_bytes();
    assert_eq!(first + rest.len() as u64, 1 << 20);
    assert!(is_pattern(&rest, first));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_pauses_but_is_slow_does_not_hold_the_upstream() {
    let (watch, body) = plenty(4 << 20, 4 << 10);
    let mut body = buffered(body, &small());
    let mut at = 0;
    let begin = Instant::now();
    while watch.is_wanted() {
        assert!(begin.elapsed() < Duration::from_millis(200));
        let piece = one(&mut body).await;
        assert!(is_pattern(&piece, at));
        at += piece.len() as u64;
        sleep(Duration::from_millis(1)).await;
    }
    let rest = body.collect().await.unwrap().to_bytes();
    assert_eq!(at + rest.len() as u64, 4 << 20);
    assert!(is_pattern(&rest, at));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_all_it_is_given_is_not_read_ahead_of() {
    let (watch, body) = plenty(40 << 20, 32 << 10);
    let mut body = buffered(body, &small());
    let mut at = 0;
    while at < 40 << 20 {
        at += one(&mut body).await.len() as u64;
        // The first time, memory was filled at once.
        assert!(watch.given() <= at + (64 << 10), "{at}");
        if at.is_multiple_of(128 << 10) {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_caught_up_is_served_directly_again() {
    let (watch, body) = plenty(10 << 20, 32 << 10);
    let mut body = buffered(body, &small().file(0));
    let mut at = one(&mut body).await.len() as u64;
    settle().await;
    while watch.given() > at {
        at += one(&mut body).await.len() as u64;
    }
    while at < 10 << 20 {
        at += one(&mut body).await.len() as u64;
        assert_eq!(watch.given(), at);
        if at.is_multiple_of(128 << 10) {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_catches_up_with_what_is_being_written_has_it_when_it_is() {
    for steps in 0..10 {
        let (feed, body) = script();
        let mut body = buffered(body, &small());
        feed.data("one");
        assert_eq!(one(&mut body).await, "one");
        settle().await;
        for at in (0..300 << 10).step_by(16 << 10) {
            feed.data(pattern(at, 16 << 10));
        }
        for _ in 0..steps {
            tokio::task::yield_now().await;
        }
        let begin = Instant::now();
        let mut got = Vec::new();
        while got.len() < 304 << 10 {
            // A clock that runs wakes who was forgotten.
            let piece = tokio::time::timeout(Duration::from_secs(9), one(&mut body));
            got.extend_from_slice(&piece.await.unwrap());
        }
        assert!(begin.elapsed() < Duration::from_secs(9));
        assert!(is_pattern(&got, 0));
    }
}

/// Reads with pauses that nobody can foresee; every frame where it belongs, and the length known.
async fn read_at_a_pace<B: Answer>(mut body: Buffered<B>, length: u64, may_pause: bool) {
    let mut random = fastrand::Rng::with_seed(7);
    let mut at = 0;
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        assert!(is_pattern(&data, at));
        at += data.len() as u64;
        assert_eq!(body.size_hint().exact(), Some(length - at));
        match random.u32(0..200) {
            0 if may_pause => sleep(Duration::from_millis(random.u64(1..50))).await,
            1..20 => tokio::task::yield_now().await,
            _ => {}
        }
    }
    assert_eq!(at, length);
}

#[tokio::test(start_paused = true)]
async fn fifty_megabytes_at_an_uneven_pace_are_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let (watch, body) = plenty(50 << 20, 7001);
    let buffering = small().file(1 << 20).directory(directory.path());
    read_at_a_pace(buffered(body, &buffering), 50 << 20, true).await;
    settle().await;
    assert_eq!((tasks(), watch.is_wanted()), (0, false));
    assert_eq!(open_files(directory.path()), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_with_two_threads() {
    let (feed, body) = script();
    let length = 50 << 20;
    let body = Script {
        length: Some(length),
        ..body
    };
    let feeding = tokio::spawn(async move {
        let mut at = 0;
        while at < length {
            let end = length.min(at + 9001);
            feed.data(pattern(at, (end - at) as usize));
            at = end;
            tokio::task::yield_now().await;
        }
    });
    read_at_a_pace(buffered(body, &small()), length, true).await;
    feeding.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_breaks_off_breaks_off_in_its_place() {
    // In memory, and in the file.
    for length in [4 << 10, 500 << 10] {
        for is_slow in [false, true] {
            let (feed, body) = script();
            let mut body = buffered(body, &small());
            feed.data("first");
            assert_eq!(one(&mut body).await, "first");
            for at in (0..length).step_by(4 << 10) {
                feed.data(pattern(at, 4 << 10));
            }
            feed.act(Act::Fail);
            if is_slow {
                settle().await;
                assert!(!feed.is_wanted());
            }
            let mut got = Vec::new();
            let error = loop {
                assert!(!body.is_end_stream());
                match body.frame().await.unwrap() {
                    Ok(frame) => got.extend_from_slice(frame.data_ref().unwrap()),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::UpstreamReset);
            assert!(got.len() as u64 == length && is_pattern(&got, 0));
            assert!(body.frame().await.is_none());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_fails_at_once_does_not_look_empty() {
    let (feed, body) = script();
    feed.act(Act::Fail);
    let mut body = read_ahead(body, &Buffering::new(), false).await;
    assert!(!body.is_end_stream());
    assert_ne!(body.size_hint().exact(), Some(0));
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn trailers_come_last() {
    for length in [0, 10, 500 << 10] {
        for is_slow in [false, true] {
            let (feed, body) = script();
            feed.data("first");
            let mut body = buffered(body, &small());
            assert_eq!(one(&mut body).await, "first");
            feed.data(vec![b'x'; length]);
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            feed.act(Act::Frame(Frame::trailers(trailers)));
            drop(feed);
            if is_slow {
                settle().await;
                assert_eq!(tasks(), 0);
            }
            assert!(!body.is_end_stream());
            let body = body.collect().await.unwrap();
            assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
            assert_eq!(body.to_bytes().len(), length);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_upstream_has_each_byte_at_once() {
    let (feed, body) = script();
    let mut body = buffered(body, &small());
    let begin = Instant::now();
    for n in 0..100_u64 {
        let message = format!("data: {n}\n\n");
        let waiting = tokio::spawn(async move {
            let data = one(&mut body).await;
            (body, data, Instant::now())
        });
        // Sometimes long before it is looked in on, sometimes long after.
        sleep(Duration::from_millis(n % 30)).await;
        let sent = Instant::now();
        feed.data(message.clone());
        let (returned, data, got) = waiting.await.unwrap();
        assert_eq!((data, got), (message.into(), sent));
        body = returned;
    }
    assert!(begin.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn who_has_caught_up_has_each_byte_at_once_again() {
    let (feed, body) = script();
    let mut body = buffered(body, &small());
    feed.data("one");
    assert_eq!(one(&mut body).await, "one");
    for _ in 0..3 {
        feed.data(vec![b'x'; 300 << 10]);
        settle().await;
        let mut left = 300 << 10;
        while left > 0 {
            left -= one(&mut body).await.len();
        }
        let waiting = tokio::spawn(async move {
            let data = one(&mut body).await;
            (body, data, Instant::now())
        });
        settle().await;
        let sent = Instant::now();
        feed.data("now");
        let (returned, data, got) = waiting.await.unwrap();
        assert_eq!((&data[..], got), (&b"now"[..], sent));
        body = returned;
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_costs_no_ticks() {
    let (feed, body) = script();
    let mut body = buffered(body, &small());
    feed.data("one");
    assert_eq!(one(&mut body).await, "one");
    let waiting = tokio::spawn(async move { one(&mut body).await });
    settle().await;
    let before = Handle::current().metrics().worker_park_count(0);
    sleep(Duration::from_secs(3600)).await;
    let after = Handle::current().metrics().worker_park_count(0);
    assert!(after - before < 10, "{}", after - before);
    feed.data("two");
    assert_eq!(waiting.await.unwrap(), "two");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_body_closes_the_upstream_at_once_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let buffering = small().file(1 << 20).directory(directory.path());
    // After each number of steps of the runtime there is another await to be dropped in.
    for steps in 0..60 {
        let (watch, body) = plenty(4 << 20, 4 << 10);
        let mut body = buffered(body, &buffering);
        one(&mut body).await;
        sleep(LOOK * 2 * (steps % 3)).await;
        for step in 0..steps {
            tokio::task::yield_now().await;
            if step % 2 == 0 {
                let mut cx = Context::from_waker(Waker::noop());
                let _ = Pin::new(&mut body).poll_frame(&mut cx);
            }
        }
        drop(body);
        assert!(!watch.is_wanted());
        settle().await;
        assert_eq!(tasks(), 0);
        assert_eq!(open_files(directory.path()), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_panics_while_the_client_asks_panics_there() {
    let (feed, body) = script();
    let mut body = buffered(body, &small());
    feed.data("one");
    assert_eq!(one(&mut body).await, "one");
    feed.act(Act::Panic);
    let mut cx = Context::from_waker(Waker::noop());
    let polled = std::panic::catch_unwind(AssertUnwindSafe(|| {
        Pin::new(&mut body).poll_frame(&mut cx).is_ready()
    }));
    assert!(polled.is_err());
    drop(body);
    assert!(!feed.is_wanted());
    settle().await;
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_panics_while_it_is_read_ahead_is_an_error_in_its_place() {
    let (feed, body) = script();
    let mut body = buffered(body, &small());
    feed.data("one");
    assert_eq!(one(&mut body).await, "one");
    feed.data("two");
    feed.act(Act::Panic);
    settle().await;
    assert!(!feed.is_wanted());
    assert_eq!(one(&mut body).await, "two");
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(body.frame().await.is_none());
    assert_eq!(tasks(), 0);
}

#[test]
fn a_runtime_that_ends_is_an_error_in_its_place() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let (feed, body) = script();
    let mut body = buffered(body, &small());
    runtime.block_on(async {
        feed.data("one");
        assert_eq!(one(&mut body).await, "one");
        feed.data("two");
        settle().await;
    });
    drop(runtime);
    assert!(!feed.is_wanted());
    let mut cx = Context::from_waker(Waker::noop());
    let mut poll = || match Pin::new(&mut body).poll_frame(&mut cx) {
        Poll::Ready(frame) => frame.map(|frame| frame.map(|frame| frame.into_data().unwrap())),
        Poll::Pending => panic!("nobody will wake it"),
    };
    assert_eq!(poll().unwrap().unwrap(), "two");
    assert!(poll().unwrap().is_err());
    assert!(poll().is_none());
}

#[test]
fn without_a_runtime_it_is_a_body_like_others() {
    let (feed, body) = script();
    feed.data("one");
    feed.data("two");
    drop(feed);
    let reading = std::pin::pin!(buffered(body, &small()).collect());
    let mut cx = Context::from_waker(Waker::noop());
    match reading.poll(&mut cx) {
        Poll::Ready(body) => assert_eq!(body.unwrap().to_bytes(), "onetwo"),
        Poll::Pending => panic!("all is there"),
    }
}

/// A server whose client says `hello` and then reads nothing.
async fn serve(
    hello: &[u8],
    may_never_ask: bool,
) -> (Watch, tokio::io::DuplexStream, tokio::task::JoinHandle<()>) {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::io::AsyncWriteExt;

    let (watch, body) = plenty(20 << 20, 16 << 10);
    let (mut client, server) = tokio::io::duplex(4 << 10);
    client.write_all(hello).await.unwrap();
    let body = Mutex::new(Some(body));
    let service = hyper::service::service_fn(move |_| {
        let body = body.lock().unwrap().take();
        async move {
            let body = read_ahead(body.unwrap(), &small(), may_never_ask).await;
            Ok::<_, std::convert::Infallible>(http::Response::new(body))
        }
    });
    let serving = tokio::spawn(async move {
        let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
        let _ = builder
            .serve_connection(TokioIo::new(server), service)
            .await;
    });
    (watch, client, serving)
}

#[tokio::test(start_paused = true)]
async fn behind_a_server_whose_client_reads_nothing_the_upstream_is_let_go() {
    use tokio::io::AsyncReadExt;

    let hello = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let (watch, mut client, serving) = serve(hello, false).await;
    settle().await;
    assert!(!watch.is_wanted());
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    let end = answer
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .unwrap();
    assert_eq!(answer.len() - end - 4, 20 << 20);
    assert!(is_pattern(&answer[end + 4..], 0));
    serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_of_http_2_without_a_window_does_not_hold_the_upstream() {
    let hello: Vec<u8> = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        // SETTINGS: no byte may be sent on any stream.
        &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0],
        // HEADERS of stream 1, whole: GET http / of x.
        &[0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x41, 1, b'x'],
    ]
    .concat();
    let (watch, client, serving) = serve(&hello, true).await;
    settle().await;
    assert_eq!(watch.given(), 20 << 20);
    assert!(!watch.is_wanted());
    drop(client);
    serving.await.unwrap();
    settle().await;
    assert_eq!(tasks(), 0);
}
