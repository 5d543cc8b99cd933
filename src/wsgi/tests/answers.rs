//! What a client gets of what a worker says, frame by frame.

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt;
use proptest::prelude::*;

use super::support::*;
use crate::{
    Body, ErrorKind,
    wsgi::frame::{
        FAILED, FREE,
        Kind::{self, Chunk, End, Exception, One, Start},
        LONG, OVER, SHORT,
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
            assert!(!peer.worker.take_timed_out(), "{what}");
            // And it hears the next one.
            let asking = bench.spawn(get("/"));
            peer.request().await;
            peer.answer("200 OK", b"next").await;
            assert_eq!(bytes(soon(asking).await.unwrap()).await, "next", "{what}");
        } else {
            peer.closed().await;
            assert!(peer.worker.gone(true).is_some(), "{what}");
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
        assert!(peer.worker.gone(true).is_some(), "{what}");
        assert_eq!(peer.worker.busy(), 0);
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
            assert!(!peer.worker.take_timed_out());
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

#[tokio::test]
async fn what_fails_with_a_piece_of_its_body_is_broken_off() {
    for (kind, flags) in [
        (Chunk, FAILED | OVER | FREE),
        (Start, FAILED | OVER | FREE),
        (Start, SHORT | OVER | FREE),
        (One, FAILED | FREE),
    ] {
        let bench = Bench::new();
        let mut peer = bench.worker(1);
        let asking = bench.spawn(get("/"));
        peer.request().await;
        if kind == Chunk {
            peer.say(Start, 0, 0, PLAIN.as_bytes(), b"").await;
            peer.say(kind, flags, 0, b"", b"piece").await;
        } else {
            peer.say(kind, flags, 0, PLAIN.as_bytes(), b"piece").await;
        }
        let response = soon(asking).await.unwrap();
        let broken = read(response).await;
        assert_eq!(
            broken,
            (b"piece".to_vec(), Some(ErrorKind::Application)),
            "{kind:?}"
        );
        bench.idle(1).await;
    }
}
