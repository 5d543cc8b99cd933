//! What is answered without a body, and what an application does behind its answer or in its place.

use std::time::Duration;

use http::Method;
use http_body::Body as _;

use super::support::*;
use crate::{
    ErrorKind,
    semantics::send_file::SendsFiles,
    wsgi::frame::{
        FREE,
        Kind::{Chunk, End, Exception, One, Start},
        OVER,
    },
};

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
        assert!(!peer.worker.take_timed_out());
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
    assert!(!peer.worker.take_timed_out());
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
        while !peer.worker.take_timed_out() {
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
        assert!(!peer.worker.take_timed_out());
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

#[tokio::test]
async fn an_answer_without_a_body_that_goes_on_lets_the_next_wait_for_its_thread() {
    for (method, status) in [(Method::HEAD, "200 OK"), (Method::GET, "204 No Content")] {
        let bench = Bench::with(|config| config.prefetch = 1);
        let mut peer = bench.worker(1);
        let zeroth = bench.spawn(get("/0"));
        peer.request().await;
        let mut first = get("/1");
        *first.method_mut() = method;
        let first = bench.spawn(first);
        bench.waiting(1).await;
        let second = bench.spawn(get("/2"));
        bench.waiting(2).await;
        peer.answer("200 OK", b"").await;
        soon(zeroth).await.unwrap();
        peer.request().await;
        peer.request().await;
        // Its client has all of it; the worker is not done.
        peer.say(Start, 0, 0, status.as_bytes(), b"").await;
        assert_eq!(bytes(soon(first).await.unwrap()).await, "");
        peer.say(Chunk, 0, 0, b"", b"what nobody wants").await;
        peer.say(End, OVER, 0, b"", b"").await;
        assert_eq!((bench.dispatch.load().waiting, peer.worker.busy()), (1, 1));
        let mut said = frame_of(End, FREE, 0, b"", b"");
        said.extend(frame_of(One, OVER | FREE, 0, PLAIN.as_bytes(), b"two"));
        peer.write(&said).await;
        assert_eq!(bytes(soon(second).await.unwrap()).await, "two");
        bench.idle(1).await;
        assert_eq!((peer.worker.requests(), peer.worker.busy()), (3, 0));
    }
}
