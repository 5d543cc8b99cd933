//! Requests that a worker is sent before their turn.

use std::{io::Write, pin::pin, time::Duration};

use ::bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use tower::ServiceExt;

use super::support::{Bench, PLAIN, Peer, bytes, error, frame_of, get, soon};
use crate::{
    ErrorKind,
    wsgi::frame::{self, Kind},
};

fn bench(depth: usize) -> Bench {
    Bench::with(|config| config.prefetch = depth)
}

/// The whole answer with this body.
fn answer(body: &str) -> Vec<u8> {
    let flags = frame::FREE | frame::OVER;
    frame_of(Kind::One, flags, 0, PLAIN.as_bytes(), body.as_bytes())
}

#[tokio::test]
async fn a_worker_has_the_next_request_before_its_answer_to_the_last() {
    let bench = bench(1);
    let mut peer = bench.worker(1);
    let first = bench.spawn(get("/1"));
    assert_eq!(peer.request().await.environ["PATH_INFO"], "/1");
    let second = bench.spawn(get("/2"));
    let third = bench.spawn(get("/3"));
    bench.waiting(2).await;
    // Who has the slot looks when it hears of the worker.
    peer.answer("200 OK", b"one").await;
    assert_eq!(soon(first).await.unwrap().status(), 200);
    // The second was handed the slot, and has sent the third behind its own.
    assert_eq!(peer.request().await.environ["PATH_INFO"], "/2");
    assert_eq!(peer.request().await.environ["PATH_INFO"], "/3");
    peer.answer("201 Created", b"two").await;
    assert_eq!(soon(second).await.unwrap().status(), 201);
    peer.answer("202 Accepted", b"three").await;
    assert_eq!(soon(third).await.unwrap().status(), 202);
    bench.idle(1).await;
    assert_eq!((peer.worker.requests(), peer.worker.busy()), (3, 0));
}

#[tokio::test]
async fn answers_that_come_at_once_are_each_for_their_own() {
    let bench = bench(8);
    let mut peer = bench.worker(1);
    let first = bench.spawn(get("/0"));
    peer.request().await;
    let waiting: Vec<_> = (1..9).map(|n| bench.spawn(get(&format!("/{n}")))).collect();
    bench.waiting(8).await;
    peer.answer("200 OK", b"0").await;
    soon(first).await.unwrap();
    let mut paths = Vec::new();
    for _ in 1..9 {
        paths.push(peer.request().await.environ["PATH_INFO"].clone());
    }
    // All answers are in the connection before one of them is looked at.
    let answers: Vec<_> = paths.iter().map(|path| answer(path)).collect();
    peer.write(&answers.concat()).await;
    for (n, waiting) in (1..9).zip(waiting) {
        let response = soon(waiting).await.unwrap();
        assert_eq!(bytes(response).await, format!("/{n}"));
    }
    bench.idle(1).await;
}

#[tokio::test]
async fn only_what_does_no_harm_is_sent_ahead() {
    let bench = bench(4);
    let mut peer = bench.worker(1);
    let first = bench.spawn(get("/1"));
    peer.request().await;
    // One that may have an effect, and behind it one that is not to overtake it.
    let mut unsafe_one = get("/2");
    *unsafe_one.method_mut() = Method::POST;
    let second = bench.spawn(unsafe_one);
    bench.waiting(1).await;
    let third = bench.spawn(get("/3"));
    bench.waiting(2).await;
    peer.answer("200 OK", b"").await;
    soon(first).await.unwrap();
    assert_eq!(peer.request().await.environ["PATH_INFO"], "/2");
    // The third is behind the second now, which has no body to be asked for.
    assert_eq!(peer.request().await.environ["PATH_INFO"], "/3");
    peer.answer("200 OK", b"").await;
    soon(second).await.unwrap();
    peer.answer("200 OK", b"").await;
    soon(third).await.unwrap();
}

