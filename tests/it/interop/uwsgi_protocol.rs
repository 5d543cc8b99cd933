//! Django and Flask behind uWSGI and Gunicorn, by the uwsgi protocol.

use std::net::SocketAddr;

use http::{Request, Response, uri::Scheme};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::net::TcpSocket;
use tower::{Layer, ServiceExt};
use tower_gateway::{Body, Error, ErrorKind, GatewayProxy, PathDispatch};

use super::{
    Gateway,
    applications::{Place, Server, Speech},
};
use crate::support::{
    log,
    python::{self, Site},
    raw::{self, Answer, exchange, read_answer},
    session::sha256,
};

const EVERYWHERE: [(Server, Place); 6] = [
    (Server::Uwsgi, Place::Tcp),
    (Server::Uwsgi, Place::Unix),
    (Server::Sync, Place::Tcp),
    (Server::Sync, Place::Unix),
    (Server::Threads, Place::Tcp),
    (Server::Threads, Place::Unix),
];

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("not JSON: {answer:?}"))
}

/// What the application was told in one `HTTP_…` variable.
fn variable(told: &Value, name: &str) -> Option<String> {
    let headers = told["headers"].as_array().unwrap();
    let pair = headers.iter().find(|pair| pair[0] == name);
    pair.map(|pair| pair[1].as_str().unwrap().to_owned())
}

