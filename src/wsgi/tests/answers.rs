//! What a client gets of what a worker says.

use std::{
    io::{Seek, SeekFrom, Write},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use proptest::prelude::*;

use super::support::*;
use crate::{
    Body, ErrorKind,
    body::buffer::Buffering,
    semantics::send_file::SendsFiles,
    wsgi::{
        frame::Kind::{self, Chunk, End, Exception, One, Start},
        frame::{FAILED, FREE, LONG, OVER, SHORT},
        worker,
    },
};

/// Frames as they are written, one after the other.
fn frames(frames: &[(Kind, u8, &[u8], &[u8])]) -> Vec<u8> {
    let frames = frames.iter();
    frames
        .flat_map(|(kind, flags, first, second)| frame_of(*kind, *flags, 0, first, second))
        .collect()
}

/// What a client gets of a body: what came of it, and the error that ended it, if one did.
async fn read(response: Response<Body>) -> (Vec<u8>, Option<ErrorKind>) {
    let mut body = response.into_body();
    let mut read = Vec::new();
    while let Some(frame) = soon(body.frame()).await {
        match frame {
            Ok(frame) => read.extend_from_slice(&frame.into_data().unwrap()),
            Err(error) => {
                let error = error.downcast::<crate::Error>().unwrap();
                return (read, Some(error.kind()));
            }
        }
    }
    (read, None)
}

#[tokio::test]
async fn a_body_is_passed_on_however_it_comes() {
    let length = b"200 OK\nContent-Length\n5";
    let plain = b"200 OK";
    let end = OVER | FREE;
    // What is said; what the client gets; whether the slot is of use afterwards.
    let table: &[(Vec<u8>, (&str, Option<ErrorKind>), bool)] = &[
        (
            frames(&[(One, end, plain, b"hello")]),
            ("hello", None),
            true,
        ),
        (
            frames(&[(One, end, length, b"hello")]),
            ("hello", None),
            true,
        ),
        (frames(&[(One, end, plain, b"")]), ("", None), true),
        // It is over, whether it says so or not.
        (
            frames(&[(One, FREE, plain, b"hello")]),
            ("hello", None),
            true,
        ),
        (
            frames(&[(One, OVER, plain, b"hello"), (End, FREE, b"", b"")]),
            ("hello", None),
            true,
        ),
        (
            frames(&[
                (Start, 0, plain, b""),
                (Chunk, 0, b"", b"hel"),
                (Chunk, end, b"", b"lo"),
            ]),
            ("hello", None),
            true,
        ),
        (
            frames(&[
                (Start, 0, plain, b"hel"),
                (Chunk, 0, b"", b"lo"),
                (End, end, b"", b""),
            ]),
            ("hello", None),
            true,
        ),
        (
            frames(&[
                (Start, 0, length, b"hello"),
                (End, OVER, b"", b""),
                (End, FREE, b"", b""),
            ]),
            ("hello", None),
            true,
        ),
        // The application went wrong when the client had it all.
        (
            frames(&[(One, OVER, plain, b"hello"), (End, FREE, b"Traceback", b"")]),
            ("hello", None),
            true,
        ),
        // It is not cut by the worker.
        (
            frames(&[(One, end, length, b"hello, you")]),
            ("hello", None),
            true,
        ),
        (
            frames(&[(Start, 0, length, b"hel"), (Chunk, end, b"", b"lo, you")]),
            ("hello", None),
            true,
        ),
        (
            frames(&[
                (Start, 0, length, b"hello"),
                (Chunk, 0, b"", b"you"),
                (End, end, b"", b""),
            ]),
            ("hello", None),
            true,
        ),
        // It is, and is logged.
        (
            frames(&[(One, end | LONG, length, b"hello")]),
            ("hello", None),
            true,
        ),
        // It is too short, as it says, or as is seen.
        (
            frames(&[(One, end | SHORT, length, b"hel")]),
            ("hel", Some(ErrorKind::Application)),
            true,
        ),
        (
            frames(&[(One, end, length, b"hel")]),
            ("hel", Some(ErrorKind::Application)),
            true,
        ),
        (
            frames(&[(Start, 0, length, b"hel"), (End, end, b"", b"")]),
            ("hel", Some(ErrorKind::Application)),
            true,
        ),
        (
            frames(&[
                (Start, 0, plain, b"hel"),
                (End, end | FAILED, b"Traceback", b""),
            ]),
            ("hel", Some(ErrorKind::Application)),
            true,
        ),
        (
            frames(&[
                (Start, 0, plain, b"hel"),
                (End, FAILED | OVER, b"Traceback", b""),
                (End, FREE, b"close failed too", b""),
            ]),
            ("hel", Some(ErrorKind::Application)),
            true,
        ),
        // It is none.
        (
            frames(&[(Start, 0, plain, b"hel"), (Start, 0, plain, b"lo")]),
            ("hel", Some(ErrorKind::UpstreamProtocol)),
            false,
        ),
        (
            frames(&[(Start, 0, plain, b"hel"), (One, end, plain, b"lo")]),
            ("hel", Some(ErrorKind::UpstreamProtocol)),
            false,
        ),
        (
            frames(&[(Start, 0, plain, b"hel"), (Exception, end, b"what", b"")]),
            ("hel", Some(ErrorKind::UpstreamProtocol)),
            false,
        ),
        (
            frames(&[(Start, 0, plain, b"hel"), (Chunk, 0, b"", b"")]),
            ("hel", Some(ErrorKind::UpstreamProtocol)),
            false,
        ),
        (
            frames(&[(Start, 0, plain, b"hel"), (Chunk, 0, b"x", b"lo")]),
            ("hel", Some(ErrorKind::UpstreamProtocol)),
            false,
        ),
        (
            frames(&[(Start, 0, plain, b"hel"), (End, end, b"", b"x")]),
            ("hel", Some(ErrorKind::UpstreamProtocol)),
            false,
        ),
        // It was idle, and the body not over.
        (
            frames(&[(Start, FREE, plain, b"hel")]),
            ("hel", Some(ErrorKind::UpstreamProtocol)),
            false,
        ),
        // There is more than what was asked for.
        (
            frames(&[(One, end, plain, b"hello"), (End, FREE, b"", b"")]),
            ("hello", None),
            false,
        ),
        (
            frames(&[(One, OVER, plain, b"hello"), (Chunk, 0, b"", b"more")]),
            ("hello", None),
            false,
        ),
    ];
    for (said, (body, error), is_kept) in table {
        let what = said.escape_ascii().to_string();
        let bench = Bench::new();
        let mut peer = bench.worker(1);
        let asking = bench.spawn(get("/"));
        peer.request().await;
        peer.write(said).await;
        let response = soon(asking).await.unwrap();
        assert_eq!(response.status(), 200, "{what}");
        let (read, ended) = read(response).await;
        assert_eq!(
            (read.as_slice(), ended),
            (body.as_bytes(), *error),
            "{what}"
        );
        if *is_kept {
            bench.idle(1).await;
            assert_eq!(peer.worker.take_wants(), 0, "{what}");
            // And it hears the next one.
            let asking = bench.spawn(get("/"));
            peer.request().await;
            peer.answer("200 OK", b"next").await;
            assert_eq!(bytes(soon(asking).await.unwrap()).await, "next", "{what}");
        } else {
            peer.closed().await;
            assert_eq!(peer.worker.take_wants(), worker::LOST_SLOT, "{what}");
            assert_eq!(bench.dispatch.load().idle, 0, "{what}");
        }
        assert_eq!(peer.worker.busy(), 0, "{what}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_a_bad_gateway() {
    let table: &[&[u8]] = &[
        b"?\0\0\0\0\0\0\0\0\0\0\0",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"O\0\0\0\x01\0\0\x01\0\0\0\0",
        b"O\0\0\0\0\0\0\0\x01\0\0\x01",
        &frames(&[(One, FREE, b"", b"hello")]),
        &frames(&[(One, FREE, b"OK", b"hello")]),
        &frames(&[(One, FREE, b"100 Continue", b"hello")]),
        &frames(&[(One, FREE, b"200 OK\nX", b"hello")]),
        &frames(&[(One, FREE, b"200 OK\nConnection\nclose", b"hello")]),
        &frames(&[(Start, 0, b"200 OK\nContent-Length\nfive", b"hello")]),
        &frames(&[(Chunk, 0, b"", b"hello")]),
        &frames(&[(End, FREE, b"", b"")]),
        &frames(&[(Kind::Hello, 0, b"{}", b"")]),
        &frames(&[(Kind::Keys, 0, b"A", b"")]),
        // There is no body to be asked for.
        &frames(&[(Kind::Read, 0, b"", b"")]),
        b"R\0\x01\0\0\0\0\0\0\0\0\0",
        b"R\0\x01\0\x01\0\0\0\0\0\0\0?",
        // A file that did not come.
        &frames(&[(Kind::Pass, FREE, b"200 OK", &[0; 16])]),
        &frames(&[(Kind::Pass, FREE, b"200 OK", &[0; 15])]),
    ];
    for said in table {
        let what = said.escape_ascii().to_string();
        let bench = Bench::new();
        let mut peer = bench.worker(1);
        let asking = bench.spawn(get("/"));
        peer.request().await;
        peer.write(said).await;
        let response = soon(asking).await.unwrap();
        let kind = error(&response).kind();
        assert_eq!(
            (response.status().as_u16(), kind),
            (502, ErrorKind::UpstreamProtocol),
            "{what}"
        );
        assert_eq!(bytes(response).await, "Bad Gateway");
        peer.closed().await;
        assert_eq!(peer.worker.take_wants(), worker::LOST_SLOT, "{what}");
        assert_eq!(peer.worker.busy(), 0);
    }
}

#[tokio::test]
async fn an_answer_without_a_body_has_none_and_its_client_does_not_wait() {
    for (method, head) in [
        (Method::HEAD, "200 OK\nContent-Length\n1000"),
        (Method::GET, "304 Not Modified\nContent-Length\n1000"),
        (Method::GET, "204 No Content"),
    ] {
        let bench = Bench::new();
        let mut peer = bench.worker(1);
        for is_whole in [true, false] {
            let mut request = get("/");
            *request.method_mut() = method.clone();
            let asking = bench.spawn(request);
            peer.request().await;
            let kind = if is_whole { One } else { Start };
            peer.say(kind, 0, 0, head.as_bytes(), b"").await;
            let response = soon(asking).await.unwrap();
            assert!(response.body().is_end_stream());
            assert_eq!(response.headers().len(), head.lines().count() / 2);
            assert_eq!(bytes(response).await, "");
            // It works on that request still.
            assert_eq!((peer.worker.busy(), bench.dispatch.load().idle), (1, 0));
            peer.say(End, OVER | FREE, 0, b"", b"").await;
            bench.idle(1).await;
            assert_eq!(peer.worker.busy(), 0);
        }
        assert_eq!(peer.worker.take_wants(), 0);
    }
}

#[tokio::test]
async fn nobody_waits_for_what_an_application_does_after_its_answer() {
    let bench = Bench::new();
    let mut peer = bench.worker(1);
    for head in ["200 OK", "200 OK\nContent-Length\n5"] {
        for is_whole in [true, false] {
            let asking = bench.spawn(get("/"));
            peer.request().await;
            if is_whole {
                peer.say(One, OVER, 0, head.as_bytes(), b"hello").await;
            } else {
                peer.say(Start, 0, 0, head.as_bytes(), b"hello").await;
                peer.say(End, OVER, 0, b"", b"").await;
            }
            assert_eq!(bytes(soon(asking).await.unwrap()).await, "hello");
            assert_eq!(bench.dispatch.load().idle, 0);
            // The next one waits for the worker.
            let asking = bench.spawn(get("/next"));
            bench.waiting(1).await;
            peer.say(End, FREE, 0, b"", b"").await;
            assert_eq!(peer.request().await.environ["PATH_INFO"], "/next");
            peer.answer("204 No Content", b"").await;
            soon(asking).await.unwrap();
        }
    }
    assert_eq!(peer.worker.take_wants(), 0);
}

#[tokio::test]
async fn an_application_that_never_comes_to_an_end_is_a_request_that_takes_too_long() {
    let bench = Bench::with(|config| config.timeout = Duration::from_millis(50));
    let mut peer = bench.worker(1);
    let asking = bench.spawn(get("/"));
    peer.request().await;
    peer.say(One, OVER, 0, b"200 OK", b"hello").await;
    assert_eq!(bytes(soon(asking).await.unwrap()).await, "hello");
    peer.closed().await;
    soon(async {
        while peer.worker.take_wants() & worker::TIMED_OUT == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(peer.worker.busy(), 0);
}

#[tokio::test]
async fn an_exception_is_told_to_the_operator_and_not_to_the_client() {
    for shows in [false, true] {
        let bench = Bench::with(|config| config.shows_tracebacks = shows);
        let mut peer = bench.worker(1);
        let asking = bench.spawn(get("/"));
        peer.request().await;
        peer.say(Exception, FREE, 0, b"ValueError: <secret>", b"")
            .await;
        let response = soon(asking).await.unwrap();
        assert_eq!(response.status(), 500);
        let error = error(&response);
        assert_eq!(error.kind(), ErrorKind::Application);
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), "ValueError: <secret>");
        let media_type = response.headers()["content-type"].clone();
        assert_eq!(response.headers()["cache-control"], "no-store");
        let body = bytes(response).await;
        if shows {
            assert_eq!(media_type, "text/html; charset=utf-8");
            let page = std::str::from_utf8(&body).unwrap();
            assert!(page.contains("ValueError: &lt;secret&gt;"), "{page}");
        } else {
            assert_eq!(media_type, "text/plain; charset=utf-8");
            assert_eq!(body, "Internal Server Error");
        }
        bench.idle(1).await;
        assert_eq!(peer.worker.take_wants(), 0);
    }
}

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
    assert_eq!(peer.worker.take_wants(), worker::LOST_SLOT);
}

#[tokio::test]
async fn a_large_answer_is_the_same_however_it_is_framed() {
    let body: Vec<u8> = (0..5_000_000).map(|at| (at / 253) as u8).collect();
    let bench = Bench::new();
    let mut peer = bench.worker(1);
    for size in [
        5_000_000,
        1 << 20,
        200_000,
        131_072,
        131_073,
        33_000,
        32_000,
    ] {
        let asking = bench.spawn(get("/"));
        peer.request().await;
        let body_to_write = body.clone();
        let length = format!("200 OK\nContent-Length\n{}", body.len());
        let writing = tokio::spawn(async move {
            let mut pieces = body_to_write.chunks(size);
            if size == body_to_write.len() {
                peer.answer("200 OK", &body_to_write).await;
            } else {
                let first = pieces.next().unwrap();
                peer.say(Start, 0, 0, length.as_bytes(), first).await;
                for piece in pieces {
                    peer.say(Chunk, 0, 0, b"", piece).await;
                }
                peer.say(End, OVER | FREE, 0, b"", b"").await;
            }
            peer
        });
        let response = soon(asking).await.unwrap();
        assert!(bytes(response).await == body, "{size}");
        peer = soon(writing).await.unwrap();
        bench.idle(1).await;
    }
    assert_eq!(peer.worker.take_wants(), 0);
}

#[tokio::test]
async fn a_slow_client_does_not_hold_a_worker() {
    let bench = Bench::new();
    let mut peer = bench.worker(1);
    let asking = bench.spawn(get("/"));
    peer.request().await;
    let body = vec![7; 4 << 20];
    let to_write = body.clone();
    let writing = tokio::spawn(async move {
        peer.answer("200 OK", &to_write).await;
        peer
    });
    let mut response = soon(asking).await.unwrap().into_body();
    let first = soon(response.frame())
        .await
        .unwrap()
        .unwrap()
        .into_data()
        .unwrap();
    // The client takes no more, and the worker is done with it.
    let mut peer = soon(writing).await.unwrap();
    bench.idle(1).await;
    let other = bench.spawn(get("/other"));
    peer.request().await;
    peer.answer("200 OK", b"").await;
    soon(other).await.unwrap();
    let rest = soon(response.collect()).await.unwrap().to_bytes();
    assert!([&first[..], &rest[..]].concat() == body);
}

#[tokio::test]
async fn a_client_that_goes_away_is_told_by_the_end_of_the_connection() {
    let bench = Bench::with(|config| config.buffering = Buffering::off());
    let mut peer = bench.worker(1);
    let asking = bench.spawn(get("/"));
    peer.request().await;
    peer.say(Start, 0, 0, b"200 OK", b"and so on").await;
    let response = soon(asking).await.unwrap();
    assert_eq!(peer.worker.busy(), 1);
    drop(response);
    peer.closed().await;
    assert_eq!((peer.worker.busy(), peer.worker.take_wants()), (0, 0));
    assert_eq!(bench.dispatch.load().idle, 0);
}

#[tokio::test]
async fn a_client_that_has_all_there_is_may_go_without_ending_the_connection() {
    let bench = Bench::with(|config| config.buffering = Buffering::off());
    let mut peer = bench.worker(1);
    let asking = bench.spawn(get("/"));
    peer.request().await;
    peer.say(Start, 0, 0, b"200 OK\nContent-Length\n5", b"hello")
        .await;
    let mut body = soon(asking).await.unwrap().into_body();
    let piece = soon(body.frame()).await.unwrap().unwrap();
    assert_eq!(piece.into_data().unwrap(), "hello");
    assert!(body.is_end_stream());
    drop(body);
    peer.say(End, OVER | FREE, 0, b"", b"").await;
    bench.idle(1).await;
    assert_eq!(peer.worker.take_wants(), 0);
}

#[tokio::test]
async fn an_event_is_passed_on_when_it_comes() {
    let bench = Bench::new();
    let mut peer = bench.worker(1);
    let asking = bench.spawn(get("/"));
    peer.request().await;
    let head = b"200 OK\nContent-Type\ntext/event-stream";
    peer.say(Start, 0, 0, head, b"data: 1\n\n").await;
    let mut body = soon(asking).await.unwrap().into_body();
    for number in 1..4 {
        let event = soon(body.frame()).await.unwrap().unwrap();
        assert_eq!(event.into_data().unwrap(), format!("data: {number}\n\n"));
        let next = format!("data: {}\n\n", number + 1);
        peer.say(Chunk, 0, 0, b"", next.as_bytes()).await;
    }
}

#[tokio::test]
async fn what_is_for_a_gateway_is_not_for_the_client() {
    for sends in [None, Some(SendsFiles::new().accel_redirect())] {
        let bench = Bench::new();
        let mut peer = bench.worker(1);
        let mut request = get("/");
        if let Some(sends) = sends {
            request.extensions_mut().insert(sends);
        }
        let asking = bench.spawn(request);
        peer.request().await;
        let head = "200 OK\nX-Accel-Redirect\n/a\nX-Sendfile\n/b\nX-Accel-Buffering\nno\nX-Accel-Expires\n1";
        peer.answer(head, b"").await;
        let headers = soon(asking).await.unwrap().into_parts().0.headers;
        assert_eq!(headers.contains_key("x-accel-redirect"), sends.is_some());
        assert_eq!(headers.len(), usize::from(sends.is_some()));
    }
}

proptest! {
    /// Bytes know nothing of how they were written.
    #[test]
    fn an_answer_is_the_same_however_its_bytes_come(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3000), 1..6),
        cuts in prop::collection::vec(1_usize..2000, 0..20),
        is_one in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let body = pieces.concat();
        let end = OVER | FREE;
        let said = if is_one {
            frame_of(One, end, 0, b"200 OK\nX\ny", &body)
        } else {
            let mut said = frame_of(Start, 0, 0, b"200 OK\nX\ny", &pieces[0]);
            for piece in &pieces[1..] {
                said.extend(frame_of(Chunk, 0, 0, b"", piece));
            }
            said.extend(frame_of(End, end, 0, b"", b""));
            said
        };
        let got = runtime.block_on(async {
            let bench = Bench::new();
            let mut peer = bench.worker(1);
            let asking = bench.spawn(get("/"));
            peer.request().await;
            let writing = tokio::spawn(async move {
                let mut rest = &said[..];
                for cut in cuts {
                    let (piece, after) = rest.split_at(cut.min(rest.len()));
                    peer.write(piece).await;
                    tokio::task::yield_now().await;
                    rest = after;
                }
                peer.write(rest).await;
                peer
            });
            let response = soon(asking).await.unwrap();
            assert_eq!(response.headers()["x"], "y");
            let got = bytes(response).await;
            let peer = soon(writing).await.unwrap();
            bench.idle(1).await;
            assert_eq!(peer.worker.take_wants(), 0);
            got
        });
        prop_assert_eq!(got, Bytes::from(body));
    }

    /// Whatever a worker says, its client is answered, or broken off.
    #[test]
    fn no_worker_can_do_more_than_spoil_its_own_answer(
        head in prop::option::of(prop::sample::select(vec![b'O', b'S', b'C', b'E', b'X', b'P', b'R'])),
        flags in any::<u8>(),
        lengths in (0_u8..30, 0_u8..30),
        rest in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut said = Vec::new();
        if let Some(kind) = head {
            said.extend([kind, flags, 0, 0, lengths.0, 0, 0, 0, lengths.1, 0, 0, 0]);
        }
        said.extend(rest);
        runtime.block_on(async {
            let bench = Bench::new();
            let mut peer = bench.worker(1);
            let asking = bench.spawn(get("/"));
            peer.request().await;
            peer.write(&said).await;
            let worker = std::sync::Arc::clone(&peer.worker);
            drop(peer);
            let _read = read(soon(asking).await.unwrap()).await;
            soon(async {
                while worker.busy() > 0 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        });
    }
}