#[tokio::test]
async fn what_is_long_or_has_a_body_is_not_sent_ahead() {
    let long = get(&format!("/2?{}", "q".repeat(8 << 10)));
    let with_body = Request::get("/2").header("host", "a");
    let with_body = with_body.body(Full::new(Bytes::from("body"))).unwrap();
    for second in [long.map(|_| Full::default()), with_body] {
        let bench = bench(4);
        let mut peer = bench.worker(1);
        let zeroth = bench.spawn(get("/0"));
        peer.request().await;
        let first = bench.spawn(get("/1"));
        bench.waiting(1).await;
        let second = bench.spawn(second);
        bench.waiting(2).await;
        let third = bench.spawn(get("/3"));
        bench.waiting(3).await;
        peer.answer("200 OK", b"").await;
        soon(zeroth).await.unwrap();
        // The first has the slot, and nothing was sent behind it: another worker has the second.
        assert_eq!(peer.request().await.environ["PATH_INFO"], "/1");
        let mut other = bench.worker(2);
        assert_eq!(other.request().await.environ["PATH_INFO"], "/2");
        assert_eq!(other.request().await.environ["PATH_INFO"], "/3");
        other.write(&[answer("2"), answer("3")].concat()).await;
        peer.answer("200 OK", b"1").await;
        for (asking, body) in [(first, "1"), (second, "2"), (third, "3")] {
            assert_eq!(bytes(soon(asking).await.unwrap()).await, body);
        }
        bench.idle(2).await;
    }
}

