//! What the upstream gets, byte for byte, and what the client gets back.

use http::{Method, Request};
use http_body_util::{BodyExt, Empty, StreamBody};
use tower_gateway::{Body, ErrorKind, GatewayProxy, gateway_proxy::HostPolicy};

use super::{call, get, kind, lines, post, text, to};
use crate::support::{
    raw::{self, exchange},
    server,
    upstream::Upstream,
};

/// A proxy on a socket in front of an upstream that echoes, and what it echoes for `request`.
async fn seen(request: &str) -> String {
    let upstream = Upstream::echo().await;
    let server = server::spawn(to(&upstream)).await;
    let answer = exchange(server.addr, request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

/// The status of a request that must not reach the upstream.
async fn refused(request: &str) -> u16 {
    let upstream = Upstream::echo().await;
    let server = server::spawn(to(&upstream)).await;
    let answer = exchange(server.addr, request).await;
    assert_eq!(upstream.counts().requests, 0, "{request}");
    answer.status
}

/// RFC 9112 §3.2.4: what is asked of the server as a whole stays so.
#[tokio::test]
async fn an_asterisk_goes_out_as_one() {
    let seen = seen("OPTIONS * HTTP/1.1\r\nHost: example.org\r\n\r\n").await;
    assert!(seen.starts_with("OPTIONS * HTTP/1.1\r\n"), "{seen}");
}

#[tokio::test]
async fn a_get_goes_out_as_it_came_in() {
    let seen = seen("GET /a/b?c=d&e HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n\r\n").await;
    assert!(seen.starts_with("GET /a/b?c=d&e HTTP/1.1\r\n"), "{seen}");
    assert_eq!(lines(&seen, "host"), ["example.org"]);
    assert_eq!(lines(&seen, "accept"), ["*/*"]);
    assert_eq!(lines(&seen, "content-length"), [""; 0]);
    assert_eq!(lines(&seen, "connection"), [""; 0]);
}

#[tokio::test]
async fn a_get_with_a_chunked_body_keeps_it() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let spooled = seen(request).await;
    assert_eq!(lines(&spooled, "content-length"), ["5"]);
    assert_eq!(lines(&spooled, "transfer-encoding"), [""; 0]);
    assert!(spooled.ends_with("\r\n\r\nabcde"), "{spooled}");

    let upstream = Upstream::echo().await;
    let server = server::spawn(to(&upstream).stream_requests()).await;
    let streamed = exchange(server.addr, request).await.text();
    assert_eq!(lines(&streamed, "transfer-encoding"), ["chunked"]);
    assert_eq!(lines(&streamed, "content-length"), [""; 0]);
    let (_, body) = streamed.split_once("\r\n\r\n").unwrap();
    assert!(
        body.contains("abc") && body.ends_with("0\r\n\r\n"),
        "{body}"
    );
}

#[tokio::test]
async fn lengths_are_written_for_every_method() {
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        let with_body = seen(&request).await;
        assert_eq!(lines(&with_body, "content-length"), ["5"], "{method}");
        assert!(with_body.ends_with("\r\n\r\nhello"), "{with_body}");
    }
    let empty = seen("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(lines(&empty, "content-length"), ["0"]);
    let none = seen("POST / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(lines(&none, "content-length"), ["0"]);
}

#[tokio::test]
async fn unknown_transfer_codings_are_refused() {
    for coding in [
        "gzip, chunked",
        "gzip",
        "identity, chunked",
        "chunked, chunked",
    ] {
        let request = Request::post("/")
            .header("host", "a")
            .header("transfer-encoding", coding)
            .body(Body::from("x"))
            .unwrap();
        let upstream = Upstream::echo().await;
        let response = call(&to(&upstream), request).await;
        assert_eq!(response.status(), 501, "{coding}");
        assert_eq!(kind(&response), Some(ErrorKind::UnknownTransferCoding));
        assert_eq!(upstream.counts().accepted, 0);
    }
    // As hyper reads it: the coding below `chunked` is left on the body.
    let status =
        refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(status.await, 501);
}

#[tokio::test]
async fn both_a_length_and_a_coding_leave_one_of_them() {
    let seen = seen(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nok\r\n0\r\n\r\n",
    )
    .await;
    assert_eq!(lines(&seen, "content-length"), ["2"]);
    assert_eq!(lines(&seen, "transfer-encoding"), [""; 0]);
}

#[tokio::test]
async fn names_that_an_application_confuses_are_dropped() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 6.6.6.6\r\nX.Forwarded.For: 6.6.6.6\r\n\
                   SCRIPT_NAME: /public\r\nProxy: http://evil.test\r\nX-Fine: 1\r\n\r\n";
    let seen = seen(request).await;
    for evil in ["6.6.6.6", "/public", "evil.test"] {
        assert!(!seen.contains(evil), "{evil}: {seen}");
    }
    assert_eq!(lines(&seen, "x-fine"), ["1"]);

    let upstream = Upstream::echo().await;
    let server = server::spawn(to(&upstream).drop_ambiguous_names(false)).await;
    let kept = exchange(server.addr, request).await.text();
    assert_eq!(lines(&kept, "script_name"), ["/public"]);
}

#[tokio::test]
async fn what_may_go_no_further_is_checked_like_what_may() {
    let upstream = Upstream::echo().await;
    for max_forwards in ["0", "nonsense", "1"] {
        for (hosts, coding, refused) in [
            (&[][..], "chunked", ErrorKind::BadRequest),
            (&["a", "a"], "chunked", ErrorKind::BadRequest),
            (&["a"], "gzip, chunked", ErrorKind::UnknownTransferCoding),
        ] {
            let mut request = Request::options("/").header("max-forwards", max_forwards);
            for host in hosts {
                request = request.header("host", *host);
            }
            let request = request.header("transfer-encoding", coding);
            let response = call(&to(&upstream), request.body(Body::empty()).unwrap()).await;
            assert_eq!(kind(&response), Some(refused), "{max_forwards} {hosts:?}");
        }
    }
    assert_eq!(upstream.counts().accepted, 0);
}

#[tokio::test]
async fn expect_is_answered_here_and_not_passed_on() {
    let seen =
        seen("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi")
            .await;
    assert_eq!(lines(&seen, "expect"), [""; 0]);
    assert!(seen.ends_with("\r\n\r\nhi"));
}

#[tokio::test]
async fn request_trailers_pass() {
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                   2\r\nok\r\n0\r\nX-Sum: 42\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
    let spooled = seen(request).await;
    assert_eq!(lines(&spooled, "trailer"), ["x-sum"]);
    assert!(spooled.ends_with("0\r\nx-sum: 42\r\n\r\n"), "{spooled}");

    let upstream = Upstream::echo().await;
    let server = server::spawn(to(&upstream).stream_requests()).await;
    let streamed = exchange(server.addr, request).await.text();
    assert!(streamed.ends_with("0\r\nx-sum: 42\r\n\r\n"), "{streamed}");
}

#[tokio::test]
async fn response_trailers_pass_to_a_client_that_wants_them() {
    let upstream = Upstream::saying(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         2\r\nok\r\n0\r\nX-Sum: 42\r\nmy_key-bin: 1\r\nSet-Cookie: a=b\r\n\r\n",
    )
    .await;
    let mut request = get("/");
    request
        .headers_mut()
        .insert("te", "trailers".parse().unwrap());
    let response = call(&to(&upstream), request).await;
    assert_eq!(response.headers()["trailer"], "X-Sum");
    assert!(!response.headers().contains_key("transfer-encoding"));
    let body = response.into_body().collect().await.unwrap();
    let trailers = body.trailers().unwrap();
    assert_eq!(
        (trailers.len(), &trailers["x-sum"]),
        (2, &"42".parse().unwrap())
    );
    assert_eq!(trailers["my_key-bin"], "1");
    assert_eq!(body.to_bytes(), "ok");
}

#[tokio::test]
async fn host_is_the_clients_the_upstreams_or_a_fixed_one() {
    let upstream = Upstream::echo().await;
    let own = upstream.addr.to_string();
    for (policy, expected) in [
        (HostPolicy::Keep, "example.org"),
        (HostPolicy::Upstream, own.as_str()),
        (
            HostPolicy::Fixed("app.test:81".parse().unwrap()),
            "app.test:81",
        ),
    ] {
        let seen = text(call(&to(&upstream).host(policy), get("/")).await).await;
        assert_eq!(lines(&seen, "host"), [expected]);
        assert_eq!(lines(&seen, "x-forwarded-host"), ["example.org"]);
    }
}

#[tokio::test]
async fn an_http_1_0_client_without_a_host_gets_the_upstreams() {
    let upstream = Upstream::echo().await;
    let server = server::spawn(to(&upstream)).await;
    let answer = exchange(server.addr, "GET / HTTP/1.0\r\n\r\n").await;
    let seen = answer.text();
    assert!(seen.starts_with("GET / HTTP/1.1\r\n"), "{seen}");
    assert_eq!(lines(&seen, "host"), [upstream.addr.to_string()]);
}

#[tokio::test]
async fn options_of_the_server_itself() {
    let seen = seen("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(seen.starts_with("OPTIONS * HTTP/1.1\r\n"), "{seen}");
}

#[tokio::test]
async fn connect_is_not_for_a_gateway() {
    let upstream = Upstream::echo().await;
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri("example.org:443")
        .header("host", "example.org:443")
        .body(Body::empty())
        .unwrap();
    let response = call(&to(&upstream), request).await;
    assert_eq!(response.status(), 501);
    assert_eq!(kind(&response), Some(ErrorKind::UnsupportedMethod));
}

#[tokio::test]
async fn an_http_2_request_becomes_an_http_1_request() {
    let upstream = Upstream::echo().await;
    let server = server::spawn(to(&upstream)).await;
    let stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let (mut client, connection) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    )
    .await
    .unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::post("http://example.org/a?b")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(Body::from("hello"))
        .unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let seen = response.into_body().collect().await.unwrap().to_bytes();
    let seen = String::from_utf8(seen.to_vec()).unwrap();
    assert!(seen.starts_with("POST /a?b HTTP/1.1\r\n"), "{seen}");
    assert_eq!(lines(&seen, "host"), ["example.org"]);
    assert_eq!(lines(&seen, "cookie"), ["a=1; b=2"]);
    assert!(seen.ends_with("\r\n\r\nhello"), "{seen}");
    connection.abort();
}

#[tokio::test]
async fn answers_come_back_as_they_are() {
    let upstream = Upstream::saying(
        "HTTP/1.1 418 Short And Stout\r\nContent-Length: 5\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
         X-Fine: yes\r\nServer: raw\r\n\r\nhello",
    )
    .await;
    let server = server::spawn(to(&upstream)).await;
    let answer = raw::get(server.addr, "/").await;
    assert_eq!(answer.status, 418);
    assert_eq!(answer.header_all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(answer.header("x-fine"), Some("yes"));
    assert_eq!(answer.header("server"), Some("raw"));
    assert_eq!(answer.header("content-length"), Some("5"));
    assert_eq!(answer.text(), "hello");
}

#[tokio::test]
async fn connection_fields_of_answers_stay_on_their_connection() {
    let upstream = Upstream::saying(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, X-Hop, Content-Length\r\n\
         Keep-Alive: timeout=5\r\nX-Hop: 1\r\nProxy-Authenticate: Basic\r\nUpgrade: foo\r\n\
         X-End: 1\r\n\r\nok",
    )
    .await;
    let response = call(&to(&upstream), get("/")).await;
    let mut names: Vec<_> = response
        .headers()
        .keys()
        .map(|name| name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "via", "x-end"]);
    assert_eq!(text(response).await, "ok");
}

#[tokio::test]
async fn answers_to_head_and_answers_without_a_body() {
    let upstream = Upstream::spawn(|mut conn| async move {
        while let Some(request) = conn.request().await {
            let status = match request.split(' ').nth(1).unwrap() {
                "/204" => "204 No Content\r\nX: y",
                "/304" => "304 Not Modified\r\nContent-Length: 5\r\nETag: \"a\"",
                _ => "200 OK\r\nContent-Length: 5",
            };
            conn.write(format!("HTTP/1.1 {status}\r\n\r\n")).await;
        }
    })
    .await;
    let server = server::spawn(to(&upstream)).await;
    let mut stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    for (method, path, status, length) in [
        ("HEAD", "/", 200, Some("5")),
        ("GET", "/204", 204, None),
        // RFC 9110 §8.6 lets a server leave it out, and hyper does.
        ("GET", "/304", 304, None),
        ("HEAD", "/", 200, Some("5")),
    ] {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes())
            .await
            .unwrap();
        let answer = raw::read_answer(&mut stream, method == "HEAD").await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("content-length"), length, "{method} {path}");
    }
    // One connection served all: nothing was left over on it.
    assert_eq!(upstream.counts().accepted, 1);
}