/// Calls the proxy in this task, so that its log can be seen, and reads the answer to its end.
async fn call(proxy: &GatewayProxy, request: http::request::Builder) -> Response<bytes::Bytes> {
    let request = request
        .header("host", "localhost")
        .body(Body::empty())
        .unwrap();
    let response = proxy.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(parts, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_arrive_as_they_were_sent() {
    for (server, place) in EVERYWHERE {
        let application = server.flask(Speech::Uwsgi, place);
        let gateway = application.behind_gateway().await;
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
            for (framing, body) in [
                ("", ""),
                ("Content-Length: 0\r\n\r\n", ""),
                ("Content-Length: 6\r\n\r\na body", "a body"),
                (
                    "Transfer-Encoding: chunked\r\n\r\n2\r\na \r\n4\r\nbody\r\n0\r\n\r\n",
                    "a body",
                ),
            ] {
                let framing = if framing.is_empty() { "\r\n" } else { framing };
                let request = format!(
                    "{method} /echo?a=%2F&b=//%zz HTTP/1.1\r\nHost: example.org:81\r\n\
                     Connection: close\r\nContent-Type: text/x-test\r\n\
                     X-Twice: one\r\nX-Twice: two\r\nX-Bytes: caf\u{e9}\r\n\
                     Cookie: a=b\r\nCookie: c=d\r\n{framing}"
                );
                let told = json(&exchange(gateway.addr, request).await);
                let context = format!("{server:?} {place:?} {method} {framing:?} {told:#}");
                assert_eq!(told["method"], method, "{context}");
                assert_eq!(told["path"], "/echo", "{context}");
                assert_eq!(told["query_string"], "a=%2F&b=//%zz", "{context}");
                assert_eq!(told["target"], "/echo?a=%2F&b=//%zz", "{context}");
                assert_eq!(told["content_type"], "text/x-test", "{context}");
                assert_eq!(told["body"]["size"], body.len(), "{context}");
                assert_eq!(told["body"]["sha256"], sha256(body.as_bytes()), "{context}");
                for (name, value) in [
                    ("HTTP_HOST", Some("example.org:81")),
                    ("HTTP_X_TWICE", Some("one, two")),
                    ("HTTP_COOKIE", Some("a=b; c=d")),
                    // UTF-8 as WSGI spells it: each byte a character.
                    ("HTTP_X_BYTES", Some("caf\u{c3}\u{a9}")),
                    ("HTTP_TRANSFER_ENCODING", None),
                    ("HTTP_CONNECTION", None),
                    ("HTTP_CONTENT_LENGTH", None),
                    ("HTTP_CONTENT_TYPE", None),
                ] {
                    assert_eq!(variable(&told, name).as_deref(), value, "{name} {context}");
                }
            }
        }
    }
}

/// The protocol knows no body but one of a known length: trailers are left out, and what is to be
/// streamed is, if its length is known.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_without_a_length_arrive_with_one() {
    for server in [Server::Uwsgi, Server::Threads] {
        let application = server.flask(Speech::Uwsgi, Place::Unix);
        for proxy in [
            application.proxy(),
            application.proxy().stream_requests(),
            application.proxy().stream_requests_at("/echo"),
        ] {
            let gateway = Gateway::start(&python::mysite().join("static"), proxy).await;
            for framing in [
                "Transfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
                 6\r\na body\r\n0\r\nX-Sum: 1\r\n\r\n",
                "Transfer-Encoding: chunked\r\n\r\n6\r\na body\r\n0\r\n\r\n",
                "Content-Length: 6\r\n\r\na body",
            ] {
                let request = format!(
                    "POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{framing}"
                );
                let answer = exchange(gateway.addr, request).await;
                let told = json(&answer);
                let context = format!("{server:?} {framing:?} {told:#}");
                assert_eq!(told["body"]["size"], 6, "{context}");
                assert_eq!(told["body"]["sha256"], sha256(b"a body"), "{context}");
                assert_eq!(variable(&told, "HTTP_TRAILER"), None, "{context}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_is_read_once_whoever_reads_it() {
    for (server, place) in EVERYWHERE {
        let application = server.flask(Speech::Uwsgi, place);
        let gateway = application.behind_gateway().await;
        // Gunicorn would decode it once more, and it is not known yet who is there.
        let unknown = raw::get(gateway.addr, "/echo/%2570rivate").await;
        assert_eq!(unknown.status, 400, "{server:?} {place:?}");
        assert_eq!(raw::get(gateway.addr, "/").await.status, 200);

        for (path, read) in [
            ("/echo/caf%C3%A9/%E2%82%AC", "/echo/café/€"),
            ("/echo/a%20b+c", "/echo/a b+c"),
            ("/echo/100%25", "/echo/100%"),
            ("/echo/%2570rivate", "/echo/%70rivate"),
            ("/echo/%252e%252e/x", "/echo/%2e%2e/x"),
            ("/echo/./x//%79", "/echo/x/y"),
            ("/echo/%3F%23", "/echo/?#"),
        ] {
            let told = json(&raw::get(gateway.addr, path).await);
            assert_eq!(told["path"], read, "{server:?} {place:?} {path}");
        }
    }
}

/// One request from another address of this host than the servers have.
async fn exchange_from_elsewhere(gateway: SocketAddr, request: &str) -> Answer {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut stream = socket.connect(gateway).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes())
        .await
        .unwrap();
    read_answer(&mut stream, false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_learns_who_asks_and_no_client_can_lie_about_it() {
    let request = "GET /whoami/?a=b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                   X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n\
                   X-Forwarded-Host: evil.example\r\nForwarded: for=203.0.113.9;proto=https\r\n\
                   X_Forwarded_For: 203.0.113.9\r\nRemote_Addr: 203.0.113.9\r\n\
                   SCRIPT_NAME: /admin\r\nScript_Name: /admin\r\nPath_Info: /admin/\r\n\
                   UWSGI_FILE: /etc/passwd\r\nUWSGI_SCHEME: https\r\nHTTPS: on\r\n\
                   UWSGI.SETENV: A=B\r\nUwsgi-Appid: evil\r\nContent_Length: 5\r\n\
                   Proxy: evil.example\r\nX-Mine: kept\r\n\r\n";
    for (server, place) in EVERYWHERE {
        let site = Site::new();
        let application = server.django(Speech::Uwsgi, place, &site);
        for scheme in [Scheme::HTTP, Scheme::HTTPS] {
            let proxy = application.proxy().forwarded_scheme(scheme.clone());
            let gateway = Gateway::start(&site.static_root(), proxy).await;
            let told = json(&exchange_from_elsewhere(gateway.addr, request).await);
            let context = format!("{server:?} {place:?} {told:#}");
            assert_eq!(told["host"], "localhost", "{context}");
            assert_eq!(told["scheme"], scheme.as_str(), "{context}");
            assert_eq!(told["script_name"], "", "{context}");
            assert_eq!(told["path"], "/whoami/", "{context}");
            assert_eq!(told["path_info"], "/whoami/", "{context}");
            assert_eq!(told["query_string"], "a=b", "{context}");
            // Gunicorn believes in no REMOTE_ADDR but the one of the connection.
            let remote_addr = match (server, place) {
                (Server::Uwsgi, _) => "127.0.0.2",
                (_, Place::Tcp) => "127.0.0.1",
                (_, Place::Unix) => "",
            };
            assert_eq!(told["remote_addr"], remote_addr, "{context}");

            let headers = told["headers"].as_object().unwrap();
            for (name, value) in [
                ("HTTP_X_FORWARDED_FOR", "127.0.0.2"),
                ("HTTP_X_FORWARDED_PROTO", scheme.as_str()),
                ("HTTP_X_FORWARDED_HOST", "localhost"),
                ("HTTP_X_MINE", "kept"),
                // Harmless: it is not UWSGI_APPID.
                ("HTTP_UWSGI_APPID", "evil"),
            ] {
                assert_eq!(headers[name], value, "{name} {context}");
            }
            for name in [
                "HTTP_PROXY",
                "HTTP_SCRIPT_NAME",
                "HTTP_PATH_INFO",
                "HTTP_REMOTE_ADDR",
                "HTTP_UWSGI_FILE",
                "HTTP_UWSGI_SCHEME",
                "HTTP_UWSGI_SETENV",
                "HTTP_CONTENT_LENGTH",
            ] {
                assert!(!headers.contains_key(name), "{name} {context}");
            }
        }
    }
}

/// uWSGI tells the application its SCRIPT_NAME. (Gunicorn takes none from this protocol: there the
/// application has to read `X-Forwarded-Prefix`.)
#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_application_is_told_its_prefix() {
    let application = Server::Uwsgi.flask(Speech::Uwsgi, Place::Unix);
    let inner = tower::service_fn(async |_: Request<Body>| {
        Ok::<_, std::convert::Infallible>(Response::new(Body::empty()))
    });
    let app = PathDispatch::new()
        .mount("/shop%20x", application.proxy())
        .unwrap()
        .layer(inner);
    let ask = async |path: &str| {
        let request = Request::get(path).header("host", "localhost");
        let request = request.body(Body::empty()).unwrap();
        let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
        (parts, body.collect().await.unwrap().to_bytes())
    };
    let (_, body) = ask("/shop%20x/echo?q").await;
    let told: Value = serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{body:?}"));
    assert_eq!(told["script_root"], "/shop x", "{told:#}");
    assert_eq!(told["path"], "/echo");
    assert_eq!(told["target"], "/shop%20x/echo?q");
    assert_eq!(
        variable(&told, "HTTP_X_FORWARDED_PREFIX").as_deref(),
        Some("/shop%20x")
    );
    let (parts, _) = ask("/shop%20x/redirect").await;
    assert_eq!(parts.headers["location"], "/shop%20x/echo");
}

#[tokio::test]
async fn a_connection_is_kept_where_the_server_keeps_it() {
    for (server, is_kept) in [(Server::Sync, false), (Server::Threads, true)] {
        let application = server.flask(Speech::Uwsgi, Place::Tcp);
        let proxy = application.proxy();
        let mut ports = Vec::new();
        for _ in 0..3 {
            let answer = call(&proxy, Request::get("/echo")).await;
            let told: Value = serde_json::from_slice(answer.body()).unwrap();
            // To Gunicorn, the client is who is connected to it.
            ports.push(told["remote_port"].as_str().unwrap().to_owned());
        }
        ports.dedup();
        assert_eq!(ports.len() == 1, is_kept, "{server:?} {ports:?}");

        // An answer that ends with its connection is the last on it.
        let streamed = call(&proxy, Request::get("/stream?n=2")).await;
        assert_eq!(streamed.body(), "line 0\nline 1\n");
        assert_eq!(call(&proxy, Request::get("/")).await.status(), 200);
    }
}

#[tokio::test]
async fn what_is_too_much_for_the_server_is_told_to_the_operator() {
    for (server, status) in [(Server::Uwsgi, 502), (Server::Threads, 200)] {
        let application = server.flask(Speech::Uwsgi, Place::Unix);
        let proxy = application.proxy();
        let large = || Request::get("/echo").header("x-large", "v".repeat(5000));
        let many = || {
            (0..130).fold(Request::get("/echo"), |request, number| {
                request.header(format!("x-{number}"), "")
            })
        };
        for request in [large(), many()] {
            let (log, _guard) = log::capture();
            let answer = call(&proxy, request).await;
            assert_eq!(answer.status(), status, "{server:?} {}", log.text());
            if status == 502 {
                // uWSGI tells nobody but its own log.
                assert_eq!(log.count("buffer-size"), 1, "{}", log.text());
                let error = answer.extensions().get::<Error>().unwrap();
                assert_eq!(error.kind(), ErrorKind::UpstreamReset);
            }
            assert_eq!(call(&proxy, Request::get("/")).await.status(), 200);
        }
    }
}

/// The size of a request has two bytes. What is beyond is not sent.
#[tokio::test]
async fn what_is_too_much_for_the_protocol_is_the_client_s_fault() {
    let application = Server::Threads.flask(Speech::Uwsgi, Place::Unix);
    let proxy = application.proxy();
    let large = |length| Request::get("/echo").header("x-large", "v".repeat(length));
    assert_eq!(call(&proxy, large(64_000)).await.status(), 200);
    for length in [65_500, 70_000] {
        let answer = call(&proxy, large(length)).await;
        assert_eq!(answer.status(), 431, "{length}");
        let error = answer.extensions().get::<Error>().unwrap();
        assert_eq!(error.kind(), ErrorKind::RequestHeadTooLarge);
    }
    assert_eq!(call(&proxy, Request::get("/")).await.status(), 200);
}
