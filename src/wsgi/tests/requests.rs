//! What a worker is told of a request.

use std::{io::Read, net::SocketAddr};

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Version};
use http_body_util::{BodyExt, Empty, Full, StreamBody};

use super::support::*;
use crate::{
    BoxError, ErrorKind, PathPolicy, PeerAddr, body::spool::Spool, semantics::trust::Trust,
    wsgi::frame,
};

#[tokio::test]
async fn a_request_is_told_and_its_answer_passed_on() {
    let bench = Bench::new();
    let mut worker = bench.worker(1);
    let asking = bench.spawn(get("/caf%C3%A9?a=b"));
    let heard = worker.request().await;
    assert_eq!((heard.flags, heard.body.len()), (frame::INLINE, 0));
    for (name, value) in [
        ("REQUEST_METHOD", "GET"),
        ("PATH_INFO", "/caf\u{c3}\u{a9}"),
        ("SCRIPT_NAME", ""),
        ("QUERY_STRING", "a=b"),
        ("wsgi.url_scheme", "http"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_NAME", "example.org"),
        ("SERVER_PORT", "80"),
        ("REMOTE_ADDR", ""),
        ("HTTP_HOST", "example.org"),
    ] {
        assert_eq!(heard.environ[name], value, "{name}");
    }
    assert!(!heard.environ.contains_key("CONTENT_LENGTH"));
    assert_eq!((worker.worker.busy(), bench.dispatch.load().busy), (1, 1));

    worker.answer(PLAIN, b"hello").await;
    let response = soon(asking).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/plain");
    assert_eq!(response.headers().len(), 1);
    assert_eq!(bytes(response).await, "hello");
    assert_eq!((worker.worker.busy(), worker.worker.requests()), (0, 1));
    assert_eq!(bench.dispatch.load().idle, 1);
    assert!(!worker.worker.take_timed_out());
}

#[tokio::test]
async fn names_are_told_once() {
    let bench = Bench::new();
    let mut worker = bench.worker(1);
    for (path, agent, sets) in [
        ("/a", None, 1),
        ("/b?c", None, 1),
        ("/", Some("me"), 2),
        ("/c", None, 2),
    ] {
        let mut request = get(path);
        if let Some(agent) = agent {
            request
                .headers_mut()
                .insert("user-agent", agent.parse().unwrap());
        }
        let asking = bench.spawn(request);
        let heard = worker.request().await;
        assert_eq!(
            heard.environ.get("HTTP_USER_AGENT").map(String::as_str),
            agent
        );
        assert_eq!(heard.environ["REQUEST_URI"], path);
        assert_eq!(worker.sets, sets);
        worker.answer("204 No Content", b"").await;
        assert_eq!(soon(asking).await.unwrap().status(), 204);
    }
}

#[tokio::test]
async fn a_short_body_comes_with_the_request() {
    let bench = Bench::new();
    let mut worker = bench.worker(1);
    for length in [1, 5000, 8 << 10, (8 << 10) + 1, 64 << 10] {
        let body: Vec<u8> = (0..length).map(|at| at as u8).collect();
        let asking = bench.spawn(post(body.clone()));
        let heard = worker.request().await;
        assert_eq!(heard.flags, frame::INLINE);
        assert_eq!(heard.environ["CONTENT_LENGTH"], length.to_string());
        assert!(heard.body == body);
        worker.answer(PLAIN, b"").await;
        assert_eq!(soon(asking).await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_body_without_a_length_is_told_with_one() {
    let bench = Bench::new();
    let mut worker = bench.worker(1);
    let pieces = [Ok::<_, BoxError>("one "), Ok("two")]
        .map(|piece| piece.map(|piece| http_body::Frame::data(Bytes::from(piece))));
    let mut request = Request::post("/")
        .header("host", "a")
        .header("transfer-encoding", "chunked")
        .body(StreamBody::new(stream::iter(pieces)))
        .unwrap();
    *request.version_mut() = Version::HTTP_11;
    let asking = bench.spawn(request);
    let heard = worker.request().await;
    assert_eq!(heard.environ["CONTENT_LENGTH"], "7");
    assert!(!heard.environ.contains_key("HTTP_TRANSFER_ENCODING"));
    assert_eq!(heard.body, b"one two");
    worker.answer(PLAIN, b"").await;
    soon(asking).await.unwrap();
}

#[tokio::test]
async fn no_body_is_of_length_zero_where_one_is_expected() {
    let bench = Bench::new();
    let mut worker = bench.worker(1);
    for (method, said, told) in [
        (Method::GET, None, None),
        (Method::GET, Some("0"), Some("0")),
        (Method::DELETE, None, None),
        (Method::POST, None, Some("0")),
        (Method::PATCH, Some("0"), Some("0")),
    ] {
        let mut request = get("/");
        *request.method_mut() = method.clone();
        if let Some(said) = said {
            request
                .headers_mut()
                .insert("content-length", said.parse().unwrap());
        }
        let asking = bench.spawn(request);
        let heard = worker.request().await;
        let length = heard.environ.get("CONTENT_LENGTH").map(String::as_str);
        assert_eq!(length, told, "{method}");
        worker.answer("204 No Content", b"").await;
        soon(asking).await.unwrap();
    }
}

#[tokio::test]
async fn a_long_body_is_in_a_file_that_the_worker_is_handed() {
    let bench = Bench::new();
    let mut worker = bench.worker(1);
    let body: Vec<u8> = (0..300_000).map(|at| (at / 7) as u8).collect();
    let asking = bench.spawn(post(body.clone()));
    let heard = worker.request().await;
    assert_eq!(heard.flags, frame::AWAY);
    assert_eq!(heard.environ["CONTENT_LENGTH"], "300000");
    let (mut file, length) = worker.file().await;
    assert_eq!(length, 300_000);
    let mut read = Vec::new();
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut read).unwrap();
    assert!(read == body);
    worker.answer(PLAIN, b"thanks").await;
    assert_eq!(bytes(soon(asking).await.unwrap()).await, "thanks");
    bench.idle(1).await;
}

#[tokio::test]
async fn a_body_that_is_not_asked_for_is_not_sent() {
    let bench = Bench::new();
    let mut worker = bench.worker(1);
    let asking = bench.spawn(post(vec![1; 300_000]));
    assert_eq!(worker.request().await.flags, frame::AWAY);
    worker.answer(PLAIN, b"no, thanks").await;
    assert_eq!(bytes(soon(asking).await.unwrap()).await, "no, thanks");
    // The next one is not taken for it.
    let asking = bench.spawn(get("/"));
    assert_eq!(worker.request().await.flags, frame::INLINE);
    worker.answer(PLAIN, b"").await;
    soon(asking).await.unwrap();
}

#[tokio::test]
async fn much_in_memory_is_asked_for_piece_by_piece() {
    let bench = Bench::with(|config| config.spool = Spool::new().memory(4 << 20));
    let mut worker = bench.worker(1);
    let body: Vec<u8> = (0..3 << 20).map(|at| (at / 251) as u8).collect();
    let asking = bench.spawn(post(body.clone()));
    assert_eq!(worker.request().await.flags, frame::AWAY);
    let mut read = Vec::new();
    for wanted in [1, 2, 65_535].into_iter().chain(std::iter::repeat(50_000)) {
        let piece = worker.read(wanted).await;
        if piece.is_empty() {
            break;
        }
        assert!(piece.len() == usize::from(wanted) || read.len() + piece.len() == body.len());
        read.extend_from_slice(&piece);
    }
    assert!(read == body);
    // The end is said as often as it is asked for.
    assert_eq!(worker.read(7).await, b"");
    worker.answer(PLAIN, b"").await;
    soon(asking).await.unwrap();
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_before_a_worker_is_asked() {
    let bench = Bench::with(|config| config.spool = Spool::new().limit(10));
    let worker = bench.worker(1);
    let response = bench.send(post(vec![0; 11])).await;
    assert_eq!(response.status(), 413);
    assert_eq!(worker.worker.requests(), 0);
}

#[tokio::test]
async fn what_is_no_request_for_an_application_is_refused() {
    let bench = Bench::new();
    let worker = bench.worker(1);
    let refused = async |change: &dyn Fn(&mut Request<Empty<Bytes>>)| {
        let mut request = get("/");
        change(&mut request);
        let response = bench.send(request).await;
        (response.status().as_u16(), error(&response).kind())
    };
    let is =
        |method: Method| move |request: &mut Request<_>| *request.method_mut() = method.clone();
    let has = |name: &'static str, value: &'static str| {
        move |request: &mut Request<_>| {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
    };
    assert_eq!(
        refused(&is(Method::CONNECT)).await,
        (501, ErrorKind::UnsupportedMethod)
    );
    assert_eq!(
        refused(&is(Method::TRACE)).await,
        (405, ErrorKind::MethodNotAllowed)
    );
    assert_eq!(
        refused(&has("transfer-encoding", "gzip, chunked")).await,
        (501, ErrorKind::UnknownTransferCoding)
    );
    assert_eq!(
        refused(&has("host", "a b")).await,
        (400, ErrorKind::BadRequest)
    );
    assert_eq!(
        refused(&has("connection", "cookie")).await,
        (400, ErrorKind::BadRequest)
    );
    let without_host = |request: &mut Request<_>| {
        request.headers_mut().remove("host");
    };
    assert_eq!(refused(&without_host).await, (400, ErrorKind::BadRequest));
    let nul = |request: &mut Request<_>| *request.uri_mut() = "/a%00b".parse().unwrap();
    assert_eq!(refused(&nul).await, (400, ErrorKind::BadPath));
    let asterisk = |request: &mut Request<_>| *request.uri_mut() = "*".parse().unwrap();
    assert_eq!(refused(&asterisk).await, (400, ErrorKind::BadRequest));

    let mut request = get("/");
    *request.method_mut() = Method::TRACE;
    let response = bench.send(request).await;
    assert!(
        response.headers()["allow"]
            .to_str()
            .unwrap()
            .contains("OPTIONS")
    );
    assert_eq!(worker.worker.requests(), 0);
}

#[tokio::test]
async fn what_a_client_says_of_itself_is_believed_of_trusted_peers_only() {
    let peer: SocketAddr = "192.0.2.7:50000".parse().unwrap();
    for trusted in [false, true] {
        let bench = Bench::with(|config| {
            let trust = Trust::nobody();
            config.introduction.trust = match trusted {
                true => trust.network("192.0.2.0/24").unwrap(),
                false => trust,
            };
            config.server_name = Some("named.test".to_owned());
            config.server_port = Some(8443);
        });
        let mut worker = bench.worker(1);
        let mut request = get("/a");
        for (name, value) in [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop.example"),
            ("x-forwarded-prefix", "/shop"),
            ("remote_addr", "127.0.0.1"),
            ("proxy", "evil.test"),
        ] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        request.extensions_mut().insert(PeerAddr::Tcp(peer));
        let asking = bench.spawn(request);
        let environ = worker.request().await.environ;
        let get = |name: &str| environ.get(name).map(String::as_str);
        assert_eq!(get("SERVER_NAME"), Some("named.test"));
        assert_eq!(get("SERVER_PORT"), Some("8443"));
        assert_eq!(get("HTTP_REMOTE_ADDR"), None);
        assert_eq!(get("HTTP_PROXY"), None);
        if trusted {
            assert_eq!(get("REMOTE_ADDR"), Some("203.0.113.9"));
            assert_eq!(get("REMOTE_PORT"), None);
            assert_eq!(get("wsgi.url_scheme"), Some("https"));
            assert_eq!(get("HTTPS"), Some("on"));
            assert_eq!(get("HTTP_HOST"), Some("shop.example"));
            assert_eq!(get("SCRIPT_NAME"), Some("/shop"));
        } else {
            assert_eq!(get("REMOTE_ADDR"), Some("192.0.2.7"));
            assert_eq!(get("REMOTE_PORT"), Some("50000"));
            assert_eq!(get("wsgi.url_scheme"), Some("http"));
            assert_eq!(get("HTTPS"), None);
            assert_eq!(get("HTTP_HOST"), Some("example.org"));
            assert_eq!(get("SCRIPT_NAME"), Some(""));
            assert!(
                !environ.keys().any(|name| name.contains("FORWARDED")),
                "{environ:?}"
            );
        }
        worker.answer(PLAIN, b"").await;
        soon(asking).await.unwrap();
    }
}

#[tokio::test]
async fn a_path_is_told_as_it_was_read() {
    let bench = Bench::with(|config| config.paths = PathPolicy::new());
    let mut worker = bench.worker(1);
    for (asked, told) in [("/a/../b//c", "/b/c"), ("/%61/./b", "/a/b")] {
        let asking = bench.spawn(get(asked));
        assert_eq!(worker.request().await.environ["PATH_INFO"], told);
        worker.answer(PLAIN, b"").await;
        soon(asking).await.unwrap();
    }
}

#[tokio::test]
async fn a_full_body_may_be_of_any_type() {
    let bench = Bench::new();
    let mut worker = bench.worker(1);
    let request = Request::put("/")
        .header("host", "a")
        .body(Full::new(Bytes::from("x")).boxed())
        .unwrap();
    let asking = bench.spawn(request);
    assert_eq!(worker.request().await.body, b"x");
    worker.answer(PLAIN, b"").await;
    soon(asking).await.unwrap();
}

#[tokio::test]
async fn a_body_for_which_there_is_no_place_is_no_fault_of_its_client() {
    let bench = Bench::with(|config| {
        config.spool = Spool::new().memory(4).directory("/no/such/directory");
    });
    let mut worker = bench.worker(1);
    let response = bench.send(post("longer than memory")).await;
    assert_eq!(response.status(), 500);
    assert_eq!(error(&response).kind(), ErrorKind::Io);
    // What needs none goes on.
    let asking = bench.spawn(post("tiny"));
    assert_eq!(worker.request().await.body, b"tiny");
    worker.answer(PLAIN, b"").await;
    assert_eq!(soon(asking).await.unwrap().status(), 200);
}