#[tokio::test]
async fn an_http_1_0_upstream_that_closes_is_understood() {
    let upstream = Upstream::spawn(|mut conn| async move {
        conn.request().await;
        conn.write("HTTP/1.0 200 OK\r\n\r\nuntil the end").await;
    })
    .await;
    let server = server::spawn(to(&upstream)).await;
    let answer = exchange(server.addr, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    // All of it was there, so its length is known.
    assert_eq!(answer.header("content-length"), Some("13"));
    assert!(answer.complete);
    assert_eq!(answer.text(), "until the end");
}

#[tokio::test]
async fn interim_answers_are_not_final() {
    let upstream = Upstream::saying(
        "HTTP/1.1 103 Early Hints\r\nLink: </s.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let response = call(&to(&upstream), get("/")).await;
    assert_eq!(response.status(), 200);
    assert_eq!(text(response).await, "ok");
}

#[tokio::test]
async fn a_length_and_a_coding_in_an_answer_leave_the_coding() {
    let upstream = Upstream::saying(
        "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nok\r\n0\r\n\r\n",
    )
    .await;
    let response = call(&to(&upstream), get("/")).await;
    assert!(!response.headers().contains_key("content-length"));
    assert_eq!(text(response).await, "ok");

    let repeated =
        Upstream::saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok")
            .await;
    let response = call(&to(&repeated), get("/")).await;
    assert_eq!(
        response.headers().get_all("content-length").iter().count(),
        1
    );
    assert_eq!(text(response).await, "ok");
}

#[tokio::test]
async fn no_header_can_be_injected_by_a_value() {
    // What hyper lets through of strange bytes goes on as one value.
    let seen = seen(
        "GET /?a=%0d%0aX-Evil:%201 HTTP/1.1\r\nHost: a\r\nX-Odd: a\tb\u{e9}\"; X-Evil: 1\r\n\r\n",
    )
    .await;
    assert!(seen.starts_with("GET /?a=%0d%0aX-Evil:%201 HTTP/1.1\r\n"));
    assert_eq!(lines(&seen, "x-evil"), [""; 0]);
    for request in [
        "GET / HTTP/1.1\r\nHost: a\nb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a;b/c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\"; for=6.6.6.6\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    ] {
        assert_eq!(refused(request).await, 400, "{request}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn over_a_unix_socket() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let upstream = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut seen).await.unwrap();
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await
            .unwrap();
        String::from_utf8(seen).unwrap()
    });
    let url = format!("http+unix:{}", path.display());
    let proxy = GatewayProxy::to(&url).unwrap().host(HostPolicy::Upstream);
    assert_eq!(text(call(&proxy, get("/x")).await).await, "ok");
    let seen = upstream.await.unwrap();
    assert!(seen.starts_with("GET /x HTTP/1.1\r\n"));
    assert_eq!(lines(&seen, "host"), ["localhost"]);

    let gone = GatewayProxy::to("http+unix:/nowhere/app.sock").unwrap();
    let response = call(&gone, get("/")).await;
    assert_eq!(response.status(), 502);
    assert_eq!(kind(&response), Some(ErrorKind::UpstreamConnect));
}

#[tokio::test]
async fn a_name_is_looked_up() {
    let upstream = Upstream::echo().await;
    let url = format!("http://localhost:{}", upstream.addr.port());
    let response = call(&GatewayProxy::to(&url).unwrap(), get("/")).await;
    assert_eq!(response.status(), 200);

    let nowhere = GatewayProxy::to("http://no-such-host.invalid").unwrap();
    let response = call(&nowhere, get("/")).await;
    assert_eq!(kind(&response), Some(ErrorKind::UpstreamConnect));
}

#[tokio::test]
async fn a_body_that_is_not_unpin_will_do() {
    let upstream = Upstream::echo().await;
    let frames = futures_util::stream::once(async {
        tokio::task::yield_now().await;
        Ok::<_, std::io::Error>(http_body::Frame::data(bytes::Bytes::from("late")))
    });
    let request = post("/", "").map(|_| StreamBody::new(frames));
    let seen = text(call(&to(&upstream), request).await).await;
    assert!(seen.ends_with("\r\n\r\nlate"), "{seen}");
    let request = get("/").map(|_| Empty::new());
    assert_eq!(call(&to(&upstream), request).await.status(), 200);
}