#[tokio::test]
async fn what_a_worker_does_not_come_to_goes_to_another() {
    let bench = bench(2);
    let mut peer = bench.worker(1);
    let first = bench.spawn(get("/1"));
    peer.request().await;
    let waiting: Vec<_> = (2..5).map(|n| bench.spawn(get(&format!("/{n}")))).collect();
    bench.waiting(3).await;
    peer.answer("200 OK", b"").await;
    soon(first).await.unwrap();
    for n in 2..5 {
        assert_eq!(peer.request().await.environ["PATH_INFO"], format!("/{n}"));
    }
    // It dies in the midst of the second request: that one is lost, the others are not.
    drop(peer);
    let mut other = bench.worker(2);
    let mut waiting = waiting.into_iter();
    assert_eq!(soon(waiting.next().unwrap()).await.unwrap().status(), 502);
    for n in 3..5 {
        assert_eq!(other.request().await.environ["PATH_INFO"], format!("/{n}"));
        other.answer("200 OK", b"").await;
        let response = soon(waiting.next().unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    bench.idle(1).await;
}

#[tokio::test]
async fn one_who_leaves_has_the_connection_closed_when_it_is_his_turn() {
    let bench = bench(1);
    let mut peer = bench.worker(1);
    let first = bench.spawn(get("/1"));
    peer.request().await;
    let second = bench.spawn(get("/2"));
    let third = bench.spawn(get("/3"));
    bench.waiting(2).await;
    peer.answer("200 OK", b"").await;
    soon(first).await.unwrap();
    peer.request().await;
    peer.request().await;
    third.abort();
    bench.waiting(0).await;
    peer.answer("200 OK", b"").await;
    assert_eq!(soon(second).await.unwrap().status(), 200);
    // What the worker says of the third would be nobody's.
    peer.closed().await;
    assert_eq!(peer.worker.busy(), 0);
}

#[tokio::test]
async fn what_was_sent_to_a_worker_that_retires_is_answered_by_it() {
    let bench = bench(1);
    let mut peer = bench.worker(1);
    let first = bench.spawn(get("/1"));
    peer.request().await;
    let second = bench.spawn(get("/2"));
    let third = bench.spawn(get("/3"));
    bench.waiting(2).await;
    peer.answer("200 OK", b"").await;
    soon(first).await.unwrap();
    peer.request().await;
    peer.request().await;
    bench.dispatch.retire(1);
    peer.answer("200 OK", b"").await;
    soon(second).await.unwrap();
    peer.answer("200 OK", b"").await;
    assert_eq!(soon(third).await.unwrap().status(), 200);
    let (header, ..) = soon(peer.frame()).await.unwrap();
    assert_eq!(header.kind, Kind::Stop);
}

#[tokio::test]
async fn nothing_is_sent_behind_an_answer_that_has_begun() {
    let bench = bench(1);
    let mut peer = bench.worker(1);
    let first = bench.spawn(get("/1"));
    peer.request().await;
    peer.say(Kind::Start, 0, 0, PLAIN.as_bytes(), b"a").await;
    let mut body = soon(first).await.unwrap().into_body();
    let second = bench.spawn(get("/2"));
    bench.waiting(1).await;
    // Whoever reads the answer goes by the line, and leaves it alone.
    peer.say(Kind::Chunk, 0, 0, b"", b"b").await;
    let mut read = Vec::new();
    while read.len() < 2 {
        let frame = soon(body.frame()).await.unwrap().unwrap();
        read.extend_from_slice(&frame.into_data().unwrap());
    }
    let mut other = bench.worker(2);
    assert_eq!(other.request().await.environ["PATH_INFO"], "/2");
    other.answer("200 OK", b"").await;
    assert_eq!(soon(second).await.unwrap().status(), 200);
}

/// A slot of worker 1 that is at `/1`, with those up to `last` behind it, which it has read; and who waits for them.
async fn busy(
    bench: &Bench,
    last: u32,
) -> (
    Peer,
    Vec<tokio::task::JoinHandle<http::Response<crate::Body>>>,
) {
    let mut peer = bench.worker(1);
    let zeroth = bench.spawn(get("/0"));
    peer.request().await;
    let mut asking = Vec::new();
    for number in 1..=last {
        asking.push(bench.spawn(get(&format!("/{number}"))));
        bench.waiting(asking.len()).await;
    }
    peer.answer("200 OK", b"").await;
    soon(zeroth).await.unwrap();
    for number in 1..=last {
        assert_eq!(
            peer.request().await.environ["PATH_INFO"],
            format!("/{number}")
        );
    }
    (peer, asking)
}

#[tokio::test]
async fn a_worker_that_retires_is_sent_nothing_more() {
    let bench = bench(1);
    let (mut peer, mut asking) = busy(&bench, 2).await;
    let last = bench.spawn(get("/3"));
    bench.waiting(2).await;
    bench.dispatch.retire(1);
    peer.answer("200 OK", b"").await;
    soon(asking.remove(0)).await.unwrap();
    peer.answer("200 OK", b"").await;
    soon(asking.remove(0)).await.unwrap();
    let (header, ..) = peer.frame().await.unwrap();
    assert_eq!(header.kind, Kind::Stop);
    let mut other = bench.worker(2);
    assert_eq!(other.request().await.environ["PATH_INFO"], "/3");
    other.answer("200 OK", b"").await;
    soon(last).await.unwrap();
}

#[tokio::test]
async fn each_has_its_own_file_wherever_a_read_ends() {
    let file = |content: &str| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        file
    };
    let (second, third) = (file("/2"), file("/3"));
    // So that what is read at once ends in the midst of the second answer, at each of its bytes.
    let length = 12 + "200 OK".len() + 16;
    let cuts = (0..=length).map(|cut| (cut, String::new()));
    // And with heads that are longer than what is read at once.
    for (cut, padding) in cuts.chain([(0, format!("\nX\n{}", "x".repeat(40_000)))]) {
        let bench = bench(2);
        let (mut peer, asking) = busy(&bench, 3).await;
        let room = (32 << 10) - 12 - "200 OK".len() - cut;
        peer.answer("200 OK", &vec![b'1'; room]).await;
        let head = format!("200 OK{padding}");
        peer.pass(&head, &second, 0, 2).await;
        peer.pass(&head, &third, 0, 2).await;
        let mut bodies = Vec::new();
        for asking in asking {
            bodies.push(bytes(soon(asking).await.unwrap()).await);
        }
        assert_eq!(bodies[0].len(), room, "{cut}");
        assert_eq!(bodies[1..], ["/2", "/3"], "{cut}");
        bench.idle(1).await;
    }
}

#[tokio::test]
async fn nothing_is_sent_behind_an_answer_whose_beginning_came_with_the_last_one() {
    let bench = bench(1);
    let (mut peer, mut asking) = busy(&bench, 2).await;
    let last = bench.spawn(get("/3"));
    bench.waiting(2).await;
    let mut said = answer("one");
    said.extend(frame_of(Kind::Start, 0, 0, PLAIN.as_bytes(), b"and so on"));
    peer.write(&said).await;
    soon(asking.remove(0)).await.unwrap();
    let goes_on = soon(asking.remove(0)).await.unwrap();
    assert_eq!(goes_on.status(), 200);
    let mut other = bench.worker(2);
    assert_eq!(other.request().await.environ["PATH_INFO"], "/3");
    other.answer("200 OK", b"").await;
    soon(last).await.unwrap();
}

#[tokio::test]
async fn an_answer_counts_though_the_worker_reads_no_more() {
    let bench = bench(1);
    let (mut peer, mut asking) = busy(&bench, 2).await;
    let last = bench.spawn(get("/3"));
    bench.waiting(2).await;
    // As if it had died when it had answered: what is sent to it now does not go.
    rustix::net::shutdown(&peer.stream, rustix::net::Shutdown::Read).unwrap();
    peer.write(&answer("one")).await;
    soon(asking.remove(0)).await.unwrap();
    // The third is sent, in vain, before this comes.
    bench.waiting(1).await;
    peer.write(&answer("two")).await;
    let second = soon(asking.remove(0)).await.unwrap();
    assert_eq!(bytes(second).await, "two");
    drop(peer);
    let mut other = bench.worker(2);
    assert_eq!(other.request().await.environ["PATH_INFO"], "/3");
    other.answer("200 OK", b"").await;
    assert_eq!(soon(last).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_worker_that_goes_on_is_busy_all_the_while() {
    let bench = bench(1);
    let mut peer = bench.worker(1);
    let zeroth = bench.spawn(get("/0"));
    peer.request().await;
    let first = bench.spawn(get("/1"));
    bench.waiting(1).await;
    let mut second = pin!(bench.container.clone().oneshot(get("/2")));
    assert!(futures_util::poll!(second.as_mut()).is_pending());
    peer.answer("200 OK", b"").await;
    soon(zeroth).await.unwrap();
    peer.request().await;
    peer.request().await;
    peer.answer("200 OK", b"").await;
    soon(first).await.unwrap();
    // Whose turn it is has not looked; the worker is at his request.
    assert_eq!((peer.worker.busy(), peer.worker.requests()), (1, 2));
    peer.answer("200 OK", b"").await;
    assert_eq!(soon(second).await.unwrap().status(), 200);
    bench.idle(1).await;
    assert_eq!((peer.worker.busy(), peer.worker.requests()), (0, 3));
}

#[tokio::test]
async fn who_was_sent_ahead_has_the_time_of_the_queue_and_then_his_own() {
    let bench = Bench::with(|config| {
        config.prefetch = 1;
        config.timeout = Duration::from_secs(1);
        config.queue_timeout = Duration::from_secs(60);
    });
    let (mut peer, mut asking) = busy(&bench, 2).await;
    // The worker hangs in the first.
    let first = soon(asking.remove(0)).await.unwrap();
    assert_eq!(error(&first).kind(), ErrorKind::UpstreamTimeout);
    peer.closed().await;
    let mut other = bench.worker(2);
    assert_eq!(other.request().await.environ["PATH_INFO"], "/2");
    let second = soon(asking.remove(0)).await.unwrap();
    assert_eq!(error(&second).kind(), ErrorKind::UpstreamTimeout);

    let bench = Bench::with(|config| {
        config.prefetch = 2;
        config.queue_timeout = Duration::from_secs(1);
    });
    let (mut peer, mut asking) = busy(&bench, 2).await;
    let second = soon(asking.remove(1)).await.unwrap();
    assert_eq!(error(&second).kind(), ErrorKind::QueueTimeout);
    peer.answer("200 OK", b"").await;
    assert_eq!(soon(asking.remove(0)).await.unwrap().status(), 200);
    peer.closed().await;
    assert_eq!(bench.dispatch.load().waiting, 0);
}

#[tokio::test]
async fn who_was_sent_ahead_is_answered_while_all_else_is_refused() {
    let bench = bench(2);
    let (mut peer, asking) = busy(&bench, 3).await;
    bench.dispatch.close(ErrorKind::Draining);
    let mut asking = asking.into_iter();
    for _ in 0..2 {
        peer.answer("200 OK", b"").await;
        assert_eq!(soon(asking.next().unwrap()).await.unwrap().status(), 200);
    }
    // But nobody else is asked for him.
    let _other = bench.worker(2);
    drop(peer);
    let third = soon(asking.next().unwrap()).await.unwrap();
    assert_eq!(error(&third).kind(), ErrorKind::UpstreamReset);

    let bench = self::bench(2);
    let (peer, asking) = busy(&bench, 2).await;
    bench.dispatch.close(ErrorKind::Draining);
    drop(peer);
    let mut kinds = Vec::new();
    for asking in asking {
        kinds.push(error(&soon(asking).await.unwrap()).kind());
    }
    assert_eq!(kinds, [ErrorKind::UpstreamReset, ErrorKind::Draining]);
}

#[tokio::test]
async fn what_was_sent_ahead_and_not_seen_is_for_another() {
    let bench = bench(1);
    let mut peer = bench.worker(1);
    let zeroth = bench.spawn(get("/0"));
    peer.request().await;
    let asking = [bench.spawn(get("/1")), bench.spawn(get("/2"))];
    bench.waiting(2).await;
    peer.answer("200 OK", b"").await;
    soon(zeroth).await.unwrap();
    peer.request().await;
    // It has read the first; the second is in the connection when it ends.
    peer.answer("200 OK", b"").await;
    let [first, second] = asking;
    soon(first).await.unwrap();
    peer.reset().await;
    let mut other = bench.worker(2);
    assert_eq!(other.request().await.environ["PATH_INFO"], "/2");
    other.answer("200 OK", b"").await;
    assert_eq!(soon(second).await.unwrap().status(), 200);
}
